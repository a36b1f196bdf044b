//! The node: the real app, gateway, scheduler and store, on a disk that forgets and on simulated time.

use crate::chance::Chance;
use crate::disk::Disk;
use crate::fleet::Login;
use crate::invariants::{Scan, Wanted};
use crate::plan::{JobPlan, MODULES, PACKAGES, Part, Target};
use crate::vfs;
use crate::witness::{DeviceIndex, JobTag};
use otaru_core::id::{
    AccountNo, DeviceName, DeviceNo, FirmwareId, JobId, PackageNo, ProductKey, ProductNo,
};
use otaru_core::job::{DynamicMode, GrayPercent};
use otaru_core::package::{Blob, Package, PackageFile, PackageStatus, SignMethod};
use otaru_core::policy::{Policy, RawPolicy, Tag};
use otaru_core::product::ProductProfile;
use otaru_core::signature::device::{SignMethod as DeviceSign, connect_content};
use otaru_core::time::Timestamp;
use otaru_core::topic::CustomTopic;
use otaru_core::update::JobUpdate;
use otaru_core::version::{ModuleName, Version};
use otaru_mqtt::packet::Qos;
use otaru_server::app::{
    self, App, AppError, Caller, CancelFlags, Credentials, DeviceKey, DevicesOfPackage, Gatekeeper,
    NewDevice, NewGroup, NewJob, NewModule, NewProduct,
};
use otaru_server::clock::Clock;
use otaru_server::files::{Files, Urls};
use otaru_server::mqtt::{DeviceLimits, Gateway, Link, MemoryLink, Message, Registry};
use otaru_server::random::Random;
use otaru_server::store::sqlite::SqliteEngine;
use otaru_server::store::{Rows, Store, StoreError};
use rusqlite::{Connection, OpenFlags};
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Bytes that a wire holds in each direction.
const WIRE_BYTES: usize = 64 * 1024;

/// What came of a call.
pub enum Answer<T> {
    Done(T),
    Refused(&'static str),
    /// The node failed before it could answer: it may have happened or not.
    Lost,
}

impl<T> From<app::Result<T>> for Answer<T> {
    fn from(result: app::Result<T>) -> Self {
        match result {
            Ok(value) => Self::Done(value),
            Err(AppError::Refused(refusal)) => Self::Refused(refusal.code),
            Err(AppError::Unavailable(_)) => Self::Lost,
        }
    }
}

/// What a scenario starts with.
pub struct Seeded {
    pub caller: Caller,
    pub product: ProductKey,
    pub names: Vec<DeviceName>,
    pub numbers: Vec<DeviceNo>,
    pub logins: Vec<Login>,
    pub packages: Vec<(PackageNo, FirmwareId)>,
    /// A static group that holds every third device.
    pub group: String,
}

/// When the log of the database is copied into the file, and when it is emptied.
#[derive(Clone, Copy, Default)]
pub struct LogLimits {
    pub slice_pages: i64,
    pub cap_pages: i64,
}

impl LogLimits {
    /// Limits that some hours reach often, or seldom.
    pub fn draw(chance: &mut Chance) -> Self {
        let (slice_pages, cap_pages) = *chance.pick(&[(40, 160), (200, 200), (1_000, 4_000)]);
        Self { slice_pages, cap_pages }
    }
}

/// What an operator changes of a job that runs.
pub struct PolicyChange {
    pub per_minute: u32,
    pub timeout_minutes: Option<u32>,
    /// Whether the policy is to start from other versions.
    pub src_versions: bool,
}

/// A device whose registration was answered.
pub struct Promise {
    product: ProductKey,
    name: DeviceName,
    secret: String,
}

/// What SQLite says of the file, after a clean end or a crash.
///
/// # Errors
/// That it can't be read at all.
pub fn integrity(disk: &Disk) -> Result<String, String> {
    let path = format!("{}/otaru.db", disk.root());
    let check = || -> rusqlite::Result<String> {
        let db = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), vfs::NAME)?;
        db.query_row("PRAGMA integrity_check", [], |row| row.get(0))
    };
    check().map_err(|error| error.to_string())
}

/// One run of the server process.
pub struct Node {
    app: Arc<App>,
    store: Store,
    clock: Clock,
    gateway: Arc<Gateway<Gatekeeper>>,
    /// Everything that runs. Shared with the door, which adds connections.
    tasks: Rc<RefCell<JoinSet<()>>>,
}

/// Where devices connect.
pub struct Door {
    gateway: Arc<Gateway<Gatekeeper>>,
    tasks: Rc<RefCell<JoinSet<()>>>,
}

