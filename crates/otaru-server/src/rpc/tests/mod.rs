//! The door with the real use cases behind it, on `SQLite`, in one thread on paused time.

mod accounts;
mod batches;
mod changes;
mod codes;
mod fleet;
mod list_jobs_of_device;
mod messages;
mod page;
mod refusals;
mod road;
mod rrpc;
mod shadows;
mod shapes;
pub(in crate::rpc) mod spec;
mod subscriptions;
mod topic_classes;

use std::cell::Cell;
use std::sync::Arc;

use otaru_core::package::Blob;
use otaru_core::time::Timestamp;
use serde_json::Value;

use super::client::{Credentials, Moment, Signed, Signing, sign};
use super::gateway::{Answer, Format};
use super::instance::InstanceConfig;
use super::quota::{QuotaConfig, Quotas};
use super::{Incoming, Params, Rpc};
use crate::app::{self, App, Limits};
use crate::clock::Clock;
use crate::random::Random;
use crate::store::sqlite::SqliteEngine;
use crate::store::{AccessKey, Store};

const START: Timestamp = Timestamp(1_790_000_000_000);
const HOST: &str = "127.0.0.1:8080";

/// The door, which keeps the codes that leave it.
struct Door(Rpc);

impl Door {
    async fn handle(&self, request: Incoming<'_>) -> Answer {
        let action = request.headers.iter().find(|(name, _)| name == "x-acs-action");
        let action = action.map(|(_, action)| action.clone()).unwrap_or_default();
        let answer = self.0.handle(request).await;
        codes::note(&action, &answer);
        answer
    }

    async fn with_instances(self, config: &InstanceConfig) -> Self {
        Self(self.0.with_instances(config).await.unwrap())
    }
}

/// A node behind its door, in a folder of its own.
struct World {
    rpc: Door,
    app: Arc<App>,
    clock: Clock,
    nonce: Cell<u64>,
    folder: tempfile::TempDir,
}

async fn node(
    folder: &tempfile::TempDir,
    clock: &Clock,
    quota: &str,
    limits: Limits,
) -> (Arc<App>, Door) {
    let (app, door, _) = parts(folder, clock, quota, limits).await;
    (app, door)
}

/// The same with the task that runs the store.
async fn parts(
    folder: &tempfile::TempDir,
    clock: &Clock,
    quota: &str,
    limits: Limits,
) -> (Arc<App>, Door, tokio::task::JoinHandle<()>) {
    let random = Random::seeded(1);
    let engine = SqliteEngine::open(&folder.path().join("otaru.db"), random.clone()).unwrap();
    let (store, run) = Store::inline(engine);
    let run = tokio::spawn(run);
    let urls = crate::files::Urls::new(format!("http://{HOST}"), [7; 32]);
    let files = crate::files::Files::open(&folder.path().join("files")).unwrap();
    let app = App::new(store, clock.clone(), random, Arc::default(), limits, urls, files);
    let key = app::Credentials { access_key_id: "id".into(), access_key_secret: "secret".into() };
    app.ensure_account(key).await.unwrap();
    another_account(&app).await;
    let config: QuotaConfig = toml::from_str(quota).unwrap();
    let rpc = Rpc::open(app.clone(), Quotas::new(config).unwrap()).await.unwrap();
    (app, Door(rpc), run)
}

/// Makes a second account, whose key is `other` with `other secret`.
async fn another_account(app: &App) {
    let made = app.store.change(|rows| {
        if rows.access_key("other")?.is_none() {
            let account = rows.insert_account("other", START)?;
            rows.insert_access_key(&AccessKey {
                id: "other".into(),
                secret: "other secret".into(),
                account,
                user: None,
                active: true,
                token: None,
                expires_at: None,
                created_at: START,
            })?;
        }
        Ok(())
    });
    made.await.unwrap();
}

