//! A reply before it is printed: an ordered tree that knows the API's two kinds of lists.
//!
//! JSON and XML ([`super::json`], [`super::xml`]) are two printers of this one tree, so they can't drift.

/// A value in a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Object(Fields),
    /// A list whose rows have a name of their own: `{"Data": {"Item": […]}}`.
    List {
        item: &'static str,
        rows: Vec<Node>,
    },
    /// A list directly under its field: `{"MultiFiles": […]}`.
    Bare(Vec<Node>),
    /// Empty text is printed as an empty value.
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// Nothing is printed, not even the name of the field.
    Absent,
}

/// Named values in the order they are printed.
pub type Fields = Vec<(&'static str, Node)>;

/// What a value of a reply looks like, as the API description words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Text,
    Int32,
    Int64,
    Boolean,
    Object(&'static [FieldRow]),
    List { item: &'static str, of: &'static Shape },
    Bare(&'static Shape),
}

/// A field of a reply in the operation table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldRow {
    pub name: &'static str,
    pub shape: Shape,
}

/// A Rust type that can stand in a reply.
pub trait Reply {
    const SHAPE: Shape;
    fn into_node(self) -> Node;
}

/// A struct made by `reply!`: fields with wire names.
pub trait ReplyObject {
    const FIELDS: &'static [FieldRow];
    fn into_fields(self) -> Fields;
}

impl<T: ReplyObject> Reply for T {
    const SHAPE: Shape = Shape::Object(T::FIELDS);

    fn into_node(self) -> Node {
        Node::Object(self.into_fields())
    }
}

/// The reply of operations that only say whether they succeeded.
impl ReplyObject for () {
    const FIELDS: &'static [FieldRow] = &[];

    fn into_fields(self) -> Fields {
        Vec::new()
    }
}

impl Reply for String {
    const SHAPE: Shape = Shape::Text;

    fn into_node(self) -> Node {
        Node::Text(self)
    }
}

impl Reply for i32 {
    const SHAPE: Shape = Shape::Int32;

    fn into_node(self) -> Node {
        Node::Integer(self.into())
    }
}

impl Reply for i64 {
    const SHAPE: Shape = Shape::Int64;

    fn into_node(self) -> Node {
        Node::Integer(self)
    }
}

impl Reply for bool {
    const SHAPE: Shape = Shape::Boolean;

    fn into_node(self) -> Node {
        Node::Boolean(self)
    }
}

impl<T: Reply> Reply for Option<T> {
    const SHAPE: Shape = T::SHAPE;

    fn into_node(self) -> Node {
        self.map_or(Node::Absent, T::into_node)
    }
}

/// Rows of a list as nodes.
pub fn rows<T: Reply>(rows: Vec<T>) -> Vec<Node> {
    rows.into_iter().map(T::into_node).collect()
}

/// Defines a struct of a reply together with its shape in the operation table.
///
/// Each field is `name: Type = "WireName"`, printed in this order; `Option` fields are left out when `None`. Lists say
/// how they are printed:
/// - `listing "Item"`: rows of a query; the wrapper stays when there are none;
/// - `list "Item"`: a list inside an object; left out when empty;
/// - `bare`: without a name for its rows; left out when empty.
#[macro_export]
macro_rules! reply {
    ($(
        $(#[$doc:meta])*
        $vis:vis struct $name:ident {
            $($(#[$note:meta])* $field:ident: $ty:ty = $wire:literal $($how:ident $($item:literal)?)?,)+
        }
    )+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        $vis struct $name { $($(#[$note])* pub $field: $ty,)+ }

        impl $crate::rpc::tree::ReplyObject for $name {
            const FIELDS: &'static [$crate::rpc::tree::FieldRow] = &[$(
                $crate::rpc::tree::FieldRow {
                    name: $wire,
                    shape: $crate::reply!(@shape $ty $(, $how $($item)?)?),
                },
            )+];

            fn into_fields(self) -> $crate::rpc::tree::Fields {
                vec![$(($wire, $crate::reply!(@node self.$field $(, $how $($item)?)?)),)+]
            }
        }
    )+};

    (@shape $ty:ty) => { <$ty as $crate::rpc::tree::Reply>::SHAPE };
    (@shape $ty:ty, bare) => {
        $crate::rpc::tree::Shape::Bare(&<<$ty as IntoIterator>::Item as $crate::rpc::tree::Reply>::SHAPE)
    };
    (@shape $ty:ty, $how:ident $item:literal) => {
        $crate::rpc::tree::Shape::List {
            item: $item,
            of: &<<$ty as IntoIterator>::Item as $crate::rpc::tree::Reply>::SHAPE,
        }
    };

    (@node $value:expr) => { $crate::rpc::tree::Reply::into_node($value) };
    (@node $value:expr, listing $item:literal) => {
        $crate::rpc::tree::Node::List { item: $item, rows: $crate::rpc::tree::rows($value) }
    };
    (@node $value:expr, list $item:literal) => {
        if $value.is_empty() {
            $crate::rpc::tree::Node::Absent
        } else {
            $crate::reply!(@node $value, listing $item)
        }
    };
    (@node $value:expr, bare) => {
        if $value.is_empty() {
            $crate::rpc::tree::Node::Absent
        } else {
            $crate::rpc::tree::Node::Bare($crate::rpc::tree::rows($value))
        }
    };
}

pub use crate::reply;
