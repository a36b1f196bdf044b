//! Topic classes: which topics of their own the devices of a product may publish and subscribe to. Source: the device
//! protocol reference, topic rules, and the public API reference of `CreateProductTopic`.

use crate::id::ProductKey;
use crate::topic::{TOPIC_BYTES_MAX, TOPIC_SLASHES_MAX};

/// Classes that a product has at most.
pub const CLASSES_MAX: usize = 50;
/// Characters that the description of a class has at most.
pub const DESCRIPTION_MAX: usize = 100;
/// How a class in full names the device.
const DEVICE: &str = "${deviceName}";

/// What a device may do with the topics of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Publish,
    Subscribe,
    Both,
}

impl Right {
    /// As calls name it.
    pub fn from_wire(text: &str) -> Option<Self> {
        match text {
            "PUB" => Some(Self::Publish),
            "SUB" => Some(Self::Subscribe),
            "ALL" => Some(Self::Both),
            _ => None,
        }
    }

    /// Its number in replies, and in the store.
    pub fn number(self) -> i64 {
        match self {
            Self::Publish => 0,
            Self::Subscribe => 1,
            Self::Both => 2,
        }
    }

    pub fn from_number(number: i64) -> Option<Self> {
        [Self::Publish, Self::Subscribe, Self::Both].into_iter().find(|it| it.number() == number)
    }
}

/// Why a text names no class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClassError {
    #[error("a level is empty or has characters other than letters, digits and underscores")]
    Level,
    #[error("wildcards are for classes that are subscribed to only, and # is the last level")]
    Wildcard,
    #[error("a class in full begins with /{{ProductKey}}/${{deviceName}}/")]
    Product,
    #[error("longer than {TOPIC_BYTES_MAX} bytes or deeper than {TOPIC_SLASHES_MAX} slashes")]
    Length,
}

/// The number of a class, which callers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClassNo(pub i64);

/// A class of topics of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicClass {
    /// What follows `/{ProductKey}/{DeviceName}/`: a topic or, with wildcards, many.
    pub tail: String,
    pub right: Right,
    /// The server hears for the device as if that had subscribed.
    pub subscribes_by_itself: bool,
    pub description: String,
}

impl TopicClass {
    /// The classes that each new product has.
    pub fn defaults() -> [Self; 3] {
        let class = |tail: &str, right| Self {
            tail: tail.to_owned(),
            right,
            subscribes_by_itself: false,
            description: String::new(),
        };
        [
            class("user/update", Right::Publish),
            class("user/update/error", Right::Publish),
            class("user/get", Right::Subscribe),
        ]
    }

    /// The tail that a caller names: `update` stands for `user/update`, and a class in full for what it says, which
    /// may be one of the older form without `user`.
    ///
    /// # Errors
    /// [`ClassError`]
    pub fn tail(text: &str, product: &ProductKey, right: Right) -> Result<String, ClassError> {
        let tail = match text.strip_prefix('/') {
            None => format!("user/{text}"),
            Some(full) => full
                .strip_prefix(product.as_str())
                .and_then(|rest| rest.strip_prefix('/')?.strip_prefix(DEVICE)?.strip_prefix('/'))
                .ok_or(ClassError::Product)?
                .to_owned(),
        };
        check(&tail, right)?;
        let full = full(&tail, product);
        if full.len() > TOPIC_BYTES_MAX || full.matches('/').count() > TOPIC_SLASHES_MAX {
            return Err(ClassError::Length);
        }
        Ok(tail)
    }

    /// The class in full, as replies show it.
    pub fn full(&self, product: &ProductKey) -> String {
        full(&self.tail, product)
    }

    /// Whether all that `filter` matches is in the class. Both without `/{ProductKey}/{DeviceName}/`.
    fn covers(&self, filter: &str) -> bool {
        let mut asked = filter.split('/');
        for level in self.tail.split('/') {
            match (level, asked.next()) {
                ("#", _) => return true,
                // The parent of what it covers is covered too.
                (_, None) => return false,
                ("+", Some(level)) if level != "#" => {}
                (level, Some(other)) if level == other && level != "+" => {}
                _ => return false,
            }
        }
        asked.next().is_none()
    }
}

fn full(tail: &str, product: &ProductKey) -> String {
    format!("/{product}/{DEVICE}/{tail}")
}

fn check(tail: &str, right: Right) -> Result<(), ClassError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut levels = tail.split('/').peekable();
    while let Some(level) = levels.next() {
        match level {
            "#" if levels.peek().is_some() => return Err(ClassError::Wildcard),
            "#" | "+" if right == Right::Subscribe => {}
            "#" | "+" => return Err(ClassError::Wildcard),
            _ if level.is_empty() || !level.chars().all(plain) => return Err(ClassError::Level),
            _ => {}
        }
    }
    Ok(())
}

/// The classes of a product, as its devices are held to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicRules(Vec<TopicClass>);

impl TopicRules {
    pub fn new(classes: Vec<TopicClass>) -> Self {
        Self(classes)
    }

    /// Whether a device may publish to its topic `/{ProductKey}/{DeviceName}/{tail}`.
    pub fn may_publish(&self, tail: &str) -> bool {
        self.0.iter().any(|class| class.right != Right::Subscribe && class.tail == tail)
    }

