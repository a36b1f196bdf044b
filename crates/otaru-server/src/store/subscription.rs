//! What is kept of subscriptions and consumer groups.

use super::{Listed, Page, Result};
use otaru_core::id::{AccountNo, ConsumerGroupId, ConsumerGroupNo, ProductNo};
use otaru_core::subscription::{ConsumerGroup, Subscription, SubscriptionKind};

pub trait SubscriptionView {
    fn consumer_group(
        &mut self,
        account: AccountNo,
        id: &ConsumerGroupId,
    ) -> Result<Option<ConsumerGroup>>;
    fn consumer_group_by_name(
        &mut self,
        account: AccountNo,
        name: &str,
    ) -> Result<Option<ConsumerGroup>>;
    /// The default group is counted too.
    fn consumer_group_count(&mut self, account: AccountNo) -> Result<u64>;
    /// Groups whose name contains `part`, or all, newest first: the default group, which is as old as its account, is
    /// the last.
    fn consumer_groups(
        &mut self,
        account: AccountNo,
        part: Option<&str>,
        page: Page,
    ) -> Result<Listed<ConsumerGroup>>;
    /// Whether a subscription names the group.
    fn consumer_group_is_used(&mut self, group: ConsumerGroupNo) -> Result<bool>;
    fn subscription(
        &mut self,
        product: ProductNo,
        kind: SubscriptionKind,
    ) -> Result<Option<Subscription>>;
}

pub trait SubscriptionRows: SubscriptionView {
    /// Inserts a group beside the default one, which an account has from its start; `new.no` is not looked at.
    fn insert_consumer_group(&mut self, new: &ConsumerGroup) -> Result<ConsumerGroupNo>;
    fn rename_consumer_group(&mut self, group: ConsumerGroupNo, name: &str) -> Result<()>;
    fn delete_consumer_group(&mut self, group: ConsumerGroupNo) -> Result<()>;
    /// Inserts a subscription, or replaces the one of the same product and kind.
    fn put_subscription(&mut self, subscription: &Subscription) -> Result<()>;
    fn delete_subscription(&mut self, product: ProductNo, kind: SubscriptionKind) -> Result<()>;
}
