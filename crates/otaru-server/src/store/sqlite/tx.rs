//! One transaction or snapshot: what both traits do, by handing each noun its part.

use super::super::postgres::Session;
use super::super::{
    About, Listed, ModuleRows, Nonce, PackageFilter, Page, Result, Rows, StoreError, Upload, View,
};
use super::conn::Conn;
use super::row::Cols;
use super::{apply, device, job, known, nonce, package, product, task, upload};
use crate::planted::{self, Bug};
use crate::random::Random;
use otaru_core::device::Device;
use otaru_core::group::Group;
use otaru_core::hash::Map;
use otaru_core::id::{
    AccountNo, DeviceName, DeviceNo, FirmwareId, GroupNo, InstanceNo, IotId, JobId, JobNo,
    PackageNo, ProductKey, ProductNo, TaskId, TaskNo,
};
use otaru_core::job::{Counts, Job, StatusSet};
use otaru_core::module::Module;
use otaru_core::package::{Package, PackageStatus};
use otaru_core::product::Product;
use otaru_core::task::{Task, TaskStatus};
use otaru_core::time::Timestamp;
use otaru_core::version::{ModuleName, Version};
use rusqlite::ToSql;
use rusqlite::types::FromSql;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Rows of a kind that a transaction keeps at hand: a batch is about few products, packages and jobs.
const CACHED: usize = 1_024;

pub struct Tx<'c> {
    conn: Conn<'c>,
    random: &'c Random,
    products: Map<ProductNo, Option<Rc<Product>>>,
    packages: Map<PackageNo, Option<Rc<Package>>>,
    jobs: Map<JobNo, Option<Rc<Job>>>,
    pub(super) groups: Map<GroupNo, Option<Rc<Group>>>,
    /// What the transaction adds to the counts and has not written yet.
    counts: BTreeMap<JobNo, Counts>,
}

/// Rows before the page, as SQLite takes them.
pub fn skip(page: Page) -> i64 {
    i64::try_from(page.skip).unwrap_or(i64::MAX)
}

impl<'c> Tx<'c> {
    pub fn new(conn: Conn<'c>, random: &'c Random) -> Self {
        Self {
            conn,
            random,
            products: Map::default(),
            packages: Map::default(),
            jobs: Map::default(),
            groups: Map::default(),
            counts: BTreeMap::new(),
        }
    }

    pub fn one<T>(
        &self,
        sql: &str,
        params: &[&dyn ToSql],
        read: impl FnOnce(&mut Cols<'_, '_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.conn.one(sql, params, read)
    }

    pub fn list<T>(
        &self,
        sql: &str,
        params: &[&dyn ToSql],
        read: impl FnMut(&mut Cols<'_, '_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.conn.list(sql, params, read)
    }

    /// The one value of a query that always has one.
    pub fn value<T: FromSql>(&self, sql: &str, params: &[&dyn ToSql]) -> Result<T> {
        let value = self.conn.one(sql, params, take_first)?;
        value.ok_or_else(|| StoreError::Engine(format!("a query gave no row: {sql}")))
    }

    pub fn count(&self, sql: &str, params: &[&dyn ToSql]) -> Result<u64> {
        self.value::<i64>(sql, params).map(|n| u64::try_from(n).unwrap_or(0))
    }

    pub fn run(&self, sql: &str, params: &[&dyn ToSql]) -> Result<usize> {
        self.conn.run(sql, params)
    }

    /// Changes a row that must be there.
    pub fn run_one(&self, sql: &str, params: &[&dyn ToSql]) -> Result<()> {
        match self.run(sql, params)? {
            1 => Ok(()),
            _ => Err(StoreError::Engine(format!("a row to change is not there: {sql}"))),
        }
    }

    /// Inserts a row and returns its number.
    pub fn insert(&self, sql: &str, params: &[&dyn ToSql]) -> Result<i64> {
        self.conn.insert(sql, params)
    }

    /// The connection of a batch that knows rows without asking: PostgreSQL's.
    pub fn knowing(&self) -> Option<&'c Session> {
        self.conn.knowing()
    }

    /// The connection, when it is one to PostgreSQL.
    pub fn postgres(&self) -> Option<&'c Session> {
        self.conn.postgres()
    }

