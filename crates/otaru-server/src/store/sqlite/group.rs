//! Groups of devices and their members.

use super::super::group::{GroupFilter, GroupRows, GroupView, Realm};
use super::super::{Listed, Page, Result};
use super::device;
use super::row::Cols;
use super::tx::{Tx, remember, skip};
use otaru_core::device::Device;
use otaru_core::group::{Group, GroupKind};
use otaru_core::id::{AccountNo, DeviceNo, GroupId, GroupNo, InstanceNo, JobNo, ProductNo};
use otaru_core::rule::Rule;
use otaru_core::version::ModuleName;
use rusqlite::params;
use std::rc::Rc;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT g.no, g.account, g.instance, g.id, g.name, g.description, g.parent, g.level, g.rule, g.children, ",
            "g.devices, g.created_at FROM ",
            $rest
        )
    };
}

/// Groups of a page that is found in an index alone.
macro_rules! page_of {
    ($condition:literal) => {
        concat!(
            select!("(SELECT no FROM device_group WHERE "),
            $condition,
            " AND (CAST(?1 AS TEXT) IS NULL OR instr(name, ?1) > 0) ORDER BY no DESC LIMIT ?2 OFFSET ?3) page
             CROSS JOIN device_group g ON g.no = page.no ORDER BY page.no DESC"
        )
    };
}

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Rc<Group>> {
    Ok(Rc::new(Group {
        no: GroupNo(cols.take()?),
        account: AccountNo(cols.take()?),
        instance: InstanceNo(cols.take()?),
        id: cols.parsed()?,
        name: cols.take()?,
        description: cols.take()?,
        parent: cols.take::<Option<i64>>()?.map(GroupNo),
        level: cols.take()?,
        rule: cols.decoded(|text: &Option<String>| match text {
            None => Some(None),
            Some(text) => Rule::parse(text).ok().map(Some),
        })?,
        children: cols.take()?,
        devices: cols.take::<i64>()?.unsigned_abs(),
        created_at: cols.time()?,
    }))
}

impl GroupView for Tx<'_> {
    fn group(&mut self, no: GroupNo) -> Result<Option<Rc<Group>>> {
        if let Some(group) = self.groups.get(&no) {
            return Ok(group.clone());
        }
        let group = self.one(select!("device_group g WHERE no = ?1"), params![no.0], read)?;
        remember(&mut self.groups, no, group.clone());
        Ok(group)
    }

    fn group_by_id(&mut self, id: &GroupId) -> Result<Option<Rc<Group>>> {
        self.one(select!("device_group g WHERE id = ?1"), params![id.as_str()], read)
    }

    fn group_name_exists(&mut self, realm: Realm, name: &str) -> Result<bool> {
        self.value(
            "SELECT EXISTS (SELECT 1 FROM device_group WHERE account = ?1 AND instance = ?2 AND name = ?3)",
            params![realm.account.0, realm.instance.0, name],
        )
    }

    fn group_count(&mut self, realm: Realm, kind: GroupKind) -> Result<u64> {
        self.count(
            "SELECT count(*) FROM device_group WHERE account = ?1 AND instance = ?2 AND is_dynamic = ?3",
            params![realm.account.0, realm.instance.0, kind == GroupKind::Dynamic],
        )
    }

    fn groups(&mut self, filter: &GroupFilter, page: Page) -> Result<Listed<Rc<Group>>> {
        let GroupFilter { realm: Realm { account, instance }, kind, parent, name } = filter;
        if let Some(parent) = parent {
            let total = self.count(
                "SELECT count(*) FROM device_group WHERE parent = ?1 AND (CAST(?2 AS TEXT) IS NULL OR instr(name, ?2) > 0)",
                params![parent.0, name],
            )?;
            let page = params![name, page.take, skip(page), parent.0];
            return Ok(Listed { rows: self.list(page_of!("parent = ?4"), page, read)?, total });
        }
        let is_dynamic = *kind == GroupKind::Dynamic;
        let total = self.count(
            "SELECT count(*) FROM device_group WHERE account = ?1 AND instance = ?2 AND is_dynamic = ?3
                 AND (CAST(?4 AS TEXT) IS NULL OR instr(name, ?4) > 0)",
            params![account.0, instance.0, is_dynamic, name],
        )?;
        let rows = self.list(
            page_of!("account = ?4 AND instance = ?5 AND is_dynamic = ?6"),
            params![name, page.take, skip(page), account.0, instance.0, is_dynamic],
            read,
        )?;
        Ok(Listed { rows, total })
    }

    fn child_groups(&mut self, parent: GroupNo) -> Result<Vec<GroupNo>> {
        self.list(
            "SELECT no FROM device_group WHERE parent = ?1 ORDER BY no",
            params![parent.0],
            |cols| cols.take().map(GroupNo),
        )
    }

    fn group_devices(&mut self, group: GroupNo, page: Page) -> Result<Vec<Device>> {
        device::members(self, group, page)
    }

    fn group_members(
        &mut self,
        group: GroupNo,
        after: DeviceNo,
        until: DeviceNo,
        limit: u32,
    ) -> Result<Vec<DeviceNo>> {
        self.list(
            "SELECT device FROM group_member WHERE grp = ?1 AND device > ?2 AND device <= ?3
             ORDER BY device LIMIT ?4",
            params![group.0, after.0, until.0, limit],
            |cols| cols.take().map(DeviceNo),
        )
    }

    fn active_members(&mut self, group: GroupNo) -> Result<u64> {
        self.count(
            "SELECT count(*) FROM group_member CROSS JOIN device ON device.no = group_member.device
             WHERE grp = ?1 AND activated_at IS NOT NULL",
            params![group.0],
        )
    }

    fn is_member(&mut self, group: GroupNo, device: DeviceNo) -> Result<bool> {
        self.value(
            "SELECT EXISTS (SELECT 1 FROM group_member WHERE grp = ?1 AND device = ?2)",
            params![group.0, device.0],
        )
    }

    fn groups_of_device(&mut self, device: DeviceNo) -> Result<Vec<Rc<Group>>> {
        self.list(
            select!(
                "(SELECT grp FROM group_member INDEXED BY group_of_device WHERE device = ?1 ORDER BY grp DESC) page
                 CROSS JOIN device_group g ON g.no = page.grp ORDER BY page.grp DESC"
            ),
            params![device.0],
            read,
        )
    }

    fn watched_modules(&mut self, product: ProductNo) -> Result<Vec<ModuleName>> {
        self.list(
            "SELECT DISTINCT module_key FROM job INDEXED BY job_watches
             WHERE product = ?1 AND group_no IS NOT NULL AND selection = 3 AND status = 1 ORDER BY module_key",
            params![product.0],
            |cols| cols.decoded(|text: &String| ModuleName::parse(text).ok()),
        )
    }

    fn is_any_group_watched(&mut self) -> Result<bool> {
        // The condition on the product always holds; it makes this one step in the index.
        self.value(
            "SELECT EXISTS (SELECT 1 FROM job INDEXED BY job_watches
                 WHERE product >= 0 AND group_no IS NOT NULL AND selection = 3 AND status = 1)",
            &[],
        )
    }

    fn jobs_of_dynamic_group(&mut self, group: GroupNo) -> Result<Vec<JobNo>> {
        self.list(
            "SELECT no FROM job WHERE group_no = ?1 AND group_no IS NOT NULL AND selection = 3 AND status = 1
             ORDER BY no",
            params![group.0],
            |cols| cols.take().map(JobNo),
        )
    }

    fn group_fills_job(&mut self, group: GroupNo) -> Result<bool> {
        self.value(
            "SELECT EXISTS (SELECT 1 FROM job INDEXED BY job_fills_group
                 WHERE group_no = ?1 AND group_no IS NOT NULL AND fill_after IS NOT NULL)",
            params![group.0],
        )
    }

    fn products_of(&mut self, realm: Realm) -> Result<Vec<ProductNo>> {
        self.list(
            "SELECT no FROM product INDEXED BY product_of_account
             WHERE account = ?1 AND instance = ?2 AND deleted_at IS NULL ORDER BY no DESC",
            params![realm.account.0, realm.instance.0],
            |cols| cols.take().map(ProductNo),
        )
    }

    fn versions(&mut self, device: DeviceNo) -> Result<Vec<(String, String)>> {
        self.list(
            "SELECT module, version FROM device_version WHERE device = ?1 ORDER BY module",
            params![device.0],
            |cols| Ok((cols.take()?, cols.take()?)),
        )
    }
}