fn pairs(params: &str) -> Vec<(String, String)> {
    let params = Params::parse(params, None).unwrap();
    params.all().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl World {
    async fn new() -> Self {
        Self::with_quota("").await
    }

    async fn with_quota(quota: &str) -> Self {
        Self::with(quota, Limits::default()).await
    }

    async fn with(quota: &str, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(START);
        let (app, rpc) = node(&folder, &clock, quota, limits).await;
        Self { rpc, app, clock, nonce: Cell::new(0), folder }
    }

    fn signed(&self, key: (&str, &str), action: &str, params: &str, format: Format) -> Signed {
        let (id, secret) = key;
        let credentials = Credentials {
            access_key_id: id.into(),
            access_key_secret: secret.into(),
            security_token: None,
        };
        self.signed_by(&credentials, action, params, format)
    }

    fn signed_by(
        &self,
        credentials: &Credentials,
        action: &str,
        params: &str,
        format: Format,
    ) -> Signed {
        self.nonce.set(self.nonce.get() + 1);
        let nonce = self.nonce.get().to_string();
        let moment = Moment { now: self.clock.now().wall, nonce: &nonce };
        // Both signatures take turns.
        let signing = if self.nonce.get().is_multiple_of(2) { Signing::V1 } else { Signing::V3 };
        sign(signing, credentials, HOST, action, &pairs(params), format, moment)
    }

    async fn answer(&self, action: &str, params: &str, format: Format) -> Answer {
        let signed = self.signed(("id", "secret"), action, params, format);
        self.rpc.handle(signed.incoming()).await
    }

    /// A call that has to succeed.
    async fn ok(&self, action: &str, params: &str) -> Value {
        let answer = self.answer(action, params, Format::Json).await;
        let reply: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(reply["Success"], true, "{action} {params}: {reply}");
        assert!(reply.get("Code").is_none(), "an SDK takes a code for a failure");
        reply
    }

    /// The code and HTTP status of a call that has to be refused.
    async fn refused(&self, action: &str, params: &str) -> (u16, String) {
        let answer = self.answer(action, params, Format::Json).await;
        let reply: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(reply["Success"], false, "{action} {params}: {reply}");
        assert!(reply["RequestId"].is_string() && reply["ErrorMessage"].is_string(), "{reply}");
        assert!(reply.get("Data").is_none(), "{reply}");
        assert_eq!(reply.get("Message").is_some(), answer.status != 200, "{reply}");
        (answer.status, reply["Code"].as_str().unwrap().to_owned())
    }

    async fn product(&self, name: &str) -> String {
        let reply = self.ok("CreateProduct", &format!("NodeType=0&ProductName={name}")).await;
        reply["ProductKey"].as_str().unwrap().to_owned()
    }

    async fn device(&self, product: &str, name: &str) {
        self.ok("RegisterDevice", &format!("ProductKey={product}&DeviceName={name}")).await;
    }

    /// The URL of a package file of `size_bytes` that was uploaded.
    async fn uploaded(&self, size_bytes: u64) -> String {
        let reply = self.ok("GenerateOTAUploadURL", "").await;
        let key = reply["Data"]["Key"].as_str().unwrap().to_owned();
        let blob = Blob { size_bytes, md5: "ab".repeat(16), sha256: "cd".repeat(32) };
        assert!(self.app.uploaded(key, blob).await.unwrap());
        reply["Data"]["FirmwareUrl"].as_str().unwrap().to_owned()
    }

    /// A package with `more` parameters; needs no verification unless they say so.
    async fn package(&self, product: &str, dest: &str, more: &str) -> String {
        let url = self.uploaded(4).await;
        let verify = if more.contains("NeedToVerify") { "" } else { "NeedToVerify=false" };
        let params = format!(
            "ProductKey={product}&FirmwareName=to-{}&DestVersion={dest}&FirmwareUrl={url}\
             &{verify}&{more}",
            dest.replace('.', "-")
        );
        let reply = self.ok("CreateOTAFirmware", &params).await;
        reply["Data"]["FirmwareId"].as_str().unwrap().to_owned()
    }

    async fn static_job(&self, product: &str, package: &str, more: &str) -> String {
        let params = format!("ProductKey={product}&FirmwareId={package}&{more}");
        let reply = self.ok("CreateOTAStaticUpgradeJob", &params).await;
        reply["Data"]["JobId"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_nonce_is_used_once_also_over_a_restart() {
    let world = World::new().await;
    // One that writes, and one that only reads.
    let calls = ["GenerateOTAUploadURL", "QueryProductList"].map(|action| {
        world.signed(("id", "secret"), action, "CurrentPage=1&PageSize=1", Format::Json)
    });
    for signed in &calls {
        assert_eq!(world.rpc.handle(signed.incoming()).await.status, 200);
        let again = world.rpc.handle(signed.incoming()).await;
        assert_eq!(again.status, 400);
        assert!(again.body.contains("SignatureNonceUsed"), "{}", again.body);
    }

    let World { folder, clock, rpc, .. } = world;
    drop(rpc);
    tokio::task::yield_now().await;
    let (_, rpc) = node(&folder, &clock, "", Limits::default()).await;
    for signed in &calls {
        let again = rpc.handle(signed.incoming()).await;
        assert!(again.body.contains("SignatureNonceUsed"), "{}", again.body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_nonce_with_a_wrong_signature_is_not_used_up() {
    let world = World::new().await;
    let signed = world.signed(("id", "secret"), "GenerateOTAUploadURL", "", Format::Json);
    world.nonce.set(world.nonce.get() - 1);
    let forged = world.signed(("id", "guess"), "GenerateOTAUploadURL", "", Format::Json);
    let refused = world.rpc.handle(forged.incoming()).await;
    assert!(refused.body.contains("SignatureDoesNotMatch"), "{}", refused.body);
    assert_eq!(world.rpc.handle(signed.incoming()).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_account_shares_its_quota_and_is_told_when_to_come_back() {
    let world = World::with_quota("mode = 'original'").await;
    // Refused by the service, yet a call: the quota counts before parameters are looked at.
    for _ in 0..10 {
        assert_eq!(world.refused("ListOTAJobByDevice", "").await.1, "MissingCurrentPage");
    }
    let answer = world.answer("ListOTAJobByDevice", "", Format::Xml).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("<Code>Throttling.User</Code>"), "{}", answer.body);
    assert!(answer.headers.contains(&("x-acs-retry-after", "1".to_owned())));
    let other = world.signed(("other", "other secret"), "ListOTAJobByDevice", "", Format::Json);
    let answer = world.rpc.handle(other.incoming()).await;
    assert!(answer.body.contains("MissingCurrentPage"), "{}", answer.body);
    tokio::time::advance(std::time::Duration::from_millis(100)).await;
    assert_eq!(world.refused("ListOTAJobByDevice", "").await.1, "MissingCurrentPage");
}

#[tokio::test(start_paused = true)]
async fn another_account_sees_nothing_of_ours() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    let package = world.package(&product, "2.0", "").await;
    let job = world.static_job(&product, &package, "TargetSelection=ALL").await;
    for (action, params, code) in [
        ("QueryProduct", format!("ProductKey={product}"), "iot.prod.NotExistedProduct"),
        ("RegisterDevice", format!("ProductKey={product}"), "iot.prod.NotExistedProduct"),
        ("QueryDevice", format!("ProductKey={product}"), "iot.prod.NotExistedProduct"),
        ("QueryOTAFirmware", format!("FirmwareId={package}"), "iot.firmware.FirmwareNotFound"),
        ("DeleteOTAFirmware", format!("FirmwareId={package}"), "iot.firmware.FirmwareNotFound"),
        ("QueryOTAJob", format!("JobId={job}"), "iot.firmware.InvalidOTAJobId"),
        (
            "CancelOTATaskByJob",
            format!("JobId={job}&CancelQueuedTask=true"),
            "iot.firmware.InvalidOTAJobId",
        ),
    ] {
        let signed = world.signed(("other", "other secret"), action, &params, Format::Json);
        let reply: Value =
            serde_json::from_str(&world.rpc.handle(signed.incoming()).await.body).unwrap();
        assert_eq!(reply["Code"], code, "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_in_an_answer_goes_out() {
    let world = World::new().await;
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let garbage: Vec<u8> = (0..=255).cycle().take(4_096).collect();
    for headers in [
        vec![],
        vec![header("authorization", "ACS3-")],
        vec![header("authorization", "ACS3-HMAC-SHA256 =,=,,Credential,Signature==")],
        vec![header("content-length", "-1"), header("content-md5", "\u{0}")],
        vec![header("host", "<&\u{1}>"), header("content-type", ";;;")],
    ] {
        for (method, target) in
            [("GET", "/?%"), ("POST", "/?Action=%00"), ("PATCH", "*"), ("", "?Format=json&&=&")]
        {
            let incoming = super::Incoming { method, target, headers: &headers, body: &garbage };
            let answer = world.rpc.handle(incoming).await;
            assert_eq!(answer.status, 400, "{}", answer.body);
            assert!(!answer.body.contains(super::xml::is_forbidden), "{}", answer.body);
        }
    }
}

#[test]
fn a_failing_store_is_told_by_the_code_of_the_operation_and_a_full_queue_by_503() {
    use crate::app::AppError;
    use crate::store::StoreError;
    let told = |action, error| {
        let op = super::op::find(action).unwrap();
        match super::failed(op, AppError::Unavailable(error)) {
            super::Failure::Refused(refusal) => (200, refusal.code.to_owned()),
            super::Failure::Gateway(error) => (error.status, error.code),
        }
    };
    let broken = || StoreError::Engine("disk full".into());
    for (action, code) in [
        ("CreateProduct", "iot.prod.CreateProductFailed"),
        ("CreateOTAFirmware", "iot.firmware.CreateFirmwareFailure"),
        ("ListOTAJobByDevice", "iot.firmware.ListOTAJobFailed"),
        ("QueryProduct", "iot.system.SystemException"),
        ("CreateDeviceGroup", "iot.group.CreateGroupFailed"),
        ("CreateDeviceDynamicGroup", "iot.group.CreateGroupFailed"),
        ("UpdateDeviceGroup", "iot.group.UpdateGroupFailed"),
        ("DeleteDeviceGroup", "iot.group.DeleteGroupFailed"),
        ("DeleteDeviceDynamicGroup", "iot.group.DeleteGroupFailed"),
        ("QueryDeviceGroupList", "iot.group.QueryGroupListFailed"),
        ("QueryDeviceGroupInfo", "iot.group.QueryGroupInfoFailed"),
        ("QueryDeviceListByDeviceGroup", "iot.group.QueryGroupRelationFailed"),
        ("SaveDeviceProp", "iot.device.SaveOrUpdateDevicePropertiesFailed"),
        ("QueryDeviceProp", "iot.common.QueryDevicePropertyActionError"),
        ("DeleteDeviceProp", "iot.device.DeleteDevicePropertyFailed"),
        ("QueryDeviceByTags", "iot.device.QueryDeviceListActionError"),
        ("ListProductTags", "iot.prod.QueryExtendPropertyFailed"),
    ] {
        assert_eq!(told(action, broken()), (200, code.to_owned()));
        assert_eq!(told(action, StoreError::Busy), (503, "ServiceUnavailable".to_owned()));
    }
}