    /// A product's row is about to change.
    pub fn forget_product(&mut self, no: ProductNo) {
        self.products.remove(&no);
    }

    /// Writes the counts that the transaction changed.
    pub fn flush_counts(&mut self) -> Result<()> {
        for (job, more) in std::mem::take(&mut self.counts) {
            if more != Counts::default() {
                job::add_counts(self, job, more)?;
            }
        }
        Ok(())
    }
}

fn take_first<T: FromSql>(cols: &mut Cols<'_, '_>) -> rusqlite::Result<T> {
    cols.take()
}

pub(super) fn remember<K: std::hash::Hash + Eq, V>(cache: &mut Map<K, V>, key: K, value: V) {
    if cache.len() >= CACHED {
        cache.clear();
    }
    cache.insert(key, value);
}

impl View for Tx<'_> {
    fn nonces(&mut self, now: Timestamp) -> Result<Vec<Nonce>> {
        nonce::remembered(self, now)
    }

    fn product(&mut self, no: ProductNo) -> Result<Option<Rc<Product>>> {
        if let Some(product) = self.products.get(&no) {
            return Ok(product.clone());
        }
        let product = product::by_no(self, no)?;
        remember(&mut self.products, no, product.clone());
        Ok(product)
    }

    fn product_by_key(&mut self, key: &ProductKey) -> Result<Option<Rc<Product>>> {
        product::by_key(self, key)
    }

    fn product_name_exists(
        &mut self,
        account: AccountNo,
        instance: InstanceNo,
        name: &str,
    ) -> Result<bool> {
        product::name_exists(self, account, instance, name)
    }

    fn product_count(&mut self, account: AccountNo, instance: InstanceNo) -> Result<u64> {
        product::count(self, account, instance)
    }

    fn device(&mut self, no: DeviceNo) -> Result<Option<Device>> {
        device::by_no(self, no)
    }

    fn device_by_name(&mut self, product: ProductNo, name: &DeviceName) -> Result<Option<Device>> {
        device::by_name(self, product, name)
    }

    fn device_by_iot_id(&mut self, id: &IotId) -> Result<Option<Device>> {
        device::by_iot_id(self, id)
    }

    fn device_count(&mut self, product: ProductNo) -> Result<u64> {
        device::count_of_product(self, product)
    }

    fn account_device_count(&mut self, account: AccountNo) -> Result<u64> {
        device::count_of_account(self, account)
    }

    fn devices(&mut self, product: ProductNo, page: Page) -> Result<Vec<Device>> {
        device::page(self, product, page)
    }

    fn devices_before(
        &mut self,
        product: ProductNo,
        before: DeviceNo,
        limit: u32,
    ) -> Result<Vec<Device>> {
        device::before(self, product, before, limit)
    }

    fn device_versions(
        &mut self,
        product: ProductNo,
        module: &ModuleName,
        after: DeviceNo,
        until: DeviceNo,
        limit: u32,
    ) -> Result<Vec<(DeviceNo, Option<Version>)>> {
        device::versions(self, product, module, after, until, limit)
    }

    fn named_versions(
        &mut self,
        product: ProductNo,
        module: &ModuleName,
        names: &[DeviceName],
    ) -> Result<Vec<Option<(DeviceNo, Option<Version>)>>> {
        device::named_versions(self, product, module, names)
    }

    fn last_device(&mut self) -> Result<DeviceNo> {
        device::last(self)
    }

    fn version(&mut self, device: DeviceNo, module: &ModuleName) -> Result<Option<Version>> {
        device::version(self, device, module)
    }

    fn upload(&mut self, key: &str) -> Result<Option<Upload>> {
        upload::by_key(self, key)
    }

    fn package(&mut self, no: PackageNo) -> Result<Option<Rc<Package>>> {
        if let Some(package) = self.packages.get(&no) {
            return Ok(package.clone());
        }
        let package = package::by_no(self, no)?;
        remember(&mut self.packages, no, package.clone());
        Ok(package)
    }

    fn package_by_id(&mut self, id: &FirmwareId) -> Result<Option<Rc<Package>>> {
        package::by_id(self, id)
    }

    fn package_name_exists(&mut self, account: AccountNo, name: &str) -> Result<bool> {
        package::name_exists(self, account, name)
    }

    fn package_version_exists(
        &mut self,
        product: ProductNo,
        module: &ModuleName,
        is_delta: bool,
        src: Option<&Version>,
        dest: &Version,
    ) -> Result<bool> {
        package::version_exists(self, product, module, is_delta, src, dest)
    }

    fn package_count(&mut self, account: AccountNo) -> Result<u64> {
        package::count(self, account)
    }

    fn packages(&mut self, filter: &PackageFilter, page: Page) -> Result<Listed<Rc<Package>>> {
        package::list(self, filter, page)
    }

    fn blob_is_used(&mut self, sha256: &str) -> Result<bool> {
        package::blob_is_used(self, sha256)
    }

    fn job(&mut self, no: JobNo) -> Result<Option<Rc<Job>>> {
        if let Some(job) = self.jobs.get(&no) {
            return Ok(job.clone());
        }
        let job = job::by_no(self, no)?;
        remember(&mut self.jobs, no, job.clone());
        Ok(job)
    }

    fn job_by_id(&mut self, id: &JobId) -> Result<Option<Rc<Job>>> {
        job::by_id(self, id)
    }

    fn jobs_of_package(&mut self, package: PackageNo, page: Page) -> Result<Listed<Rc<Job>>> {
        job::of_package(self, package, page)
    }

    fn jobs_of_device(
        &mut self,
        package: PackageNo,
        device: DeviceNo,
        page: Page,
    ) -> Result<Listed<Rc<Job>>> {
        job::of_device(self, package, device, page)
    }

    fn package_is_busy(&mut self, package: PackageNo) -> Result<bool> {
        self.flush_counts()?;
        job::package_is_busy(self, package)
    }

    fn running_dynamic_job(&mut self, package: PackageNo) -> Result<Option<JobNo>> {
        job::running_dynamic(self, package)
    }

    fn dynamic_jobs(&mut self, product: ProductNo, module: &ModuleName) -> Result<Vec<Rc<Job>>> {
        job::dynamic(self, product, module)
    }

    fn last_verify_job(&mut self, package: PackageNo) -> Result<Option<JobNo>> {
        job::last_verify(self, package)
    }

    fn planned_tasks(&mut self, from: Timestamp, until: Timestamp) -> Result<u64> {
        job::planned_tasks(self, from, until)
    }

    fn counts(&mut self, job: JobNo) -> Result<Counts> {
        let mut counts = job::counts(self, job)?;
        if let Some(more) = self.counts.get(&job) {
            for status in TaskStatus::ALL {
                counts.add(status, more.get(status));
            }
        }
        Ok(counts)
    }

    fn task(&mut self, no: TaskNo) -> Result<Option<Task>> {
        task::by_no(self, no)
    }

    fn task_of(&mut self, device: DeviceNo, no: TaskNo) -> Result<Option<Task>> {
        task::of(self, device, no)
    }

    fn task_by_id(&mut self, id: &TaskId) -> Result<Option<Task>> {
        task::by_id(self, id)
    }

    fn unfinished_tasks(&mut self, device: DeviceNo) -> Result<Vec<Task>> {
        task::unfinished(self, device)
    }

    fn tasks_of_device(&mut self, job: JobNo, device: DeviceNo) -> Result<Vec<Task>> {
        task::of_device(self, job, device)
    }

    fn has_task_of_package(&mut self, package: PackageNo, device: DeviceNo) -> Result<bool> {
        task::of_package_exists(self, package, device)
    }

    fn tasks(&mut self, job: JobNo, status: Option<TaskStatus>, page: Page) -> Result<Vec<Task>> {
        task::page(self, job, status, page)
    }

    fn tasks_after(
        &mut self,
        job: JobNo,
        statuses: StatusSet,
        after: TaskNo,
        limit: u32,
    ) -> Result<Vec<Task>> {
        task::after(self, job, statuses, after, limit)
    }

    fn due_tasks(&mut self, now: Timestamp, limit: u32) -> Result<Vec<TaskNo>> {
        task::due(self, now, limit)
    }

    fn due_jobs(&mut self, now: Timestamp, limit: u32) -> Result<Vec<JobNo>> {
        job::due(self, now, limit)
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>> {
        let due = [
            task::next_due(self)?,
            job::next_due(self)?,
            product::next_due(self)?,
            apply::next_due(self)?,
        ];
        Ok(due.into_iter().flatten().min())
    }
}