impl GroupRows for Tx<'_> {
    fn insert_group(&mut self, new: &Group) -> Result<GroupNo> {
        let Group {
            no: _,
            account,
            instance,
            id,
            name,
            description,
            parent,
            level,
            rule,
            children: _,
            devices: _,
            created_at,
        } = new;
        let no = self.insert(
            "INSERT INTO device_group (account, instance, id, name, description, parent, level, rule, is_dynamic,
                 created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                account.0,
                instance.0,
                id.as_str(),
                name,
                description,
                parent.map(|parent| parent.0),
                level,
                rule.as_ref().map(Rule::as_str),
                rule.is_some(),
                created_at.0
            ],
        )?;
        if let Some(parent) = parent {
            self.groups.remove(parent);
            self.run_one(
                "UPDATE device_group SET children = children + 1 WHERE no = ?1",
                params![parent.0],
            )?;
        }
        self.groups.remove(&GroupNo(no));
        Ok(GroupNo(no))
    }

    fn describe_group(&mut self, no: GroupNo, description: &str) -> Result<()> {
        self.groups.remove(&no);
        self.run_one(
            "UPDATE device_group SET description = ?2 WHERE no = ?1",
            params![no.0, description],
        )
    }

    fn delete_group(&mut self, group: &Group) -> Result<()> {
        self.groups.remove(&group.no);
        self.run_one("DELETE FROM device_group WHERE no = ?1", params![group.no.0])?;
        if let Some(parent) = group.parent {
            self.groups.remove(&parent);
            self.run_one(
                "UPDATE device_group SET children = children - 1 WHERE no = ?1",
                params![parent.0],
            )?;
        }
        self.run("DELETE FROM group_member WHERE grp = ?1", params![group.no.0])?;
        Ok(())
    }

    fn insert_member(&mut self, group: GroupNo, device: DeviceNo) -> Result<()> {
        self.run(
            "INSERT INTO group_member (grp, device) VALUES (?1, ?2)",
            params![group.0, device.0],
        )?;
        count_members(self, group, 1)
    }

    fn delete_member(&mut self, group: GroupNo, device: DeviceNo) -> Result<bool> {
        let was = self.run(
            "DELETE FROM group_member WHERE grp = ?1 AND device = ?2",
            params![group.0, device.0],
        )?;
        if was > 0 {
            count_members(self, group, -1)?;
        }
        Ok(was > 0)
    }

    fn leave_groups(&mut self, device: DeviceNo) -> Result<()> {
        for group in self.groups_of_device(device)? {
            self.delete_member(group.no, device)?;
        }
        Ok(())
    }
}

fn count_members(tx: &mut Tx<'_>, group: GroupNo, more: i64) -> Result<()> {
    tx.groups.remove(&group);
    tx.run_one(
        "UPDATE device_group SET devices = devices + ?2 WHERE no = ?1",
        params![group.0, more],
    )
}
