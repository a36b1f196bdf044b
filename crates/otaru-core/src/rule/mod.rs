//! The condition language of dynamic groups: `product_key = "a1…" and ota_module.version LIKE "1.%"`.
//!
//! A rule is read once, when its group is made, and then asked about one device at a time.

mod date;
mod parse;
#[cfg(test)]
mod tests;
mod token;

use crate::refusal::{self, Code, Refusal};
use crate::time::Timestamp;

/// Characters of a rule.
pub const LENGTH_MAX: usize = 400;
/// Conditions of a rule.
pub const CONDITIONS_MAX: usize = 5;

/// What a condition asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    ProductKey,
    IotId,
    Name,
    Nickname,
    ActiveTime,
    CreateTime,
    ModifiedTime,
    Status,
    GroupId,
    TagName,
    TagValue,
    ModuleName,
    ModuleVersion,
}

/// All fields with their names.
const FIELDS: [(&str, Field); 13] = [
    ("product_key", Field::ProductKey),
    ("iot_id", Field::IotId),
    ("name", Field::Name),
    ("nickname", Field::Nickname),
    ("active_time", Field::ActiveTime),
    ("gmt_create", Field::CreateTime),
    ("gmt_modified", Field::ModifiedTime),
    ("status", Field::Status),
    ("group.group_id", Field::GroupId),
    ("tag.tag_name", Field::TagName),
    ("tag.tag_value", Field::TagValue),
    ("ota_module.name", Field::ModuleName),
    ("ota_module.version", Field::ModuleVersion),
];

impl Field {
    fn is_date(self) -> bool {
        matches!(self, Self::ActiveTime | Self::CreateTime | Self::ModifiedTime)
    }

    /// Fields that together mean one thing of several that a device can have: a tag, a module.
    fn is_part_of(self) -> Option<Part> {
        match self {
            Self::TagName | Self::TagValue => Some(Part::Tag),
            Self::ModuleName | Self::ModuleVersion => Some(Part::Module),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Tag,
    Module,
}

/// How a condition compares.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Is(String),
    Begins(String),
    At(Timestamp),
    After(Timestamp),
    Before(Timestamp),
}

impl Test {
    fn of_text(&self, text: &str) -> bool {
        match self {
            Self::Is(value) => text == value,
            Self::Begins(prefix) => text.starts_with(prefix.as_str()),
            Self::At(_) | Self::After(_) | Self::Before(_) => false,
        }
    }

    /// Names of modules are the same whatever their case.
    fn of_module(&self, name: &str) -> bool {
        match self {
            Self::Is(value) => name.eq_ignore_ascii_case(value),
            Self::Begins(prefix) => {
                name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            }
            Self::At(_) | Self::After(_) | Self::Before(_) => false,
        }
    }

    fn of_time(&self, time: Option<Timestamp>) -> bool {
        match (self, time) {
            (Self::At(at), Some(time)) => time == *at,
            (Self::After(at), Some(time)) => time > *at,
            (Self::Before(at), Some(time)) => time < *at,
            _ => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    field: Field,
    test: Test,
}

/// Which devices are in a dynamic group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    text: String,
    /// One of these has to hold, and of that one all conditions.
    any: Vec<Vec<Condition>>,
}

/// What a rule may ask about a device.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    pub product_key: &'a str,
    pub iot_id: &'a str,
    pub name: &'a str,
    pub nickname: &'a str,
    /// `None` before its first connect.
    pub activated_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    /// As the API words it: `ONLINE`.
    pub status: &'a str,
    /// Ids of the static groups that it is a member of.
    pub groups: &'a [String],
    /// Keys and values.
    pub tags: &'a [(String, String)],
    /// Modules and their versions.
    pub versions: &'a [(String, String)],
}

impl Rule {
    /// # Errors
    /// What the first of these rows names: no statement of the language, an unknown field, too many conditions, an
    /// operator that doesn't fit, a clause that a rule can't have, a property of a thing model.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        Ok(Self { text: text.to_owned(), any: parse::parse(text)? })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the rule asks about one of `fields`: what it doesn't ask about need not be read.
    pub fn asks(&self, fields: &[Field]) -> bool {
        self.any.iter().flatten().any(|condition| fields.contains(&condition.field))
    }