impl Rows for Tx<'_> {
    fn insert_nonces(&mut self, nonces: &[Nonce]) -> Result<()> {
        nonce::insert(self, nonces)
    }

    fn purge(
        &mut self,
        now: Timestamp,
        unused_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>> {
        nonce::purge(self, now, limit)?;
        upload::purge(self, unused_before, limit)
    }

    fn insert_product(&mut self, new: &Product) -> Result<ProductNo> {
        let no = product::insert(self, new)?;
        self.products.remove(&no);
        // Every product has it from the start.
        let default = Module {
            name: ModuleName::default(),
            alias: String::new(),
            description: String::new(),
            created_at: new.created_at,
            modified_at: new.created_at,
        };
        self.insert_module(no, &default)?;
        Ok(no)
    }

    fn insert_device(&mut self, account: AccountNo, new: &Device) -> Result<DeviceNo> {
        device::insert(self, account, new)
    }

    fn note_online(&mut self, device: DeviceNo, at: Timestamp, address: &str) -> Result<()> {
        device::note_online(self, device, at, address)
    }

    fn put_version(
        &mut self,
        device: DeviceNo,
        module: &ModuleName,
        version: &Version,
        at: Timestamp,
    ) -> Result<()> {
        device::put_version(self, device, module, version, at)
    }

    fn insert_upload(&mut self, new: &Upload) -> Result<()> {
        upload::insert(self, new)
    }

    fn update_upload(&mut self, upload: &Upload) -> Result<()> {
        upload::update(self, upload)
    }

    fn insert_package(&mut self, new: &Package) -> Result<PackageNo> {
        let no = package::insert(self, new)?;
        self.packages.remove(&no);
        Ok(no)
    }

    fn set_package_status(
        &mut self,
        no: PackageNo,
        status: PackageStatus,
        percent: u32,
        now: Timestamp,
    ) -> Result<()> {
        self.packages.remove(&no);
        package::set_status(self, no, status, percent, now)
    }

    fn update_package(&mut self, package: &Package) -> Result<()> {
        self.packages.remove(&package.no);
        package::update(self, package)
    }

    fn delete_package(&mut self, no: PackageNo, now: Timestamp) -> Result<()> {
        self.packages.remove(&no);
        package::delete(self, no, now)
    }

    fn insert_job(&mut self, new: &Job) -> Result<JobNo> {
        let package = self.package(new.package)?;
        let package = package
            .ok_or_else(|| StoreError::Engine("the package of a new job is not there".into()))?;
        let no = job::insert(self, new, &package.module)?;
        self.jobs.remove(&no);
        Ok(no)
    }

    fn update_job(&mut self, job: &Job) -> Result<()> {
        self.jobs.remove(&job.no);
        job::update(self, job.no, job)
    }

    fn update_job_policy(&mut self, job: &Job) -> Result<()> {
        self.jobs.remove(&job.no);
        job::update_policy(self, job)
    }

    fn insert_task(&mut self, new: &Task) -> Result<TaskNo> {
        let no = task::insert(self, new)?;
        self.counts.entry(new.job).or_default().add(new.status, 1);
        Ok(no)
    }

    fn update_task(&mut self, before: &Task, after: &Task) -> Result<()> {
        task::update(self, before, after)?;
        let is_counted = after.status != TaskStatus::Failed || !planted::is(Bug::UncountedFailures);
        if before.status != after.status && is_counted {
            let counts = self.counts.entry(before.job).or_default();
            counts.add(before.status, -1);
            counts.add(after.status, 1);
        }
        Ok(())
    }

    fn prefetch(&mut self, about: &[About]) -> Result<()> {
        match self.knowing() {
            Some(session) => known::prefetch(session, about),
            None => Ok(()),
        }
    }

    fn random(&mut self) -> u128 {
        self.random.number()
    }
}
