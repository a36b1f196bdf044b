//! A server with products, devices and a job in the middle of its way, and everything that a caller can read of it.

use crate::wire::{CONNACK_ACCEPTED, Connect, DISCONNECT, HANG, Wire, puback, publish};
use otaru_core::signature::device::{SignMethod, connect_content};
use otaru_server::cli::client::{Client, Endpoint, Reply};
use otaru_server::cli::serve::Server;
use otaru_server::clock::Clock;
use otaru_server::config::Settings;
use otaru_server::random::Random;
use otaru_server::rpc::client::{Credentials, Signing};
use otaru_server::rpc::gateway::Format;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Devices of the scene, with what they are for. `TWIN` has the name of `ACTOR` under another product.
pub const ACTOR: &str = "actor-1";
pub const BUSY: &str = "busy-1";
pub const GOOD: &str = "good-1";
pub const OTHER: &str = "other-1";
pub const WAITS: &str = "waits-1";
pub const TWIN: &str = "twin";

/// What devices of the scene report.
const VERSION: &str = r#"{"id":"1","params":{"version":"1.0.0"}}"#;

pub struct Device {
    pub product_key: String,
    pub name: String,
    pub secret: String,
}

impl Device {
    /// The password for `base` as client id.
    pub fn password(&self, method: SignMethod, base: &str) -> String {
        method.sign(&self.secret, &connect_content(base, &self.name, &self.product_key, None))
    }

    /// A CONNECT that is let in.
    pub fn connect(&self) -> Connect {
        Connect {
            name: "MQTT",
            level: 4,
            flags: 2,
            keepalive_s: 60,
            client_id: b"c|securemode=3,signmethod=hmacsha256|".to_vec(),
            will: Vec::new(),
            username: Some(format!("{}&{}", self.name, self.product_key).into_bytes()),
            password: Some(self.password(SignMethod::Sha256, "c").into_bytes()),
        }
    }

    /// `/ota/device/{kind}/…` of this device.
    pub fn ota(&self, kind: &str) -> String {
        format!("/ota/device/{kind}/{}/{}", self.product_key, self.name)
    }

    /// `/sys/…/{rest}` of this device.
    pub fn sys(&self, rest: &str) -> String {
        format!("/sys/{}/{}/{rest}", self.product_key, self.name)
    }
}

pub struct Scene {
    pub server: Server,
    /// Holds the data folder and nothing else.
    pub dir: TempDir,
    pub product: String,
    pub elsewhere: String,
    pub devices: BTreeMap<&'static str, Device>,
    pub firmware: String,
    pub job: String,
    /// What the device `BUSY` was told to download.
    pub url: String,
    client: Client,
}

