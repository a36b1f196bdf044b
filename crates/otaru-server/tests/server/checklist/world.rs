//! A whole node on simulated time: the signed API by its requests, devices by MQTT over memory links.

use otaru_core::time::Timestamp;
use otaru_server::app::{App, Credentials, Gatekeeper, Limits};
use otaru_server::clock::Clock;
use otaru_server::files::{Files, Urls};
use otaru_server::mqtt::{DeviceLimits, Gateway, Link, MemoryLink, Registry};
use otaru_server::random::Random;
use otaru_server::rpc::Rpc;
use otaru_server::rpc::client::{self, Moment, Signing, sign};
use otaru_server::rpc::gateway::Format;
use otaru_server::rpc::quota::{QuotaConfig, Quotas};
use otaru_server::store::Store;
use otaru_server::store::sqlite::SqliteEngine;
use serde_json::Value;
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::device::{Device, Wire};
use crate::scene::text;

const START: Timestamp = Timestamp(1_790_000_000_000);
const HOST: &str = "127.0.0.1:8080";
const KEY: (&str, &str) = ("id", "secret");

pub struct World {
    pub app: Arc<App>,
    pub clock: Clock,
    pub product: String,
    pub files: Files,
    pub urls: Urls,
    rpc: Rpc,
    gateway: Arc<Gateway<Gatekeeper>>,
    nonce: Cell<u64>,
    _folder: tempfile::TempDir,
}

