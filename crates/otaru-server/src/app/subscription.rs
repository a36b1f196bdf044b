//! Subscriptions of products and the consumer groups that they name. They are kept; nothing is delivered yet.

use super::{App, Caller, Result, lookup};
use crate::store::{Listed, Page, Rows, View};
use otaru_core::id::{ConsumerGroupId, ConsumerGroupNo, IdError};
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::subscription::{
    ConsumerGroup, Notices, Subscription, SubscriptionKind, check_group_count,
};
use std::rc::Rc;

/// A subscription to make or to put in place of another; its flags are checked.
#[derive(Debug, Clone)]
pub struct NewSubscription {
    pub product_key: String,
    pub kind: SubscriptionKind,
    pub notices: Notices,
    pub more_flags: String,
    pub queue: String,
    pub groups: Vec<ConsumerGroupId>,
}

/// Which consumer groups to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupFilter {
    All,
    Named(String),
    /// Whose name contains it; case counts.
    Containing(String),
}

impl App {
    pub async fn create_consumer_group(
        &self,
        caller: Caller,
        name: String,
    ) -> Result<ConsumerGroup> {
        let groups_max = self.limits.consumer_groups_max;
        self.change(move |rows, now, _| {
            if rows.consumer_group_by_name(caller.account, &name)?.is_some() {
                return Err(refusal::CONSUMER_GROUP_NAME_TAKEN.with(&name).into());
            }
            if rows.consumer_group_count(caller.account)? >= groups_max {
                return Err(refusal::TOO_MANY_CONSUMER_GROUPS.with(groups_max).into());
            }
            let mut group = ConsumerGroup {
                no: ConsumerGroupNo(0),
                account: caller.account,
                id: ConsumerGroupId::generate(rows.random()),
                name: name.clone(),
                created_at: now,
            };
            group.no = rows.insert_consumer_group(&group)?;
            Ok(group)
        })
        .await
    }

    pub async fn consumer_group(&self, caller: Caller, id: String) -> Result<ConsumerGroup> {
        self.view(move |view| group(view, caller, &id)).await
    }

    pub async fn consumer_groups(
        &self,
        caller: Caller,
        filter: GroupFilter,
        page: Page,
    ) -> Result<Listed<ConsumerGroup>> {
        self.view(move |view| {
            Ok(match &filter {
                GroupFilter::All => view.consumer_groups(caller.account, None, page)?,
                GroupFilter::Containing(part) => {
                    view.consumer_groups(caller.account, Some(part), page)?
                }
                GroupFilter::Named(name) => {
                    let rows: Vec<_> =
                        view.consumer_group_by_name(caller.account, name)?.into_iter().collect();
                    let total = rows.len() as u64;
                    let skip = usize::try_from(page.skip).unwrap_or(usize::MAX);
                    Listed { rows: rows.into_iter().skip(skip).collect(), total }
                }
            })
        })
        .await
    }

    pub async fn rename_consumer_group(
        &self,
        caller: Caller,
        id: String,
        name: String,
    ) -> Result<()> {
        self.change(move |rows, _, _| {
            let group = changeable(rows, caller, &id)?;
            let holder = rows.consumer_group_by_name(caller.account, &name)?;
            if holder.is_some_and(|holder| holder.no != group.no) {
                return Err(refusal::CONSUMER_GROUP_NAME_TAKEN.with(&name).into());
            }
            Ok(rows.rename_consumer_group(group.no, &name)?)
        })
        .await
    }

    pub async fn delete_consumer_group(&self, caller: Caller, id: String) -> Result<()> {
        self.change(move |rows, _, _| {
            let group = changeable(rows, caller, &id)?;
            if rows.consumer_group_is_used(group.no)? {
                let detail = format!("{id} is used by a subscription");
                return Err(refusal::DELETE_CONSUMER_GROUP_FAILED.with(detail).into());
            }
            Ok(rows.delete_consumer_group(group.no)?)
        })
        .await
    }

    /// Makes a subscription; the product must have none of the kind.
    pub async fn create_subscription(&self, caller: Caller, new: NewSubscription) -> Result<()> {
        self.change(move |rows, _, _| {
            let product = lookup::product(rows, caller, &new.product_key)?;
            if rows.subscription(product.no, new.kind)?.is_some() {
                let detail = format!("the product has a subscription of {}", new.kind.as_wire());
                return Err(refusal::INVALID_SUBSCRIPTION_KIND.with(detail).into());
            }
            put(rows, caller, &product, &new)
        })
        .await
    }

