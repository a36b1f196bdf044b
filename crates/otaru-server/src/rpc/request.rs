//! Requests: a struct of typed parameters and its rows in the operation table, from one definition.

use std::ops::Deref;

use super::error::GatewayError;
use super::params::Params;

/// A parameter in the operation table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamRow {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether the gateway refuses a call without it. Of a field of a list item always false: what an item needs is
    /// up to the operation.
    pub required: bool,
}

/// The type of a parameter, as the API description words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Int32,
    Int64,
    Boolean,
    /// `Name.1=a&Name.2=b`
    Texts,
    /// `Name.1.Field=a&Name.1.Other=b`
    Objects(&'static [ParamRow]),
}

/// A struct made by `request!`.
pub trait Request: Sized {
    const PARAMS: &'static [ParamRow];

    /// # Errors
    /// `Missing{Name}` of the first required parameter that is absent or empty, then `Invalid{Name}` of the first
    /// that is not of its type, both in the order of the table.
    fn read(params: &Params) -> Result<Self, GatewayError>;
}

/// An element of a list of objects, made by `request!` too.
pub trait Item: Sized {
    const FIELDS: &'static [ParamRow];

    /// Reads the fields whose names begin with `prefix` and a dot, such as `Tag.1`.
    fn read(params: &Params, prefix: &str) -> Result<Self, GatewayError>;
}

/// A type that a parameter can have.
pub trait Param: Sized {
    const KIND: Kind;
    const REQUIRED: bool;
    fn is_present(params: &Params, name: &str) -> bool;
    fn read(params: &Params, name: &str) -> Result<Self, GatewayError>;
}

/// A value of one parameter.
pub trait Scalar: Sized {
    const KIND: Kind;
    fn parse(text: &str) -> Option<Self>;
}

impl Scalar for String {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Scalar for i32 {
    const KIND: Kind = Kind::Int32;

    fn parse(text: &str) -> Option<Self> {
        digits(text)?.parse().ok()
    }
}

impl Scalar for i64 {
    const KIND: Kind = Kind::Int64;

    fn parse(text: &str) -> Option<Self> {
        digits(text)?.parse().ok()
    }
}

/// Rust would take a plus sign, the wire doesn't.
fn digits(text: &str) -> Option<&str> {
    (!text.starts_with('+')).then_some(text)
}

impl Scalar for bool {
    const KIND: Kind = Kind::Boolean;

