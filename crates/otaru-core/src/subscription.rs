//! Who hears of what: subscriptions of a product, and the groups of consumers that share one.

use crate::id::{AccountNo, ConsumerGroupId, ConsumerGroupNo, ProductNo};
use crate::refusal::{self, Refusal};
use crate::time::Timestamp;

/// The group that every account has from its start, under the id that clients expect.
pub const DEFAULT_GROUP: &str = "DEFAULT_GROUP";

/// Groups that one subscription can name.
pub const GROUPS_MAX: usize = 50;

/// Consumers that share what a subscription delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroup {
    pub no: ConsumerGroupNo,
    pub account: AccountNo,
    pub id: ConsumerGroupId,
    pub name: String,
    pub created_at: Timestamp,
}

impl ConsumerGroup {
    pub fn is_default(&self) -> bool {
        self.id.as_str() == DEFAULT_GROUP
    }
}

/// Whether `name` can be the name of a consumer group: 4 to 30 places, a character beyond ASCII counting two, of letters
/// and digits of any script and `_`.
pub fn is_consumer_group_name(name: &str) -> bool {
    let width: usize = name.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    (4..=30).contains(&width) && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// How a subscription delivers; a product has at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionKind {
    /// To a message queue.
    Mns,
    /// To the consumers of its groups.
    Amqp,
}

impl SubscriptionKind {
    pub const ALL: [Self; 2] = [Self::Mns, Self::Amqp];

    pub fn as_wire(self) -> &'static str {
        match self {
            Self::Mns => "MNS",
            Self::Amqp => "AMQP",
        }
    }

    /// Case counts.
    pub fn from_wire(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_wire() == text)
    }
}

/// What a subscription can tell of. Their numbers are kept: add, never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    DeviceData = 0,
    DeviceLifeCycle = 1,
    DeviceStatusChange = 2,
    DeviceTag = 3,
    DeviceTopoLifeCycle = 4,
    FoundDeviceList = 5,
    OtaEvent = 6,
    OtaJob = 7,
    OtaVersion = 8,
    ThingHistory = 9,
}

impl Notice {
    /// Kinds of notices that no queue gets.
    pub const AMQP_ONLY: [Self; 3] = [Self::DeviceTag, Self::OtaJob, Self::OtaVersion];
}

/// A set of kinds of notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notices(u16);

impl Notices {
    pub fn of(flags: &[(Notice, bool)]) -> Self {
        Self(
            flags
                .iter()
                .filter(|(_, on)| *on)
                .fold(0, |bits, (notice, _)| bits | Self::bit(*notice)),
        )
    }

    pub fn has(self, notice: Notice) -> bool {
        self.0 & Self::bit(notice) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn bits(self) -> u16 {
        self.0
    }

    pub fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    fn bit(notice: Notice) -> u16 {
        1 << notice as u16
    }
}

/// What a product tells whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub product: ProductNo,
    pub kind: SubscriptionKind,
    pub notices: Notices,
    /// Further flags as JSON text, empty when none were given; kept and shown again as given.
    pub more_flags: String,
    /// Where the queue is, as JSON text; empty unless the kind is `Mns`.
    pub queue: String,
    /// In the order given; empty unless the kind is `Amqp`.
    pub groups: Vec<ConsumerGroup>,
}

/// Checks the flags of a subscription; `more` tells whether a further flag is on.
///
/// # Errors
/// None is on, or one that the kind doesn't have is.
pub fn check_notices(kind: SubscriptionKind, notices: Notices, more: bool) -> Result<(), Refusal> {
    if notices.is_empty() && !more {
        return Err(refusal::NO_NOTICES.into());
    }
    let foreign = Notice::AMQP_ONLY.into_iter().find(|&notice| notices.has(notice));
    match foreign {
        Some(notice) if kind == SubscriptionKind::Mns => {
            Err(refusal::NO_QUEUE_NOTICE.with(format!("{notice:?}Flag")))
        }
        _ => Ok(()),
    }
}

/// Checks how many groups a subscription names, `count` of them.
///
/// # Errors
/// There are more than [`GROUPS_MAX`].
pub fn check_group_count(count: usize) -> Result<(), Refusal> {
    if count > GROUPS_MAX {
        return Err(refusal::TOO_MANY_SUBSCRIBED_GROUPS.with(GROUPS_MAX));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_group_name_has_4_to_30_places() {
        for good in ["abcd", "group_1", "消费", &"x".repeat(30), &"组".repeat(15)] {
            assert!(is_consumer_group_name(good), "{good}");
        }
        for bad in ["", "abc", "组", "a-b-c", "a b c", &"x".repeat(31), &"组".repeat(16)] {
            assert!(!is_consumer_group_name(bad), "{bad}");
        }
    }

    #[test]
    fn kinds_are_compared_with_case() {
        for kind in SubscriptionKind::ALL {
            assert_eq!(SubscriptionKind::from_wire(kind.as_wire()), Some(kind));
        }
        for bad in ["", "amqp", "HTTP"] {
            assert_eq!(SubscriptionKind::from_wire(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_set_of_notices_has_what_was_put_in() {
        let set = Notices::of(&[
            (Notice::OtaEvent, true),
            (Notice::OtaJob, false),
            (Notice::ThingHistory, true),
        ]);
        assert!(set.has(Notice::OtaEvent) && set.has(Notice::ThingHistory));
        assert!(!set.has(Notice::OtaJob) && !set.has(Notice::DeviceData));
        assert_eq!(Notices::from_bits(set.bits()), set);
    }

    #[test]
    fn a_subscription_tells_of_something_and_a_queue_not_of_all() {
        use SubscriptionKind::{Amqp, Mns};
        let of = |notice| Notices::of(&[(notice, true)]);
        for (kind, notices, more, code) in [
            (Amqp, Notices::default(), false, Some("iot.consumer.group.CallbackTypeEmpty")),
            (Amqp, Notices::default(), true, None),
            (Amqp, of(Notice::OtaVersion), false, None),
            (Mns, of(Notice::OtaEvent), false, None),
            (Mns, of(Notice::OtaVersion), false, Some("iot.consumer.group.MnsNotSupport")),
            (Mns, of(Notice::OtaJob), true, Some("iot.consumer.group.MnsNotSupport")),
            (Mns, of(Notice::DeviceTag), false, Some("iot.consumer.group.MnsNotSupport")),
        ] {
            let refused = check_notices(kind, notices, more).err().map(|refusal| refusal.code);
            assert_eq!(refused, code, "{kind:?} {notices:?}");
        }
    }

    #[test]
    fn a_subscription_names_at_most_50_groups() {
        assert!(check_group_count(50).is_ok());
        assert!(check_group_count(51).is_err());
    }
}