impl Door {
    /// The device's end of a new connection.
    pub fn dial(&self) -> MemoryLink {
        let (near, far) = MemoryLink::pair(WIRE_BYTES);
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let connection = Arc::clone(&self.gateway).connection(Link::Memory(near), address.into());
        let mut tasks = self.tasks.borrow_mut();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(connection);
        far
    }
}

impl Node {
    /// Starts a node on what is on the disk. Its clock shows `wall`; its chance comes from `seed`.
    ///
    /// # Errors
    /// When the database can't be opened.
    pub fn start(
        disk: &Disk,
        wall: Timestamp,
        seed: u64,
        log: LogLimits,
    ) -> Result<Self, StoreError> {
        let clock = Clock::simulated(wall);
        let random = Random::seeded(seed);
        let path = format!("{}/otaru.db", disk.root());
        let vfs = vfs::NAME.to_str().expect("it is ASCII");
        let mut engine = SqliteEngine::open_with(&path, Some(vfs), random.clone())?;
        engine.limit_log(log.slice_pages, log.cap_pages);
        let (store, run_store) = Store::inline(engine);
        let registry = Arc::new(Registry::default());
        let urls = Urls::new("http://127.0.0.1".to_owned(), [7; 32]);
        let limits = app::Limits::default();
        // No scenario uploads anything: the folder stays empty.
        let files = Files::open(&std::env::temp_dir().join("otaru-simulation"))
            .expect("a temporary folder can be made");
        let app = App::new(
            store.clone(),
            clock.clone(),
            random,
            Arc::clone(&registry),
            limits,
            urls,
            files,
        );
        let gatekeeper = Gatekeeper(Arc::clone(&app));
        let gateway =
            Arc::new(Gateway::new(gatekeeper, registry, clock.clone(), DeviceLimits::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(run_store);
        tasks.spawn(Arc::clone(&app).run_dispatcher());
        tasks.spawn(Arc::clone(&app).run_scheduler());
        tasks.spawn(Arc::clone(&gateway).sweep());
        Ok(Self { app, store, clock, gateway, tasks: Rc::new(RefCell::new(tasks)) })
    }

    pub fn door(&self) -> Door {
        Door { gateway: Arc::clone(&self.gateway), tasks: Rc::clone(&self.tasks) }
    }

    /// Drops everything where it stands. The disk has to crash before, or what ends here would still reach it.
    pub async fn crash(self) {
        let mut tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        tasks.shutdown().await;
    }

    pub fn step_clock(&self, ms: i64) {
        self.clock.step_wall(ms);
    }

    /// Makes the account, the product, its devices and its packages; what is answered goes to `promised`. Every
    /// attempt makes a product of its own.
    ///
    /// # Errors
    /// When the store fails on the way.
    pub async fn seed_fleet(
        &self,
        devices: usize,
        attempt: u32,
        promised: &mut Vec<Promise>,
    ) -> app::Result<Seeded> {
        let credentials = Credentials {
            access_key_id: "simulation".to_owned(),
            access_key_secret: "simulation".to_owned(),
        };
        let key = self.app.ensure_account(credentials).await?;
        let account = key.expect("no other account").account;
        let caller = Caller::main(account);
        let name = format!("lamp-{attempt}");
        let new = NewProduct { name, profile: ProductProfile::default() };
        let product = self.app.create_product(caller, new).await?;
        let (mut names, mut numbers, mut logins) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..devices {
            let name: DeviceName = format!("device-{n:04}").parse().expect("a name");
            let new = NewDevice {
                product_key: product.key.to_string(),
                name: Some(name.clone()),
                nickname: String::new(),
            };
            let (_, device) = self.app.register_device(caller, new).await?;
            let secret = device.secret.clone();
            logins.push(login(&product.key, &name, &secret, n));
            promised.push(Promise { product: product.key.clone(), name: name.clone(), secret });
            names.push(name);
            numbers.push(device.no);
        }
        for part in 1..MODULES.len() {
            let new = NewModule {
                product_key: product.key.to_string(),
                name: module(part),
                alias: String::new(),
                description: String::new(),
            };
            self.app.create_module(caller, new).await?;
        }
        let (no, now) = (product.no, self.clock.now().wall);
        let packages =
            self.store.change(move |rows| insert_packages(rows, account, no, attempt, now)).await?;
        let group = self.seed_group(caller, &product.key, &names, attempt).await?;
        Ok(Seeded { caller, product: product.key, names, numbers, logins, packages, group })
    }

    async fn seed_group(
        &self,
        caller: Caller,
        product: &ProductKey,
        names: &[DeviceName],
        attempt: u32,
    ) -> app::Result<String> {
        let name = format!("corner-{attempt}");
        let new = NewGroup { name, description: String::new(), parent: None };
        let group = self.app.create_group(caller, new).await?.id.to_string();
        let pair = |name: &DeviceName| (product.to_string(), name.to_string());
        let members = names.iter().step_by(3).map(pair).collect();
        self.app.add_to_group(caller, group.clone(), members).await?;
        Ok(group)
    }

    pub async fn reupgrade(&self, seeded: &Seeded, job: &JobId, tasks: Vec<String>) -> Answer<()> {
        self.app.reupgrade_tasks(seeded.caller, job.to_string(), tasks).await.into()
    }

    pub async fn delete_device(&self, seeded: &Seeded, device: usize) -> Answer<()> {
        let key = DeviceKey {
            iot_id: None,
            product_key: Some(seeded.product.to_string()),
            device_name: Some(seeded.names[device].to_string()),
        };
        self.app.delete_device(seeded.caller, key).await.into()
    }

    /// Gives the job of `plan` another rate, and what else is to change.
    pub async fn update_job(
        &self,
        seeded: &Seeded,
        (tag, job): (JobTag, &JobId),
        plan: &JobPlan,
        change: &PolicyChange,
    ) -> Answer<()> {
        let target = match plan.target {
            Target::All | Target::Dynamic(_) => "ALL",
            Target::Gray(_) => "GRAY",
            Target::Specific(_) | Target::Verify(_) => "SPECIFIC",
            Target::Group => "GROUP",
        };
        let src_versions = (change.src_versions && PACKAGES[plan.package].src.is_none())
            .then(|| ["1.0.0", "9.9.9", "m1"].map(version).to_vec());
        let update = JobUpdate {
            max_per_minute: change.per_minute,
            dynamic: plan.is_dynamic(),
            target: target.to_owned(),
            timeout_minutes: change.timeout_minutes,
            src_versions,
            tags: tags(tag),
        };
        self.app.update_job(seeded.caller, job.to_string(), update).await.into()
    }

    /// Cancels what the devices have of the job of `plan`.
    pub async fn cancel_of_devices(
        &self,
        seeded: &Seeded,
        job: &JobId,
        plan: &JobPlan,
        devices: &[DeviceIndex],
    ) -> Answer<()> {
        let wanted = DevicesOfPackage {
            firmware_id: seeded.packages[plan.package].1.to_string(),
            product_key: seeded.product.to_string(),
            job_id: Some(job.to_string()),
            names: devices.iter().map(|&index| seeded.names[index].to_string()).collect(),
        };
        self.app.cancel_tasks_of_devices(seeded.caller, wanted).await.into()
    }

    pub async fn cancel_strategy(&self, seeded: &Seeded, job: &JobId) -> Answer<()> {
        self.app.cancel_strategy(seeded.caller, job.to_string()).await.into()
    }

    /// The first promise that is not kept.
    pub async fn lost(&self, promised: &[Promise]) -> Option<String> {
        for Promise { product, name, secret } in promised {
            let (key, wanted) = (product.clone(), name.clone());
            let found = self.store.view(move |view| {
                let Some(product) = view.product_by_key(&key)? else { return Ok(None) };
                view.device_by_name(product.no, &wanted)
            });
            match found.await {
                Ok(Some(device)) if device.secret == *secret => {}
                Ok(_) => return Some(format!("{name} of {product}")),
                Err(error) => return Some(error.to_string()),
            }
        }
        None
    }

    pub async fn confirm(&self, seeded: &Seeded, tasks: Vec<String>) -> Answer<()> {
        self.app.confirm_tasks(seeded.caller, tasks).await.into()
    }

    pub async fn create_job(&self, seeded: &Seeded, tag: JobTag, plan: &JobPlan) -> Answer<JobId> {
        let now = self.clock.now().wall;
        let schedule_at = plan.start_after.map(|minutes| now.plus_minutes(minutes));
        let new = NewJob {
            firmware_id: seeded.packages[plan.package].1.to_string(),
            product_key: seeded.product.to_string(),
            target: target(seeded, plan),
            policy: policy(tag, plan),
            schedule_at,
            finish_at: schedule_at
                .zip(plan.finish_after)
                .map(|(at, minutes)| at.plus_minutes(minutes)),
        };
        self.app.create_job(seeded.caller, new).await.map(|(id, _)| id).into()
    }

    pub async fn cancel(&self, seeded: &Seeded, job: &JobId, flags: CancelFlags) -> Answer<()> {
        self.app.cancel_tasks(seeded.caller, job.to_string(), flags).await.into()
    }

    /// Sends a device the message `number`, at QoS 1.
    pub async fn publish(&self, seeded: &Seeded, device: usize, number: u64) -> Answer<()> {
        let topic = format!("/{}/{}/user/get", seeded.product, seeded.names[device]);
        let message = Message::new(topic.clone(), number.to_string(), Qos::AtLeastOnce);
        let topic = CustomTopic::parse(&topic).expect("a topic of the device");
        self.app.publish(seeded.caller, seeded.product.to_string(), topic, message).await.into()
    }

    /// What is done once a minute.
    pub async fn keep_house(&self) -> Answer<()> {
        self.app.forget_expired().await.into()
    }

    pub async fn scan(&self, wanted: Wanted) -> Result<Scan, StoreError> {
        self.store.view(move |view| Scan::read(view, &wanted)).await
    }
}

fn login(key: &ProductKey, name: &DeviceName, secret: &str, n: usize) -> Login {
    let method = [DeviceSign::Md5, DeviceSign::Sha1, DeviceSign::Sha256][n % 3];
    let content = connect_content(name.as_str(), name.as_str(), key.as_str(), None);
    Login {
        client_id: format!("{name}|securemode=3,signmethod={}|", method.as_wire()),
        username: format!("{name}&{key}"),
        password: method.sign(secret, &content),
        keepalive_s: [60, 300, 1_200][n / 3 % 3],
    }
}

fn version(text: &str) -> Version {
    Version::parse(text).expect("a version")
}

pub fn module(part: Part) -> ModuleName {
    ModuleName::parse(MODULES[part]).expect("a name")
}

fn insert_packages(
    rows: &mut dyn Rows,
    account: AccountNo,
    product: ProductNo,
    attempt: u32,
    now: Timestamp,
) -> Result<Vec<(PackageNo, FirmwareId)>, StoreError> {
    let mut packages = Vec::new();
    for plan in PACKAGES {
        let blob = Blob { size_bytes: 1_000, md5: "0".repeat(32), sha256: "0".repeat(64) };
        let file = PackageFile { name: String::new(), upload_key: "ota/a/b.bin".to_owned(), blob };
        let package = Package {
            no: PackageNo(0),
            account,
            product,
            id: FirmwareId::generate(rows.random()),
            name: format!("to-{}-{attempt}", plan.dest),
            description: String::new(),
            dest: version(plan.dest),
            src: plan.src.map(version),
            is_delta: plan.src.is_some(),
            module: module(plan.part),
            sign_method: SignMethod::Md5,
            is_list: false,
            files: vec![file],
            udi: String::new(),
            status: PackageStatus::NoVerify,
            verify_percent: 0,
            created_at: now,
            modified_at: now,
        };
        packages.push((rows.insert_package(&package)?, package.id));
    }
    Ok(packages)
}

fn target(seeded: &Seeded, plan: &JobPlan) -> app::Target {
    let names = |picked: &[usize]| picked.iter().map(|&n| seeded.names[n].to_string()).collect();
    let versions: Vec<Version> = plan.src_versions.iter().map(|text| version(text)).collect();
    match &plan.target {
        Target::All => app::Target::All(versions),
        Target::Gray(percent) => {
            app::Target::Gray(GrayPercent::from_thousandths(percent * 1_000), versions)
        }
        Target::Specific(picked) => app::Target::Specific(names(picked)),
        Target::Verify(picked) => app::Target::Verify(names(picked)),
        Target::Group => app::Target::Group(seeded.group.clone()),
        Target::Dynamic(mode) => {
            app::Target::Dynamic(DynamicMode::from_wire(*mode).expect("1 or 2"), versions)
        }
    }
}

/// By which a push says of what job it is.
fn tags(job: JobTag) -> Vec<Tag> {
    vec![Tag { key: "job".to_owned(), value: job.to_string() }]
}

fn policy(tag: JobTag, plan: &JobPlan) -> Policy {
    let raw = RawPolicy {
        need_push: Some(plan.need_push),
        need_confirm: Some(plan.need_confirm),
        retry_interval: plan.retry.map(|(minutes, _)| minutes),
        retry_count: plan.retry.map(|(_, count)| count),
        timeout_minutes: plan.timeout_minutes,
        overwrite_mode: Some(plan.overwrite),
        multi_module: Some(plan.multi_module),
        download_protocol: Some(if plan.streamed { "MQTT" } else { "HTTPS" }),
        max_per_minute: plan.per_minute.map(|n| i32::try_from(n).expect("at most 10,000")),
    };
    Policy { tags: tags(tag), ..raw.check().expect("plans keep to the ranges") }
}
