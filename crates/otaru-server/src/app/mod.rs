//! What the server can do: one file per noun, called by every door.
//!
//! A use case that changes something runs as one change of the store: it reads, asks the core, checks everything, and
//! only then writes. What must happen in the world afterwards is collected as [`effect::Effects`] and happens after
//! the commit.

mod account;
mod apply;
mod ask;
mod block;
mod broadcast;
mod cancel;
mod create;
mod device;
mod device_http;
mod devices;
mod dispatch;
mod due;
mod dynamic;
mod dynamic_group;
mod effect;
mod error;
mod file;
mod forget;
mod group;
mod housekeep;
mod identities;
mod job;
mod list;
mod listed;
mod lookup;
mod module;
mod named_task;
pub mod operator;
mod package;
mod presence;
mod product;
mod publish;
mod push;
mod registration;
mod report;
mod retained;
mod rrpc;
mod select;
mod session;
mod shadow;
mod status;
mod subscription;
mod survey;
mod tag;
mod task;
mod topic_class;
mod topology;
mod topology_change;
mod unfinished;
mod update;
mod upload;

pub use account::{Caller, Credentials, Signer};
pub use apply::{BATCH_MAX, BadName, NameFault};
pub use cancel::CancelFlags;
pub use device::{DeviceDetail, DeviceKey, DevicesFrom, NewDevice};
pub use devices::Gatekeeper;
pub use dynamic_group::{Member, MemberFilter, MemberPage, MembersFrom, NameFilter};
pub use error::{AppError, Result};
pub use group::{DevicePair, GroupView, NewGroup, Relations};
pub use job::{JobView, NewJob, Target};
pub use module::{DeviceVersions, ModuleChange, NewModule};
pub use package::{NewFile, NewPackage, PackageView};
pub use product::NewProduct;
pub use rrpc::{RrpcAnswer, RrpcRequest};
pub use shadow::refused as shadow_refused;
pub use status::{Statistics, StatusPage};
pub use subscription::{GroupFilter, NewSubscription};
pub use task::{TaskFilter, TaskView};
pub use topic_class::ClassText;
pub use unfinished::{DevicesOfPackage, Unfinished};
pub use update::PackageChange;
pub use upload::{Slot, UploadSlot};

use crate::clock::Clock;
use crate::files::{Files, Urls};
use crate::mqtt::Registry;
use crate::random::Random;
use crate::store::{Rows, Store, View};
use block::Blocks;
use dispatch::Dispatcher;
use effect::{Effects, Follower};
use otaru_core::session::SessionLimits;
use otaru_core::shadow::ShadowLimits;
use otaru_core::time::Timestamp;
use std::sync::Arc;

