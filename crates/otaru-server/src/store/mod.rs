//! What the server needs kept, in the words of the domain.
//!
//! A change is a closure over [`Rows`]: it reads, lets the core decide on the rows as they are, and writes. The
//! [`writer`] drains waiting changes into one transaction and answers all of them after its commit. Reads are closures
//! over a [`View`], a snapshot. Each engine implements both traits by hand and passes the `contract`.

mod account;
mod apply;
#[cfg(test)]
mod contract;
mod file;
mod fleet;
mod group;
mod model;
mod module;
pub mod postgres;
mod retained;
mod session;
mod shadow;
pub mod sqlite;
mod subscription;
mod tag;
mod topic_class;
mod topology;
pub mod transfer;
mod writer;

pub use account::*;
pub use apply::{ApplyRows, ApplyView};
pub use file::{FileRows, FileView};
pub use fleet::*;
pub use group::{GroupFilter, GroupRows, GroupView, Realm};
pub use model::*;
pub use module::{ModuleRows, ModuleView};
pub use retained::{RetainedRows, RetainedView, Shelf};
pub use session::{SessionRows, SessionView};
pub use shadow::{ShadowRows, ShadowView};
pub use subscription::{SubscriptionRows, SubscriptionView};
pub use tag::{TagPair, TagRows, TagView};
pub use topic_class::{TopicClassRows, TopicClassView};
pub use topology::{TopologyRows, TopologyView};
pub use writer::{About, Store, StoreHandle, Waiting};

use otaru_core::device::Device;
use otaru_core::id::{
    AccountNo, DeviceName, DeviceNo, FirmwareId, InstanceNo, IotId, JobId, JobNo, PackageNo,
    ProductKey, ProductNo, TaskId, TaskNo,
};
use otaru_core::job::{Counts, Job, StatusSet};
use otaru_core::package::{Package, PackageStatus};
use otaru_core::product::Product;
use otaru_core::task::Task;
use otaru_core::time::Timestamp;
use otaru_core::version::{ModuleName, Version};
use std::rc::Rc;