impl Scene {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Settings::demo(dir.path().join("data")).load().unwrap();
        // Nobody is pushed by passing time while the acts are on.
        config.limits.grace_ms = 60_000;
        let server = Server::start(config, None).await.unwrap();
        let endpoint = Endpoint::parse(&server.http.to_string()).unwrap();
        let credentials = Credentials {
            access_key_id: server.credentials.access_key_id.clone(),
            access_key_secret: server.credentials.access_key_secret.clone(),
            security_token: None,
        };
        let random = Random::seeded(2);
        let client = Client::new(endpoint, credentials, Signing::V3, Clock::system(), random);
        let mut scene = Self {
            server,
            dir,
            product: String::new(),
            elsewhere: String::new(),
            devices: BTreeMap::new(),
            firmware: String::new(),
            job: String::new(),
            url: String::new(),
            client,
        };
        let furnished = tokio::time::timeout(HANG, scene.furnish()).await;
        furnished.expect("the server answers");
        scene
    }

    async fn furnish(&mut self) {
        self.product = self.product("lamp").await;
        self.elsewhere = self.product("other").await;
        for name in [ACTOR, BUSY, GOOD, OTHER, WAITS] {
            let device = self.register(&self.product, name).await;
            self.devices.insert(name, device);
        }
        let twin = self.register(&self.elsewhere, ACTOR).await;
        self.devices.insert(TWIN, twin);
        for key in [ACTOR, GOOD, OTHER, TWIN] {
            self.reports_and_goes(key).await;
        }
        for key in [OTHER, TWIN] {
            while self.detail(key).await["Status"] != "OFFLINE" {}
        }

        self.firmware = self.package("2.0.0", &[]).await;
        let mut busy = self.online(BUSY).await;
        let device = &self.devices[BUSY];
        busy.send(&publish(1, 1, device.ota("inform"), VERSION)).await;
        assert_eq!(busy.bytes(4).await, puback(1));
        let params = [
            ("FirmwareId", &*self.firmware),
            ("ProductKey", &self.product),
            ("TargetSelection", "SPECIFIC"),
            ("TargetDeviceName.1", BUSY),
            ("TargetDeviceName.2", WAITS),
        ];
        let job = self.call("CreateOTAStaticUpgradeJob", &params).await;
        let told: Value = serde_json::from_slice(&busy.message().await).unwrap();
        let progress = r#"{"id":"2","params":{"step":"10","desc":"on its way"}}"#;
        busy.send(&publish(1, 2, device.ota("progress"), progress)).await;
        assert_eq!(busy.bytes(4).await, puback(2));
        busy.send(&DISCONNECT).await;
        assert_eq!(busy.rest().await, b"");
        self.url = text(&told["data"]["url"]);
        self.job = text(&job["Data"]["JobId"]);
        while self.call("ListOTATaskByJob", &self.tasks()).await["Total"] != 2 {}
    }

    fn tasks(&self) -> [(&'static str, &str); 3] {
        [("JobId", &self.job), ("CurrentPage", "1"), ("PageSize", "100")]
    }

    async fn product(&self, name: &str) -> String {
        let params = [("NodeType", "0"), ("ProductName", name)];
        text(&self.call("CreateProduct", &params).await["ProductKey"])
    }

    async fn register(&self, product_key: &str, name: &str) -> Device {
        let params = [("ProductKey", product_key), ("DeviceName", name)];
        let reply = self.call("RegisterDevice", &params).await;
        let secret = text(&reply["Data"]["DeviceSecret"]);
        Device { product_key: product_key.to_owned(), name: name.to_owned(), secret }
    }

    /// A package that needs no verification, with more parameters.
    pub async fn package(&self, version: &str, more: &[(&str, &str)]) -> String {
        let ticket = self.call("GenerateOTAUploadURL", &[]).await["Data"].take();
        let form = upload_fields(&ticket);
        let (status, answer) = self.upload(&form, "f.bin").await;
        assert_eq!(status, 200, "{answer}");
        let url = text(&ticket["FirmwareUrl"]);
        let name = format!("lamp_{version}").replace('.', "-");
        let mut params = vec![
            ("FirmwareName", &*name),
            ("DestVersion", version),
            ("ProductKey", &self.product),
            ("FirmwareUrl", &url),
            ("NeedToVerify", "false"),
        ];
        params.extend(more);
        text(&self.call("CreateOTAFirmware", &params).await["Data"]["FirmwareId"])
    }

    /// A call that has to succeed.
    pub async fn call(&self, action: &str, params: &[(&str, &str)]) -> Value {
        self.client.call(action, params).await.unwrap()
    }

    /// A call in XML, refused or not.
    pub async fn call_xml(&self, action: &str, params: &[(&str, &str)]) -> Reply {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let params: Vec<_> = params.iter().map(own).collect();
        self.client.send(action, &params, Format::Xml).await.unwrap()
    }

    pub async fn detail(&self, key: &str) -> Value {
        let device = &self.devices[key];
        let params = [("ProductKey", &*device.product_key), ("DeviceName", &*device.name)];
        self.call("QueryDeviceDetail", &params).await["Data"].take()
    }

    /// A connection of a device that was let in.
    pub async fn online(&self, key: &str) -> Wire {
        let mut wire = Wire::open(self.server.mqtt, key).await;
        wire.send(&self.devices[key].connect().bytes()).await;
        assert_eq!(wire.bytes(4).await, CONNACK_ACCEPTED, "{key} is let in");
        wire
    }

    /// A device connects, reports the version that it has already, and goes.
    pub async fn reports_and_goes(&self, key: &str) {
        let mut wire = self.online(key).await;
        wire.send(&publish(1, 7, self.devices[key].ota("inform"), VERSION)).await;
        assert_eq!(wire.bytes(4).await, puback(7), "{key} is heard");
        wire.send(&DISCONNECT).await;
        assert_eq!(wire.rest().await, b"", "{key} goes");
    }

    /// Everything that can be read, but for when those devices were online that the acts let in.
    pub async fn snapshot(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for key in self.devices.keys() {
            let mut detail = self.detail(key).await;
            if [ACTOR, BUSY, GOOD].contains(key) {
                for name in ["GmtOnline", "UtcOnline", "Status", "IpAddress"] {
                    detail.as_object_mut().unwrap().remove(name);
                }
            }
            all.push(detail);
        }
        for product in [&self.product, &self.elsewhere] {
            let params = [("ProductKey", &**product), ("PageSize", "50")];
            let mut page = self.call("QueryDevice", &params).await;
            for row in page["Data"]["DeviceInfo"].as_array_mut().unwrap() {
                row.as_object_mut().unwrap().remove("DeviceStatus");
            }
            all.push(page);
        }
        all.push(self.call("ListOTATaskByJob", &self.tasks()).await);
        all.push(self.call("QueryOTAJob", &[("JobId", &self.job)]).await);
        let page = [("CurrentPage", "1"), ("PageSize", "100")];
        all.push(self.call("ListOTAFirmware", &page).await);
        for reply in &mut all {
            reply.as_object_mut().unwrap().remove("RequestId");
        }
        all
    }

    /// Files below the data folder that hold packages.
    pub fn stored(&self) -> usize {
        let folders = std::fs::read_dir(self.dir.path().join("data/files")).unwrap();
        folders.count()
    }

    /// What lies beside the data folder: nothing ever may.
    pub fn beside(&self) -> Vec<PathBuf> {
        let entries =
            std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| !path.ends_with("data")).collect()
    }

    /// Posts a form with `file_name`; status and body of the answer.
    pub async fn upload(&self, fields: &[(&str, String)], file_name: &str) -> (u16, String) {
        let file = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\r\ncontents\r\n--XX--\r\n"
        );
        let texts = fields.iter().map(|(name, value)| {
            format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        });
        let body: String = texts.chain([file]).collect();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=XX\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.http(&format!("{head}{body}")).await
    }

    /// Sends a request as it is; status and body of the answer.
    pub async fn http(&self, request: &str) -> (u16, String) {
        let answer = exchange(self.server.http, request.as_bytes()).await;
        let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        (status, body.unwrap_or_default())
    }
}

/// The fields of an upload form, from the data of `GenerateOTAUploadURL`.
pub fn upload_fields(ticket: &Value) -> Vec<(&'static str, String)> {
    let names = [
        ("key", "Key"),
        ("policy", "Policy"),
        ("OSSAccessKeyId", "OSSAccessKeyId"),
        ("signature", "Signature"),
    ];
    let mut fields: Vec<_> = names.map(|(field, name)| (field, text(&ticket[name]))).to_vec();
    fields.push(("success_action_status", "200".to_owned()));
    fields
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
