//! The rules on real rows: whole use cases on SQLite, in one thread on paused time.

mod batches;
mod blocks;
mod changes;
mod fleet;
mod group_jobs;
mod groups;
mod jobs;
mod lists;
mod modules;
mod named_tasks;
mod online;
mod races;
mod registration;
mod sessions;
mod start_up;
mod walks;

use super::devices::Gatekeeper;
use super::*;
use crate::files::Files;
use crate::mqtt::{Devices, Epoch, Peer, Report, Told};
use crate::store::sqlite::SqliteEngine;
use otaru_core::device::Device;
use otaru_core::message::{Inform, Progress};
use otaru_core::package::{Package, PackageFile, PackageStatus, SignMethod};
use otaru_core::product::{Product, ProductProfile};
use otaru_core::task::Task;
use otaru_core::version::{ModuleName, Version};
use std::net::{IpAddr, Ipv4Addr};

const START: Timestamp = Timestamp(1_790_000_000_000);

/// A node with a product, in a folder of its own.
struct World {
    app: Arc<App>,
    caller: Caller,
    product: Product,
    files: Files,
    _folder: tempfile::TempDir,
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

impl World {
    async fn new() -> Self {
        Self::with_limits(Limits::default()).await
    }

    async fn with_limits(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let random = Random::seeded(1);
        let engine = SqliteEngine::open(&folder.path().join("otaru.db"), random.clone()).unwrap();
        let (store, run) = Store::inline(engine);
        tokio::spawn(run);
        Self::on(store, folder, random, limits).await
    }

    async fn on(store: Store, folder: tempfile::TempDir, random: Random, limits: Limits) -> Self {
        let urls = crate::files::Urls::new("http://127.0.0.1:8080".into(), [7; 32]);
        let clock = Clock::simulated(START);
        let files = Files::open(&folder.path().join("files")).unwrap();
        let app = App::new(store, clock, random, Arc::default(), limits, urls, files.clone());
        tokio::spawn(app.clone().run_scheduler());
        tokio::spawn(app.clone().run_dispatcher());
        let credentials =
            Credentials { access_key_id: "id".into(), access_key_secret: "secret".into() };
        let account = app.ensure_account(credentials).await.unwrap().unwrap().account;
        let caller = Caller::main(account);
        let new = NewProduct { name: "lamp".into(), profile: ProductProfile::default() };
        let product = app.create_product(caller, new).await.unwrap();
        Self { app, caller, product, files, _folder: folder }
    }

    async fn device(&self, name: &str) -> Device {
        let new = NewDevice {
            product_key: self.product.key.to_string(),
            name: Some(name.parse().unwrap()),
            nickname: String::new(),
        };
        self.app.register_device(self.caller, new).await.unwrap().1
    }

    /// A full package to `dest` that needs no verification.
    async fn package(&self, dest: &str) -> String {
        self.package_of(dest, None, PackageStatus::NoVerify).await
    }

    async fn package_of(
        &self,
        dest: &str,
        delta_src: Option<&str>,
        status: PackageStatus,
    ) -> String {
        self.package_in("default", dest, delta_src, status).await
    }

    async fn package_in(
        &self,
        module: &str,
        dest: &str,
        delta_src: Option<&str>,
        status: PackageStatus,
    ) -> String {
        let (account, product) = (self.caller.account, self.product.no);
        let module = ModuleName::parse(module).unwrap();
        let (dest, src) = (version(dest), delta_src.map(version));
        self.app
            .change(move |rows, now, _| {
                let id = otaru_core::id::FirmwareId::generate(rows.random());
                let blob = otaru_core::package::Blob {
                    size_bytes: 4,
                    md5: "0".repeat(32),
                    sha256: "0".repeat(64),
                };
                let file =
                    PackageFile { name: String::new(), upload_key: "ota/1/x.bin".into(), blob };
                let package = Package {
                    no: otaru_core::id::PackageNo(0),
                    account,
                    product,
                    id: id.clone(),
                    name: format!("{module} to {dest}"),
                    description: String::new(),
                    dest: dest.clone(),
                    src: src.clone(),
                    is_delta: src.is_some(),
                    module: module.clone(),
                    sign_method: SignMethod::Md5,
                    is_list: false,
                    files: vec![file],
                    udi: String::new(),
                    status,
                    verify_percent: 0,
                    created_at: now,
                    modified_at: now,
                };
                rows.insert_package(&package)?;
                Ok(id.to_string())
            })
            .await
            .unwrap()
    }

    fn job(&self, firmware_id: &str, target: Target) -> NewJob {
        NewJob {
            firmware_id: firmware_id.to_owned(),
            product_key: self.product.key.to_string(),
            target,
            policy: otaru_core::policy::Policy::default(),
            schedule_at: None,
            finish_at: None,
        }
    }

    async fn create(&self, new: NewJob) -> String {
        self.app.create_job(self.caller, new).await.unwrap().0.to_string()
    }

    async fn refused(&self, new: NewJob) -> &'static str {
        match self.app.create_job(self.caller, new).await {
            Err(AppError::Refused(refusal)) => refusal.code,
            other => panic!("not refused: {other:?}"),
        }
    }

    async fn says(
        &self,
        device: &Device,
        report: Report,
    ) -> Option<Box<otaru_core::message::Upgrade>> {
        let peer = Peer { device: device.no, epoch: Epoch(1) };
        match self.hears(peer, report).await {
            Told::Upgrade(upgrade) => Some(upgrade),
            Told::Nothing | Told::Full | Told::Response(_) | Told::Text(_) => None,
        }
    }

    async fn hears(&self, peer: Peer, report: Report) -> Told {
        Gatekeeper(self.app.clone()).report(peer, report).await.unwrap().await.unwrap()
    }

    async fn informs(&self, device: &Device, text: &str) {
        let inform = Inform { module: ModuleName::default(), version: version(text) };
        self.says(device, Report::Inform(inform)).await;
    }

    async fn progresses(&self, device: &Device, step: i32) {
        let progress = Progress { module: None, step, description: String::new() };
        self.says(device, Report::Progress(progress)).await;
    }

    async fn pulls(&self, device: &Device) -> bool {
        self.says(device, Report::Pull(ModuleName::default())).await.is_some()
    }

    fn connects(&self, device: &Device, epoch: u64) {
        let peer = Peer { device: device.no, epoch: Epoch(epoch) };
        Gatekeeper(self.app.clone()).came_online(peer, IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    async fn tasks(&self, job: &str) -> Vec<Task> {
        let filter = TaskFilter::Page(crate::store::Page { skip: 0, take: 100 });
        let listed = self.app.tasks(self.caller, job.to_owned(), None, filter).await.unwrap();
        assert_eq!(listed.total, listed.rows.len() as u64, "counts equal the tasks");
        let mut tasks: Vec<_> = listed.rows.into_iter().map(|row| row.task).collect();
        tasks.reverse();
        tasks
    }

    /// Statuses of a job's tasks, oldest first, and its own.
    async fn state(&self, job: &str) -> String {
        let tasks = self.tasks(job).await;
        let statuses: Vec<_> = tasks.iter().map(|task| task.status.as_wire()).collect();
        let view = self.app.job(self.caller, job.to_owned()).await.unwrap();
        format!("{}: {}", view.job.status.as_wire(), statuses.join(" "))
    }

    async fn passes(&self, ms: u64) {
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
    }
}