/// Why a change or a read did not happen. The cause is for the log; nothing was written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// More changes wait than the queue holds, or the store is shutting down.
    #[error("the store takes no more work now")]
    Busy,
    /// The engine failed: disk full, damaged file, broken connection.
    #[error("the store failed: {0}")]
    Engine(String),
    /// The engine can't be reached now; it is tried again with the next change.
    #[error("the store can't be reached: {0}")]
    Unreachable(String),
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// Reads of one snapshot. Lists are in the order that the API shows: newest first, ties by number, unless said
/// otherwise. A [`Page`] never makes the engine read more rows than it returns plus an index walk to its start.
pub trait View:
    AccountView
    + ApplyView
    + FileView
    + FleetView
    + GroupView
    + ModuleView
    + RetainedView
    + SessionView
    + ShadowView
    + SubscriptionView
    + TagView
    + TopicClassView
    + TopologyView
{
    /// Nonces that are remembered at `now`, for refilling memory at start.
    fn nonces(&mut self, now: Timestamp) -> Result<Vec<Nonce>>;

    fn product(&mut self, no: ProductNo) -> Result<Option<Rc<Product>>>;
    fn product_by_key(&mut self, key: &ProductKey) -> Result<Option<Rc<Product>>>;
    fn product_name_exists(
        &mut self,
        account: AccountNo,
        instance: InstanceNo,
        name: &str,
    ) -> Result<bool>;
    fn product_count(&mut self, account: AccountNo, instance: InstanceNo) -> Result<u64>;

    fn device(&mut self, no: DeviceNo) -> Result<Option<Device>>;
    fn device_by_name(&mut self, product: ProductNo, name: &DeviceName) -> Result<Option<Device>>;
    fn device_by_iot_id(&mut self, id: &IotId) -> Result<Option<Device>>;
    fn device_count(&mut self, product: ProductNo) -> Result<u64>;
    fn account_device_count(&mut self, account: AccountNo) -> Result<u64>;
    /// Devices of a product, newest first.
    fn devices(&mut self, product: ProductNo, page: Page) -> Result<Vec<Device>>;
    /// Devices of a product below `before`, by falling number.
    fn devices_before(
        &mut self,
        product: ProductNo,
        before: DeviceNo,
        limit: u32,
    ) -> Result<Vec<Device>>;
    /// Devices with a number in `after + 1 ..= until`, by rising number, with their version of `module`.
    fn device_versions(
        &mut self,
        product: ProductNo,
        module: &ModuleName,
        after: DeviceNo,
        until: DeviceNo,
        limit: u32,
    ) -> Result<Vec<(DeviceNo, Option<Version>)>>;
    /// The device of each name, where the product has one, with its version of `module`.
    fn named_versions(
        &mut self,
        product: ProductNo,
        module: &ModuleName,
        names: &[DeviceName],
    ) -> Result<Vec<Option<(DeviceNo, Option<Version>)>>>;
    /// The highest number of a device so far, 0 when there is none.
    fn last_device(&mut self) -> Result<DeviceNo>;
    fn version(&mut self, device: DeviceNo, module: &ModuleName) -> Result<Option<Version>>;

    fn upload(&mut self, key: &str) -> Result<Option<Upload>>;

    /// Also packages that were deleted: their jobs and tasks stay.
    fn package(&mut self, no: PackageNo) -> Result<Option<Rc<Package>>>;
    /// Not packages that were deleted.
    fn package_by_id(&mut self, id: &FirmwareId) -> Result<Option<Rc<Package>>>;
    fn package_name_exists(&mut self, account: AccountNo, name: &str) -> Result<bool>;
    /// Whether a package of the same product, module, kind, destination and, for a delta, source exists.
    fn package_version_exists(
        &mut self,
        product: ProductNo,
        module: &ModuleName,
        is_delta: bool,
        src: Option<&Version>,
        dest: &Version,
    ) -> Result<bool>;
    fn package_count(&mut self, account: AccountNo) -> Result<u64>;
    fn packages(&mut self, filter: &PackageFilter, page: Page) -> Result<Listed<Rc<Package>>>;
    /// Whether a package that is not deleted has a file of these contents, or an upload that no call has used yet does.
    fn blob_is_used(&mut self, sha256: &str) -> Result<bool>;

    fn job(&mut self, no: JobNo) -> Result<Option<Rc<Job>>>;
    fn job_by_id(&mut self, id: &JobId) -> Result<Option<Rc<Job>>>;
    fn jobs_of_package(&mut self, package: PackageNo, page: Page) -> Result<Listed<Rc<Job>>>;
    /// Jobs of a package that have a task of the device, in whatever status; the total counts jobs.
    fn jobs_of_device(
        &mut self,
        package: PackageNo,
        device: DeviceNo,
        page: Page,
    ) -> Result<Listed<Rc<Job>>>;
    /// Whether the package has a job that is `Planned` or `InProgress`, or any unfinished task.
    fn package_is_busy(&mut self, package: PackageNo) -> Result<bool>;
    fn running_dynamic_job(&mut self, package: PackageNo) -> Result<Option<JobNo>>;
    /// Dynamic jobs of a product and module that are `InProgress`, newest first.
    fn dynamic_jobs(&mut self, product: ProductNo, module: &ModuleName) -> Result<Vec<Rc<Job>>>;
    /// The newest verification job of a package.
    fn last_verify_job(&mut self, package: PackageNo) -> Result<Option<JobNo>>;
    fn counts(&mut self, job: JobNo) -> Result<Counts>;
    /// Tasks of the jobs that are `Planned` for a time from `from` up to, but not at, `until`.
    fn planned_tasks(&mut self, from: Timestamp, until: Timestamp) -> Result<u64>;

    fn task(&mut self, no: TaskNo) -> Result<Option<Task>>;
    /// A task of a device: for an engine that looks devices up more easily.
    fn task_of(&mut self, device: DeviceNo, no: TaskNo) -> Result<Option<Task>>;
    fn task_by_id(&mut self, id: &TaskId) -> Result<Option<Task>>;
    /// Unfinished tasks of a device, oldest first.
    fn unfinished_tasks(&mut self, device: DeviceNo) -> Result<Vec<Task>>;
    /// Tasks of a device in a job, newest first.
    fn tasks_of_device(&mut self, job: JobNo, device: DeviceNo) -> Result<Vec<Task>>;
    /// Whether a device has a task, in whatever status, in a job of the package.
    fn has_task_of_package(&mut self, package: PackageNo, device: DeviceNo) -> Result<bool>;
    /// Tasks of a job, newest first, of one status or all.
    fn tasks(
        &mut self,
        job: JobNo,
        status: Option<otaru_core::task::TaskStatus>,
        page: Page,
    ) -> Result<Vec<Task>>;
    /// Tasks of a job in one of `statuses` with a number above `after`, by rising number.
    fn tasks_after(
        &mut self,
        job: JobNo,
        statuses: StatusSet,
        after: TaskNo,
        limit: u32,
    ) -> Result<Vec<Task>>;

    /// Tasks whose retry or timeout is due at `now`, earliest first.
    fn due_tasks(&mut self, now: Timestamp, limit: u32) -> Result<Vec<TaskNo>>;
    /// Jobs with something to do at `now` (see `Job::due_at`), earliest first.
    fn due_jobs(&mut self, now: Timestamp, limit: u32) -> Result<Vec<JobNo>>;
    /// The earliest deadline of all tasks and jobs.
    fn next_due(&mut self) -> Result<Option<Timestamp>>;
}