impl World {
    /// Needs a runtime of one thread with paused time.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, random) = (Clock::simulated(START), Random::seeded(1));
        let engine = SqliteEngine::open(&folder.path().join("otaru.db"), random.clone()).unwrap();
        let (store, run) = Store::inline(engine);
        tokio::spawn(run);
        let registry = Arc::new(Registry::default());
        let files = Files::open(&folder.path().join("files")).unwrap();
        let urls = Urls::new(format!("http://{HOST}"), [7; 32]);
        let app = App::new(
            store,
            clock.clone(),
            random,
            registry.clone(),
            Limits::default(),
            urls.clone(),
            files.clone(),
        );
        let credentials =
            Credentials { access_key_id: KEY.0.into(), access_key_secret: KEY.1.into() };
        app.ensure_account(credentials).await.unwrap();
        let quotas = Quotas::new(QuotaConfig::default()).unwrap();
        let rpc = Rpc::open(app.clone(), quotas).await.unwrap();
        let limits = DeviceLimits::default();
        let gateway = Gateway::new(Gatekeeper(app.clone()), registry, clock.clone(), limits);
        let gateway = Arc::new(gateway);
        tokio::spawn(gateway.clone().sweep());
        tokio::spawn(app.clone().run_dispatcher());
        tokio::spawn(app.clone().run_scheduler());
        let (product, nonce) = (String::new(), Cell::new(0));
        let world = Self { app, clock, product, files, urls, rpc, gateway, nonce, _folder: folder };
        let made = world.ok("CreateProduct", "NodeType=0&ProductName=lamp").await;
        Self { product: text(&made["ProductKey"]), ..world }
    }

    async fn call(&self, action: &str, params: &str) -> Value {
        let pairs = params.split('&').filter_map(|pair| pair.split_once('='));
        let pairs: Vec<_> = pairs.map(|(name, value)| (name.into(), value.into())).collect();
        self.nonce.set(self.nonce.get() + 1);
        let nonce = self.nonce.get().to_string();
        let moment = Moment { now: self.clock.now().wall, nonce: &nonce };
        let credentials = client::Credentials {
            access_key_id: KEY.0.to_owned(),
            access_key_secret: KEY.1.to_owned(),
            security_token: None,
        };
        let signed = sign(Signing::V3, &credentials, HOST, action, &pairs, Format::Json, moment);
        let answer = self.rpc.handle(signed.incoming()).await;
        serde_json::from_str(&answer.body).unwrap()
    }

    /// A call that has to succeed.
    pub async fn ok(&self, action: &str, params: &str) -> Value {
        let reply = self.call(action, params).await;
        assert_eq!(reply["Success"], true, "{action} {params}: {reply}");
        reply
    }

    /// The code of a call that has to be refused, without the prefix of packages.
    pub async fn refused(&self, action: &str, params: &str) -> String {
        let reply = self.call(action, params).await;
        assert_eq!(reply["Success"], false, "{action} {params}: {reply}");
        text(&reply["Code"]).replace("iot.firmware.", "")
    }

    pub async fn device(&self, name: &str) -> Device {
        let params = format!("ProductKey={}&DeviceName={name}", self.product);
        let made = self.ok("RegisterDevice", &params).await;
        let secret = text(&made["Data"]["DeviceSecret"]);
        Device { product: self.product.clone(), name: name.to_owned(), secret }
    }

    /// A device that is connected and said nothing yet.
    pub async fn online(&self, device: &Device) -> Wire {
        let (near, far) = MemoryLink::pair(64 * 1024);
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        tokio::spawn(self.gateway.clone().connection(Link::Memory(far), address.into()));
        Wire::connect(near, device).await
    }

    /// A new device that is connected and has reported a version.
    pub async fn device_at(&self, name: &str, version: &str) -> (Device, Wire) {
        let device = self.device(name).await;
        let mut wire = self.online(&device).await;
        wire.informs(version).await;
        (device, wire)
    }

    /// A new device that has reported a version and is gone again.
    pub async fn offline_at(&self, name: &str, version: &str) -> Device {
        let (device, wire) = self.device_at(name, version).await;
        wire.goes().await;
        device
    }

    /// A package with `more` parameters; needs no verification unless they say so.
    pub async fn package(&self, dest: &str, more: &str) -> String {
        let ticket = self.ok("GenerateOTAUploadURL", "").await["Data"].take();
        self.upload(&ticket, "firmware").await;
        let verify = if more.contains("NeedToVerify") { "" } else { "&NeedToVerify=false" };
        let params = format!(
            "ProductKey={}&FirmwareName=package-{}&DestVersion={dest}&FirmwareUrl={}{verify}&{more}",
            self.product,
            self.nonce.get(),
            text(&ticket["FirmwareUrl"]),
        );
        text(&self.ok("CreateOTAFirmware", &params).await["Data"]["FirmwareId"])
    }

    /// The address of an uploaded file of device names.
    pub async fn list_file(&self, content: &str) -> String {
        let ticket = self.ok("GenerateDeviceNameListURL", "").await["Data"].take();
        self.upload(&ticket, content).await;
        text(&ticket["FileUrl"])
    }

    async fn upload(&self, ticket: &Value, content: &str) {
        let mut file = self.files.create(1_024).unwrap();
        assert!(file.write(&[content.as_bytes().to_vec().into()]).unwrap());
        let blob = file.keep().unwrap();
        assert!(self.app.uploaded(text(&ticket["Key"]), blob).await.unwrap());
    }

    /// Parameters that name a package of the product, with `more`.
    pub fn of(&self, package: &str, more: &str) -> String {
        format!("ProductKey={}&FirmwareId={package}&{more}", self.product)
    }

    pub async fn static_job(&self, package: &str, more: &str) -> String {
        let made = self.ok("CreateOTAStaticUpgradeJob", &self.of(package, more)).await;
        text(&made["Data"]["JobId"])
    }

    pub async fn dynamic_job(&self, package: &str, more: &str) -> String {
        let made = self.ok("CreateOTADynamicUpgradeJob", &self.of(package, more)).await;
        text(&made["Data"]["JobId"])
    }

    /// Rows of a job's tasks, oldest first.
    pub async fn tasks(&self, job: &str) -> Vec<Value> {
        let params = format!("JobId={job}&CurrentPage=1&PageSize=100");
        let mut page = self.ok("ListOTATaskByJob", &params).await;
        let rows = page["Data"]["SimpleOTATaskInfo"].take();
        let Value::Array(mut rows) = rows else { panic!("{rows}") };
        assert_eq!(page["Total"], rows.len(), "counts equal the tasks");
        rows.reverse();
        rows
    }

    pub async fn task_ids(&self, job: &str) -> Vec<String> {
        self.tasks(job).await.iter().map(|task| text(&task["TaskId"])).collect()
    }

    /// Status of the job and of its tasks, oldest first.
    pub async fn state(&self, job: &str) -> String {
        let statuses: Vec<_> =
            self.tasks(job).await.iter().map(|task| text(&task["TaskStatus"])).collect();
        let job = self.ok("QueryOTAJob", &format!("JobId={job}")).await;
        format!("{}: {}", text(&job["Data"]["JobStatus"]), statuses.join(" "))
    }

    /// `Status` of a package.
    pub async fn status(&self, package: &str) -> i64 {
        let reply = self.ok("QueryOTAFirmware", &format!("FirmwareId={package}")).await;
        reply["FirmwareInfo"]["Status"].as_i64().unwrap()
    }

    /// A moment that many minutes ahead, as parameters take it.
    pub fn in_minutes(&self, minutes: i64) -> i64 {
        self.clock.now().wall.plus_minutes(u32::try_from(minutes).unwrap()).0
    }
}

pub async fn seconds_pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