/// Bounds that an operator may set. Every one has a name in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Packages of an account.
    pub packages_max: u64,
    /// Products of an account.
    pub products_max: u64,
    /// Consumer groups of an account, the default one among them.
    pub consumer_groups_max: u64,
    /// Devices of an account; `None`: no cap.
    pub devices_max: Option<u64>,
    /// Bytes of a package file.
    pub package_bytes_max: u64,
    /// Bytes of a file of device names.
    pub device_list_bytes_max: u64,
    /// Devices of a job; `None`: no cap.
    pub job_devices_max: Option<u64>,
    /// Devices of all jobs that are scheduled for one minute; `None`: no cap.
    pub minute_devices_max: Option<u64>,
    /// Devices of a new dynamic group; `None`: no cap.
    pub group_devices_max: Option<u64>,
    /// Pushes per minute of the whole server; 0: no cap.
    pub pushes_per_minute: u32,
    /// First pushes per minute of a job that names no rate; 0: no cap.
    pub job_pushes_per_minute: u32,
    /// Milliseconds between a device's connect and its push, unless it reports its version before.
    pub grace_ms: u64,
    /// Blocks per second of one device that downloads through MQTT; 0: no cap.
    pub blocks_per_second: u32,
    /// Blocks per second of all devices together; 0: no cap.
    pub blocks_per_second_total: u32,
    /// Bytes of files that are kept in memory for blocks.
    pub block_cache_bytes: u64,
    /// Bytes of rows that the store may know without asking its database, about.
    pub store_cache_bytes: usize,
    /// Attributes that a shadow's device has reported, and as many that are wanted of it.
    pub shadow_attributes_max: usize,
    /// Bytes of a shadow.
    pub shadow_bytes_max: usize,
    /// Sub-devices of one gateway: attached, and logged in.
    pub sub_devices_max: u32,
    /// Logins of sub-devices per second through one gateway; 0: no cap.
    pub sub_logins_per_second: u32,
    /// Logins of one sub-device per minute; 0: no cap.
    pub sub_logins_per_minute: u32,
    /// Messages that are retained of one device, and as many of one product's broadcasts; 0: none are.
    pub retained_messages_max: u32,
    /// Bytes of them: topics and payloads.
    pub retained_bytes_max: u64,
    /// Sessions that outlive their connection.
    pub sessions: SessionLimits,
    /// Calls that wait for the answer of a device at one time.
    pub rrpc_waiting_max: usize,
    /// Devices that may connect again without a look-up in the store; 0: none.
    pub identities_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packages_max: 500,
            products_max: 1_000,
            consumer_groups_max: 1_000,
            devices_max: None,
            package_bytes_max: 1_000 * 1024 * 1024,
            device_list_bytes_max: 64 * 1024 * 1024,
            job_devices_max: None,
            minute_devices_max: None,
            group_devices_max: None,
            pushes_per_minute: 0,
            job_pushes_per_minute: 10_000,
            grace_ms: 2_000,
            blocks_per_second: 100,
            blocks_per_second_total: 10_000,
            block_cache_bytes: 64 * 1024 * 1024,
            store_cache_bytes: 64 * 1024 * 1024,
            shadow_attributes_max: ShadowLimits::default().attributes_max,
            shadow_bytes_max: ShadowLimits::default().bytes_max,
            sub_devices_max: 2_000,
            sub_logins_per_second: 200,
            sub_logins_per_minute: 5,
            retained_messages_max: 16,
            retained_bytes_max: 64 * 1024,
            sessions: SessionLimits::default(),
            rrpc_waiting_max: 10_000,
            identities_max: 200_000,
        }
    }
}

/// All use cases, and what they need of the world.
pub struct App {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) registry: Arc<Registry>,
    pub(crate) limits: Limits,
    pub(crate) urls: Urls,
    files: Files,
    blocks: Blocks,
    logins: topology::Logins,
    session_walk: session::Walk,
    presence: Arc<presence::Presence>,
    rrpcs: rrpc::Rrpcs,
    follower: Follower,
}

impl App {
    pub fn new(
        store: Store,
        clock: Clock,
        random: Random,
        registry: Arc<Registry>,
        limits: Limits,
        urls: Urls,
        files: Files,
    ) -> Arc<Self> {
        let dispatcher = Dispatcher::new(limits.pushes_per_minute, limits.grace_ms);
        let follower = Follower {
            dispatcher: Arc::new(dispatcher),
            identities: Arc::new(identities::Identities::new(limits.identities_max)),
            registry: registry.clone(),
            clock: clock.clone(),
            deadline_set: Arc::default(),
        };
        let blocks = Blocks::new(files.clone(), &limits);
        let logins = topology::Logins::new(&limits);
        let rrpcs = rrpc::Rrpcs::new(limits.rrpc_waiting_max);
        Arc::new(Self {
            store,
            clock,
            random,
            registry,
            limits,
            urls,
            files,
            blocks,
            logins,
            session_walk: session::Walk::default(),
            presence: Arc::default(),
            rrpcs,
            follower,
        })
    }

    /// Runs a use case as one change and lets its effects happen after the commit.
    async fn change<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut dyn Rows, Timestamp, &mut Effects) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let now = self.clock.now().wall;
        let (follower, registry) = (self.follower.clone(), self.registry.clone());
        let change = self.store.queue_then(
            move |rows| {
                let mut effects = Effects::seeing(&registry);
                let value = error::parted(work(rows, now, &mut effects))?;
                Ok((value, effects))
            },
            move |(value, effects)| {
                follower.follow(effects);
                value
            },
        );
        Ok(change.await?.await??)
    }

    async fn view<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut dyn View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        Ok(self.store.view(move |view| error::parted(work(view))).await??)
    }
}

#[cfg(test)]
mod tests;