/// One transaction. Whatever it changes is kept with it or not at all.
pub trait Rows:
    View
    + AccountRows
    + ApplyRows
    + FileRows
    + FleetRows
    + GroupRows
    + ModuleRows
    + RetainedRows
    + SessionRows
    + ShadowRows
    + SubscriptionRows
    + TagRows
    + TopicClassRows
    + TopologyRows
{
    fn insert_nonces(&mut self, nonces: &[Nonce]) -> Result<()>;
    /// Forgets nonces that expired and uploads that nobody used, oldest first, at most `limit` of each; returns the
    /// digests of the uploads' files.
    fn purge(
        &mut self,
        now: Timestamp,
        unused_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>>;

    fn insert_product(&mut self, new: &Product) -> Result<ProductNo>;

    fn insert_device(&mut self, account: AccountNo, new: &Device) -> Result<DeviceNo>;
    /// Notes that the device came online; the first time activates it.
    fn note_online(&mut self, device: DeviceNo, at: Timestamp, address: &str) -> Result<()>;
    fn put_version(
        &mut self,
        device: DeviceNo,
        module: &ModuleName,
        version: &Version,
        at: Timestamp,
    ) -> Result<()>;

    fn insert_upload(&mut self, new: &Upload) -> Result<()>;
    fn update_upload(&mut self, upload: &Upload) -> Result<()>;

    fn insert_package(&mut self, new: &Package) -> Result<PackageNo>;
    fn set_package_status(
        &mut self,
        no: PackageNo,
        status: PackageStatus,
        percent: u32,
        now: Timestamp,
    ) -> Result<()>;
    /// Writes what a caller may change of a package: name, description, custom text, and the time of it.
    fn update_package(&mut self, package: &Package) -> Result<()>;
    fn delete_package(&mut self, no: PackageNo, now: Timestamp) -> Result<()>;

    fn insert_job(&mut self, new: &Job) -> Result<JobNo>;
    /// Writes all that can change of a job: status, times, fill, sweep, bucket.
    fn update_job(&mut self, job: &Job) -> Result<()>;
    /// Writes what a caller may change of a running job: rate, timeout, tags and source versions.
    fn update_job_policy(&mut self, job: &Job) -> Result<()>;

    /// Inserts a task and counts it; `new.no` is not looked at.
    fn insert_task(&mut self, new: &Task) -> Result<TaskNo>;
    /// Writes what differs between `before`, the row as it is, and `after`, and moves the counts.
    fn update_task(&mut self, before: &Task, after: &Task) -> Result<()>;

    /// Lets the engine fetch at once what changes are going to ask for one after the other.
    fn prefetch(&mut self, about: &[About]) -> Result<()>;

    /// A random number, for new ids.
    fn random(&mut self) -> u128;
}

/// An engine: one writer and any number of readers.
pub trait Engine: Send + 'static {
    /// Runs `work` in one transaction and commits it to stable storage; an error rolls all of it back.
    fn transact(&mut self, work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>) -> Result<()>;
    /// Runs `work` on one snapshot, on the writer's own connection: for the inline executor.
    fn view(&mut self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()>;
    /// A reader for another thread; `None` when all reads must go through the writer.
    fn reader(&self) -> Result<Option<Box<dyn Reader>>>;
}

/// Reads on a thread of its own, while the writer goes on.
pub trait Reader: Send + 'static {
    fn view(&mut self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()>;
}