    /// Puts a subscription in place of the product's one of the kind.
    pub async fn replace_subscription(&self, caller: Caller, new: NewSubscription) -> Result<()> {
        self.change(move |rows, _, _| {
            let (product, _) = subscription(rows, caller, &new.product_key, new.kind)?;
            put(rows, caller, &product, &new)
        })
        .await
    }

    pub async fn subscription(
        &self,
        caller: Caller,
        product_key: String,
        kind: SubscriptionKind,
    ) -> Result<Subscription> {
        self.view(move |view| Ok(subscription(view, caller, &product_key, kind)?.1)).await
    }

    pub async fn delete_subscription(
        &self,
        caller: Caller,
        product_key: String,
        kind: SubscriptionKind,
    ) -> Result<()> {
        self.change(move |rows, _, _| {
            let (product, _) = subscription(rows, caller, &product_key, kind)?;
            Ok(rows.delete_subscription(product.no, kind)?)
        })
        .await
    }

    /// Lets a further group hear what the product's AMQP subscription tells.
    pub async fn join_subscription(
        &self,
        caller: Caller,
        product_key: String,
        id: ConsumerGroupId,
    ) -> Result<()> {
        self.change(move |rows, _, _| {
            let (_, mut subscription) =
                subscription(rows, caller, &product_key, SubscriptionKind::Amqp)?;
            let group = known(rows, caller, &id)?;
            if subscription.groups.contains(&group) {
                let detail = format!("{id} is in the subscription");
                return Err(refusal::INVALID_CONSUMER_GROUP.with(detail).into());
            }
            subscription.groups.push(group);
            check_group_count(subscription.groups.len())?;
            Ok(rows.put_subscription(&subscription)?)
        })
        .await
    }

    /// Takes a group out of the product's AMQP subscription; the last one stays.
    pub async fn leave_subscription(
        &self,
        caller: Caller,
        product_key: String,
        id: ConsumerGroupId,
    ) -> Result<()> {
        self.change(move |rows, _, _| {
            let (_, mut subscription) =
                subscription(rows, caller, &product_key, SubscriptionKind::Amqp)?;
            let group = known(rows, caller, &id)?;
            let place = subscription.groups.iter().position(|other| *other == group);
            let place = place.ok_or_else(|| {
                refusal::INVALID_CONSUMER_GROUP.with(format!("{id} is not in the subscription"))
            })?;
            if subscription.groups.len() == 1 {
                let detail = format!("{id} is the last of the subscription");
                return Err(refusal::DELETE_CONSUMER_GROUP_FAILED.with(detail).into());
            }
            subscription.groups.remove(place);
            Ok(rows.put_subscription(&subscription)?)
        })
        .await
    }
}

/// A consumer group by an id as it came in.
fn group(view: &mut dyn View, caller: Caller, id: &str) -> Result<ConsumerGroup> {
    let parsed = id.parse().map_err(|_: IdError| refusal::INVALID_CONSUMER_GROUP_ID.with(id))?;
    known(view, caller, &parsed)
}

fn known(view: &mut dyn View, caller: Caller, id: &ConsumerGroupId) -> Result<ConsumerGroup> {
    let found = view.consumer_group(caller.account, id)?;
    Ok(found.ok_or_else(|| refusal::NO_CONSUMER_GROUP.with(id))?)
}

/// A consumer group that may be renamed and deleted.
fn changeable(rows: &mut dyn Rows, caller: Caller, id: &str) -> Result<ConsumerGroup> {
    let group = group(rows, caller, id)?;
    if group.is_default() {
        return Err(refusal::DEFAULT_GROUP_IS_FIXED.into());
    }
    Ok(group)
}

fn subscription(
    view: &mut dyn View,
    caller: Caller,
    product_key: &str,
    kind: SubscriptionKind,
) -> Result<(Rc<Product>, Subscription)> {
    let product = lookup::product(view, caller, product_key)?;
    let found = view.subscription(product.no, kind)?.ok_or_else(|| {
        let detail = format!("the product has no subscription of {}", kind.as_wire());
        refusal::INVALID_SUBSCRIPTION_KIND.with(detail)
    })?;
    Ok((product, found))
}

fn put(
    rows: &mut dyn Rows,
    caller: Caller,
    product: &Product,
    new: &NewSubscription,
) -> Result<()> {
    let NewSubscription { product_key: _, kind, notices, more_flags, queue, groups } = new;
    let groups: Result<Vec<_>> = groups.iter().map(|id| known(rows, caller, id)).collect();
    let subscription = Subscription {
        product: product.no,
        kind: *kind,
        notices: *notices,
        more_flags: more_flags.clone(),
        queue: queue.clone(),
        groups: groups?,
    };
    Ok(rows.put_subscription(&subscription)?)
}