    /// Whether a device may subscribe to its topics `/{ProductKey}/{DeviceName}/{tail}`, which may have wildcards.
    pub fn may_subscribe(&self, tail: &str) -> bool {
        self.0.iter().any(|class| class.right != Right::Publish && class.covers(tail))
    }

    /// Whether a device hears its topic without having subscribed to it.
    pub fn is_heard(&self, tail: &str) -> bool {
        self.0.iter().any(|class| class.subscribes_by_itself && class.covers(tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_named_in_short_or_in_full() {
        use ClassError::{Length, Level, Product, Wildcard};
        use Right::{Both, Publish, Subscribe};
        let key: ProductKey = "a1B2".parse().unwrap();
        let (long, deep) = ("x".repeat(105), "a/b/c/d/e");
        for (text, right, want) in [
            ("update", Publish, Ok("user/update")),
            ("update/error_2", Both, Ok("user/update/error_2")),
            ("user/get", Subscribe, Ok("user/user/get")),
            ("#", Subscribe, Ok("user/#")),
            ("+/error", Subscribe, Ok("user/+/error")),
            ("/a1B2/${deviceName}/get", Subscribe, Ok("get")),
            ("/a1B2/${deviceName}/user/get", Subscribe, Ok("user/get")),
            ("/a1B2/${deviceName}/#", Subscribe, Ok("#")),
            ("a/b/c/d", Publish, Ok("user/a/b/c/d")),
            ("/a1B2/${deviceName}/", Publish, Err(Level)),
            ("/a1B2/${deviceName}", Publish, Err(Product)),
            ("/a1B3/${deviceName}/get", Publish, Err(Product)),
            ("/a1B2/dev-001/get", Publish, Err(Product)),
            ("/get", Publish, Err(Product)),
            ("", Publish, Err(Level)),
            ("a//b", Publish, Err(Level)),
            ("a/", Publish, Err(Level)),
            ("a-b", Publish, Err(Level)),
            ("ü", Publish, Err(Level)),
            ("a+", Subscribe, Err(Level)),
            ("#", Both, Err(Wildcard)),
            ("+", Publish, Err(Wildcard)),
            ("#/a", Subscribe, Err(Wildcard)),
            (deep, Publish, Err(Length)),
            (&long, Publish, Err(Length)),
        ] {
            let tail = TopicClass::tail(text, &key, right);
            assert_eq!(tail.as_deref(), want.as_ref().map(|it| &**it), "{text}");
        }
    }

    fn rules(classes: &[(&str, Right)]) -> TopicRules {
        let class = |(tail, right): &(&str, Right)| TopicClass {
            tail: (*tail).to_owned(),
            right: *right,
            subscribes_by_itself: *tail == "user/told",
            description: String::new(),
        };
        TopicRules::new(classes.iter().map(class).collect())
    }

    #[test]
    fn a_device_does_what_the_classes_of_its_product_say() {
        let rules = rules(&[
            ("user/update", Right::Publish),
            ("user/get", Right::Subscribe),
            ("user/both", Right::Both),
            ("user/set/+/now", Right::Subscribe),
            ("user/all/#", Right::Subscribe),
            ("get", Right::Subscribe),
            ("user/told", Right::Subscribe),
        ]);
        for (tail, publish, subscribe) in [
            ("user/update", true, false),
            ("user/get", false, true),
            ("user/both", true, true),
            ("user/set/a/now", false, true),
            ("user/set/+/now", false, true),
            ("user/set/#", false, false),
            ("user/set/a/b/now", false, false),
            ("user/set/a", false, false),
            ("user/set/a/now/more", false, false),
            ("user/all/#", false, true),
            ("user/all/+", false, true),
            ("user/all/a/b", false, true),
            ("user/all", false, true),
            ("user/allx", false, false),
            ("get", false, true),
            ("update", false, false),
            ("user/#", false, false),
            ("user/+", false, false),
            ("#", false, false),
            ("+/get", false, false),
            ("", false, false),
        ] {
            assert_eq!(rules.may_publish(tail), publish, "publish {tail}");
            assert_eq!(rules.may_subscribe(tail), subscribe, "subscribe {tail}");
            assert!(!rules.is_heard(tail), "hear {tail}");
        }
        assert!(rules.is_heard("user/told"));
        assert!(!TopicRules::default().may_subscribe("user/get"));
    }

    #[test]
    fn a_new_product_has_three_classes() {
        let rules = TopicRules::new(TopicClass::defaults().into());
        for (tail, publish, subscribe) in [
            ("user/update", true, false),
            ("user/update/error", true, false),
            ("user/get", false, true),
            ("user/other", false, false),
        ] {
            assert_eq!((rules.may_publish(tail), rules.may_subscribe(tail)), (publish, subscribe));
        }
    }

    #[test]
    fn rights_come_back_from_their_numbers() {
        for (word, number) in [("PUB", 0), ("SUB", 1), ("ALL", 2)] {
            let right = Right::from_wire(word).unwrap();
            assert_eq!(right.number(), number);
            assert_eq!(Right::from_number(number), Some(right));
        }
        assert_eq!((Right::from_wire("pub"), Right::from_number(3)), (None, None));
    }
}