    /// In any case: Python clients send `True`.
    fn parse(text: &str) -> Option<Self> {
        match text {
            _ if text.eq_ignore_ascii_case("true") => Some(true),
            _ if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
}

impl<S: Scalar> Param for S {
    const KIND: Kind = S::KIND;
    const REQUIRED: bool = true;

    fn is_present(params: &Params, name: &str) -> bool {
        params.get(name).is_some()
    }

    fn read(params: &Params, name: &str) -> Result<Self, GatewayError> {
        let text = params.get(name).ok_or_else(|| GatewayError::missing(name))?;
        S::parse(text).ok_or_else(|| GatewayError::invalid(name))
    }
}

impl<S: Scalar> Param for Option<S> {
    const KIND: Kind = S::KIND;
    const REQUIRED: bool = false;

    fn is_present(params: &Params, name: &str) -> bool {
        params.get(name).is_some()
    }

    fn read(params: &Params, name: &str) -> Result<Self, GatewayError> {
        let parse = |text| S::parse(text).ok_or_else(|| GatewayError::invalid(name));
        params.get(name).map(parse).transpose()
    }
}

/// Optional list of texts. Elements that were sent empty are there when another isn't empty.
impl Param for Vec<String> {
    const KIND: Kind = Kind::Texts;
    const REQUIRED: bool = false;

    fn is_present(params: &Params, name: &str) -> bool {
        !params.list(name).is_empty()
    }

    fn read(params: &Params, name: &str) -> Result<Self, GatewayError> {
        Ok(params.list(name).into_iter().map(str::to_owned).collect())
    }
}

/// A list, of texts unless said otherwise, without which the gateway refuses the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMore<T = String>(Vec<T>);

impl<T> Deref for OneOrMore<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> Param for OneOrMore<T>
where
    Vec<T>: Param,
{
    const KIND: Kind = Vec::<T>::KIND;
    const REQUIRED: bool = true;

    fn is_present(params: &Params, name: &str) -> bool {
        Vec::<T>::is_present(params, name)
    }

    fn read(params: &Params, name: &str) -> Result<Self, GatewayError> {
        let list = Vec::<T>::read(params, name)?;
        if list.is_empty() { Err(GatewayError::missing(name)) } else { Ok(Self(list)) }
    }
}

/// Optional list of objects; objects without any value are left out.
impl<T: Item> Param for Vec<T> {
    const KIND: Kind = Kind::Objects(T::FIELDS);
    const REQUIRED: bool = false;

    fn is_present(params: &Params, name: &str) -> bool {
        !params.indices(name).is_empty()
    }

    fn read(params: &Params, name: &str) -> Result<Self, GatewayError> {
        let read = |index| T::read(params, &format!("{name}.{index}"));
        params.indices(name).into_iter().map(read).collect()
    }
}

/// Refuses a call that lacks a required parameter.
pub fn require<T: Param>(params: &Params, name: &str) -> Result<(), GatewayError> {
    if T::REQUIRED && !T::is_present(params, name) {
        return Err(GatewayError::missing(name));
    }
    Ok(())
}

/// Defines the parameters of an operation, or with `item` those of a list element, as a struct: each field is
/// `name: Type = "WireName"`, in the order of the API description.
///
/// The type says it all: `String`, `i32`, `i64`, `bool` and [`OneOrMore`] are required, `Option` and `Vec` are not.
/// `IotInstanceId`, which every operation takes, is added to the rows; the door reads it.
#[macro_export]
macro_rules! request {
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident { $($(#[$note:meta])* $field:ident: $ty:ty = $wire:literal,)* }
        $($rest:tt)*
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        $vis struct $name { $($(#[$note])* pub $field: $ty,)* }

        impl $crate::rpc::request::Request for $name {
            const PARAMS: &'static [$crate::rpc::request::ParamRow] = &[
                $($crate::request!(@row $wire, $ty, <$ty as $crate::rpc::request::Param>::REQUIRED),)*
                $crate::request!(@row "IotInstanceId", Option<String>, false),
            ];

            fn read(
                params: &$crate::rpc::params::Params,
            ) -> Result<Self, $crate::rpc::error::GatewayError> {
                let _ = params; // some operations take none
                $($crate::rpc::request::require::<$ty>(params, $wire)?;)*
                Ok(Self { $($field: $crate::rpc::request::Param::read(params, $wire)?,)* })
            }
        }

        $crate::request! { $($rest)* }
    };
    (
        $(#[$doc:meta])*
        $vis:vis item $name:ident { $($(#[$note:meta])* $field:ident: $ty:ty = $wire:literal,)+ }
        $($rest:tt)*
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        $vis struct $name { $($(#[$note])* pub $field: $ty,)+ }

        impl $crate::rpc::request::Item for $name {
            const FIELDS: &'static [$crate::rpc::request::ParamRow] =
                &[$($crate::request!(@row $wire, $ty, false),)+];

            fn read(
                params: &$crate::rpc::params::Params,
                prefix: &str,
            ) -> Result<Self, $crate::rpc::error::GatewayError> {
                Ok(Self {$(
                    $field: $crate::rpc::request::Param::read(params, &format!("{prefix}.{}", $wire))?,
                )+})
            }
        }

        $crate::request! { $($rest)* }
    };
    () => {};
    (@row $wire:literal, $ty:ty, $required:expr) => {
        $crate::rpc::request::ParamRow {
            name: $wire,
            kind: <$ty as $crate::rpc::request::Param>::KIND,
            required: $required,
        }
    };
}

pub use crate::request;

#[cfg(test)]
mod tests {
    use super::*;

    request! {
        struct Create {
            name: String = "Name",
            count: i32 = "Count",
            devices: OneOrMore = "Device",
            at: Option<i64> = "At",
            push: Option<bool> = "Push",
            files: Vec<File> = "File",
            versions: Vec<String> = "Version",
        }
        item File {
            name: Option<String> = "Name",
            size: Option<i32> = "Size",
        }
    }

    const ALL: &str = "Name=n&Count=-3&Device.1=a&Device.4=&At=1700000000000&Push=True&File.2.Name=f\
        &File.9.Size=7&Version.1=1.0&Unknown=x";

    fn read(query: &str) -> Result<Create, String> {
        Create::read(&Params::parse(query, None).unwrap()).map_err(|error| error.code)
    }

    #[test]
    fn parameters_are_read_by_the_types_of_their_fields() {
        let create = read(ALL).unwrap();
        assert_eq!((create.name.as_str(), create.count), ("n", -3));
        assert_eq!(*create.devices, ["a", ""]);
        assert_eq!((create.at, create.push), (Some(1_700_000_000_000), Some(true)));
        let files: Vec<_> = create.files.iter().map(|f| (f.name.as_deref(), f.size)).collect();
        assert_eq!(files, [(Some("f"), None), (None, Some(7))]);
        assert_eq!(create.versions, ["1.0"]);
    }

    #[test]
    fn missing_parameters_are_named_before_malformed_ones_each_in_table_order() {
        for (query, code) in [
            ("", "MissingName"),
            ("Name=&Count=x", "MissingName"),
            ("Name=n&Device.1=a", "MissingCount"),
            ("Name=n&Count=x&Device=a&Device.1=", "MissingDevice"),
            ("Name=n&Count=x&Device.1=a&At=x", "InvalidCount"),
            ("Name=n&Count=1&Device.1=a&At=1.5", "InvalidAt"),
            ("Name=n&Count=1&Device.1=a&Push=yes", "InvalidPush"),
            ("Name=n&Count=2147483648&Device.1=a", "InvalidCount"),
            ("Name=n&Count=+1&Device.1=a", "InvalidCount"),
            ("Name=n&Count=%2B1&Device.1=a", "InvalidCount"),
            ("Name=n&Count=1&Device.1=a&At=9223372036854775808", "InvalidAt"),
            ("Name=n&Count=1&Device.1=a&File.1.Size=1&File.3.Size=x", "InvalidFile.3.Size"),
        ] {
            assert_eq!(read(query).unwrap_err(), code, "{query}");
        }
    }

    #[test]
    fn rows_tell_names_kinds_and_which_are_required() {
        const fn row(name: &'static str, kind: Kind, required: bool) -> ParamRow {
            ParamRow { name, kind, required }
        }
        const FILE: &[ParamRow] =
            &[row("Name", Kind::Text, false), row("Size", Kind::Int32, false)];
        let want = [
            row("Name", Kind::Text, true),
            row("Count", Kind::Int32, true),
            row("Device", Kind::Texts, true),
            row("At", Kind::Int64, false),
            row("Push", Kind::Boolean, false),
            row("File", Kind::Objects(FILE), false),
            row("Version", Kind::Texts, false),
            row("IotInstanceId", Kind::Text, false),
        ];
        assert_eq!(Create::PARAMS, want);
    }
}
