//! Groups of devices: lists of members, or rules that devices fall under.

use crate::id::{AccountNo, GroupId, GroupNo, InstanceNo};
use crate::rule::Rule;
use crate::time::Timestamp;

/// Levels of static groups: a group, its children and theirs.
pub const LEVELS_MAX: u32 = 3;
/// Children of one static group.
pub const CHILDREN_MAX: u32 = 100;
/// Members of one static group, those of its children not counted.
pub const DEVICES_MAX: u64 = 20_000;
/// Static groups that one device can be in.
pub const GROUPS_OF_DEVICE_MAX: usize = 10;
/// Static groups of an account.
pub const STATIC_MAX: u64 = 1_000;
/// Dynamic groups of an account.
pub const DYNAMIC_MAX: u64 = 10;

/// How a group comes by its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    Static,
    Dynamic,
}

impl GroupKind {
    /// `GroupType` on the wire.
    pub fn as_wire(self) -> &'static str {
        match self {
            Self::Static => "LINK_PLATFORM",
            Self::Dynamic => "LINK_PLATFORM_DYNAMIC",
        }
    }
}

/// A group of devices, whatever their products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub no: GroupNo,
    pub account: AccountNo,
    pub instance: InstanceNo,
    pub id: GroupId,
    /// Unique in the instance, never changed.
    pub name: String,
    pub description: String,
    /// The group that this one is a child of.
    pub parent: Option<GroupNo>,
    /// 1 to 3; of a dynamic group always 1.
    pub level: u32,
    /// Who is a member of a dynamic group.
    pub rule: Option<Rule>,
    pub children: u32,
    /// Members of a static group.
    pub devices: u64,
    pub created_at: Timestamp,
}

impl Group {
    pub fn kind(&self) -> GroupKind {
        if self.rule.is_some() { GroupKind::Dynamic } else { GroupKind::Static }
    }
}

/// Whether `name` can be the name of a group: 4 to 30 places, a character beyond ASCII counting two, of letters and
/// digits of any script and `_`.
pub fn is_group_name(name: &str) -> bool {
    let width: usize = name.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    (4..=30).contains(&width) && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_name_has_4_to_30_places() {
        for good in ["area", "北区", "Area_1", &"x".repeat(30), &"区".repeat(15)] {
            assert!(is_group_name(good), "{good}");
        }
        for bad in ["", "abc", "区", "a b c", "area-1", &"x".repeat(31), &"区".repeat(16)] {
            assert!(!is_group_name(bad), "{bad}");
        }
    }
}
