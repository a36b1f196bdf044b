//! Subscriptions and consumer groups.

use super::super::{Listed, Page, Result, SubscriptionRows, SubscriptionView};
use super::row::Cols;
use super::tx::{Tx, skip};
use otaru_core::id::{AccountNo, ConsumerGroupId, ConsumerGroupNo, ProductNo};
use otaru_core::subscription::{
    ConsumerGroup, DEFAULT_GROUP, Notices, Subscription, SubscriptionKind,
};
use otaru_core::time::Timestamp;
use rusqlite::params;

macro_rules! columns {
    () => {
        "SELECT g.no, g.account, g.id, g.name, g.created_at FROM "
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!(columns!(), $rest)
    };
}

/// Numbers of a page, found in an index alone.
macro_rules! page_of {
    ($condition:literal) => {
        concat!(
            columns!(),
            "(SELECT no FROM consumer_group INDEXED BY consumer_group_walk WHERE ",
            $condition,
            " ORDER BY no DESC LIMIT ?2 OFFSET ?3) page
             CROSS JOIN consumer_group g ON g.no = page.no ORDER BY page.no DESC"
        )
    };
}

fn kind_code(kind: SubscriptionKind) -> i64 {
    match kind {
        SubscriptionKind::Mns => 0,
        SubscriptionKind::Amqp => 1,
    }
}

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<ConsumerGroup> {
    Ok(ConsumerGroup {
        no: ConsumerGroupNo(cols.take()?),
        account: AccountNo(cols.take()?),
        id: cols.parsed()?,
        name: cols.take()?,
        created_at: cols.time()?,
    })
}

/// Gives a new account its default group.
pub fn insert_default_group(tx: &Tx<'_>, account: AccountNo, now: Timestamp) -> Result<()> {
    insert(tx, account, DEFAULT_GROUP, DEFAULT_GROUP, now)?;
    Ok(())
}

fn insert(tx: &Tx<'_>, account: AccountNo, id: &str, name: &str, at: Timestamp) -> Result<i64> {
    tx.insert(
        "INSERT INTO consumer_group (account, id, name, created_at) VALUES (?1, ?2, ?3, ?4)",
        params![account.0, id, name, at.0],
    )
}

impl SubscriptionView for Tx<'_> {
    fn consumer_group(
        &mut self,
        account: AccountNo,
        id: &ConsumerGroupId,
    ) -> Result<Option<ConsumerGroup>> {
        self.one(
            select!("consumer_group g WHERE g.account = ?1 AND g.id = ?2"),
            params![account.0, id.as_str()],
            read,
        )
    }

    fn consumer_group_by_name(
        &mut self,
        account: AccountNo,
        name: &str,
    ) -> Result<Option<ConsumerGroup>> {
        self.one(
            select!("consumer_group g WHERE g.account = ?1 AND g.name = ?2"),
            params![account.0, name],
            read,
        )
    }

    fn consumer_group_count(&mut self, account: AccountNo) -> Result<u64> {
        self.count("SELECT count(*) FROM consumer_group WHERE account = ?1", params![account.0])
    }

    fn consumer_groups(
        &mut self,
        account: AccountNo,
        part: Option<&str>,
        page: Page,
    ) -> Result<Listed<ConsumerGroup>> {
        let Some(part) = part else {
            let rows = self.list(
                page_of!("account = ?1"),
                params![account.0, page.take, skip(page)],
                read,
            )?;
            return Ok(Listed { rows, total: self.consumer_group_count(account)? });
        };
        let rows = self.list(
            page_of!("account = ?1 AND instr(name, ?4) > 0"),
            params![account.0, page.take, skip(page), part],
            read,
        )?;
        let total = self.count(
            "SELECT count(*) FROM consumer_group INDEXED BY consumer_group_walk
             WHERE account = ?1 AND instr(name, ?2) > 0",
            params![account.0, part],
        )?;
        Ok(Listed { rows, total })
    }

    fn consumer_group_is_used(&mut self, group: ConsumerGroupNo) -> Result<bool> {
        self.value(
            "SELECT EXISTS (SELECT 1 FROM subscription_group WHERE consumer_group = ?1)",
            params![group.0],
        )
    }

    fn subscription(
        &mut self,
        product: ProductNo,
        kind: SubscriptionKind,
    ) -> Result<Option<Subscription>> {
        let found = self.one(
            "SELECT notices, more_flags, queue FROM subscription WHERE product = ?1 AND kind = ?2",
            params![product.0, kind_code(kind)],
            |cols| Ok((Notices::from_bits(cols.take()?), cols.take()?, cols.take()?)),
        )?;
        let Some((notices, more_flags, queue)) = found else { return Ok(None) };
        let groups = match kind {
            SubscriptionKind::Mns => Vec::new(),
            SubscriptionKind::Amqp => self.list(
                select!(
                    "subscription_group s CROSS JOIN consumer_group g ON g.no = s.consumer_group
                     WHERE s.product = ?1 ORDER BY s.place"
                ),
                params![product.0],
                read,
            )?,
        };
        Ok(Some(Subscription { product, kind, notices, more_flags, queue, groups }))
    }
}

impl SubscriptionRows for Tx<'_> {
    fn insert_consumer_group(&mut self, new: &ConsumerGroup) -> Result<ConsumerGroupNo> {
        let ConsumerGroup { no: _, account, id, name, created_at } = new;
        insert(self, *account, id.as_str(), name, *created_at).map(ConsumerGroupNo)
    }

    fn rename_consumer_group(&mut self, group: ConsumerGroupNo, name: &str) -> Result<()> {
        self.run_one("UPDATE consumer_group SET name = ?2 WHERE no = ?1", params![group.0, name])
    }

    fn delete_consumer_group(&mut self, group: ConsumerGroupNo) -> Result<()> {
        self.run_one("DELETE FROM consumer_group WHERE no = ?1", params![group.0])
    }

    fn put_subscription(&mut self, subscription: &Subscription) -> Result<()> {
        let Subscription { product, kind, notices, more_flags, queue, groups } = subscription;
        self.run(
            "INSERT INTO subscription (product, kind, notices, more_flags, queue) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (product, kind) DO UPDATE SET notices = excluded.notices, more_flags = excluded.more_flags,
                 queue = excluded.queue",
            params![product.0, kind_code(*kind), notices.bits(), more_flags, queue],
        )?;
        if *kind == SubscriptionKind::Mns {
            return Ok(());
        }
        self.run("DELETE FROM subscription_group WHERE product = ?1", params![product.0])?;
        for (place, group) in groups.iter().enumerate() {
            self.run(
                "INSERT INTO subscription_group (product, place, consumer_group) VALUES (?1, ?2, ?3)",
                params![product.0, i64::try_from(place).unwrap_or(i64::MAX), group.no.0],
            )?;
        }
        Ok(())
    }

    fn delete_subscription(&mut self, product: ProductNo, kind: SubscriptionKind) -> Result<()> {
        self.run(
            "DELETE FROM subscription WHERE product = ?1 AND kind = ?2",
            params![product.0, kind_code(kind)],
        )?;
        if kind == SubscriptionKind::Amqp {
            self.run("DELETE FROM subscription_group WHERE product = ?1", params![product.0])?;
        }
        Ok(())
    }
}