    /// The products that members are of, when the rule names them wherever it can hold; `None`: any.
    pub fn product_keys(&self) -> Option<Vec<&str>> {
        let mut keys = Vec::with_capacity(self.any.len());
        for all in &self.any {
            keys.push(all.iter().find_map(|condition| {
                match (condition.field, &condition.test) {
                    (Field::ProductKey, Test::Is(key)) => Some(key.as_str()),
                    _ => None,
                }
            })?);
        }
        keys.sort_unstable();
        keys.dedup();
        Some(keys)
    }

    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.any.iter().any(|all| {
            let mut own = all.iter().filter(|condition| condition.field.is_part_of().is_none());
            own.all(|condition| holds(condition, facts))
                && has(all, Part::Tag, facts.tags, |condition, (key, value)| {
                    match condition.field {
                        Field::TagName => condition.test.of_text(key),
                        _ => condition.test.of_text(value),
                    }
                })
                && has(all, Part::Module, facts.versions, |condition, (name, version)| {
                    match condition.field {
                        Field::ModuleName => condition.test.of_module(name),
                        _ => condition.test.of_text(version),
                    }
                })
        })
    }
}

fn holds(condition: &Condition, facts: &Facts<'_>) -> bool {
    let Condition { field, test } = condition;
    match field {
        Field::ProductKey => test.of_text(facts.product_key),
        Field::IotId => test.of_text(facts.iot_id),
        Field::Name => test.of_text(facts.name),
        Field::Nickname => test.of_text(facts.nickname),
        Field::ActiveTime => test.of_time(facts.activated_at),
        Field::CreateTime => test.of_time(Some(facts.created_at)),
        Field::ModifiedTime => test.of_time(Some(facts.modified_at)),
        Field::Status => test.of_text(facts.status),
        Field::GroupId => facts.groups.iter().any(|id| test.of_text(id)),
        Field::TagName | Field::TagValue | Field::ModuleName | Field::ModuleVersion => false,
    }
}

/// Whether a device has what the conditions on one kind of thing ask for. Conditions mean one thing until a field
/// comes again: then the next begins.
fn has<T>(
    all: &[Condition],
    part: Part,
    things: &[T],
    holds: impl Fn(&Condition, &T) -> bool,
) -> bool {
    let mut conditions = all.iter().filter(|c| c.field.is_part_of() == Some(part)).peekable();
    while let Some(first) = conditions.next() {
        let mut one = vec![first];
        while let Some(next) = conditions.next_if(|c| one.iter().all(|o| o.field != c.field)) {
            one.push(next);
        }
        if !things.iter().any(|thing| one.iter().all(|condition| holds(condition, thing))) {
            return false;
        }
    }
    true
}

/// What is wrong with a rule; when several things are, the first in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Statement,
    Field,
    Conditions,
    Operator,
    Order,
    Offset,
    Clause,
    Identifier,
}

/// What is wrong with a rule, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct RuleError {
    pub fault: Fault,
    pub detail: String,
}

impl RuleError {
    fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into() }
    }
}

impl Fault {
    fn code(self) -> Code {
        match self {
            Self::Statement => refusal::INVALID_RULE,
            Self::Field => refusal::INVALID_RULE_FIELD,
            Self::Conditions => refusal::TOO_MANY_CONDITIONS,
            Self::Operator => refusal::INVALID_RULE_OPERATOR,
            Self::Order => refusal::RULE_WITH_ORDER,
            Self::Offset => refusal::RULE_WITH_OFFSET,
            Self::Clause => refusal::UNSUPPORTED_RULE,
            Self::Identifier => refusal::UNKNOWN_TSL_IDENTIFIER,
        }
    }
}

impl From<RuleError> for Refusal {
    fn from(error: RuleError) -> Self {
        error.fault.code().with(error.detail)
    }
}
