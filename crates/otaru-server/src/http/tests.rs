//! A listener on a free port, spoken to by bytes.

use super::{Backend, Router, Unavailable, serve};
use crate::clock::Clock;
use crate::doors::DoorLimits;
use crate::files::upload::Ticket;
use crate::files::{BlockCache, Files, UploadForm, Urls};
use crate::mqtt::bind;
use crate::random::Random;
use crate::rpc;
use otaru_core::device_http::{HttpClaim, HttpError, Token};
use otaru_core::package::Blob;
use otaru_core::registration::{Claim, Enrolled, Grant, RegisterError};
use otaru_core::time::{MINUTE_MS, Timestamp};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

const KEY: &str = "ota/1/0123456789abcdef.bin";

/// Knows one ticket, remembers what was uploaded, and echoes calls.
#[derive(Debug)]
struct Fake {
    ticket: Mutex<Option<Ticket>>,
    uploaded: Mutex<Vec<(String, Blob)>>,
}

impl Backend for Arc<Fake> {
    async fn call(&self, request: rpc::Incoming<'_>) -> rpc::gateway::Answer {
        let body = format!("{} {} {}", request.method, request.target, request.body.len());
        rpc::gateway::Answer { status: 200, headers: vec![("x-acs-retry-after", "1".into())], body }
    }

    async fn ticket(&self, key: String) -> Result<Option<Ticket>, Unavailable> {
        Ok(self.ticket.lock().unwrap().filter(|_| key == KEY))
    }

    async fn authenticate(
        &self,
        _: HttpClaim,
        _: IpAddr,
    ) -> Result<Result<String, HttpError>, Unavailable> {
        Err(Unavailable)
    }

    async fn post(
        &self,
        _: Token,
        _: String,
        _: Vec<u8>,
        _: IpAddr,
    ) -> Result<Result<Option<String>, HttpError>, Unavailable> {
        Err(Unavailable)
    }

    async fn enrol(
        &self,
        claim: Claim,
        _grant: Grant,
    ) -> Result<Result<Enrolled, RegisterError>, Unavailable> {
        if claim.device_name.as_str() == "database-down" {
            return Err(Unavailable);
        }
        if !claim.proves("PsEcReT123456789") {
            return Ok(Err(RegisterError::Sign));
        }
        Ok(Ok(Enrolled {
            product_key: claim.product_key,
            device_name: claim.device_name,
            iot_id: "0123456789abcdef0123456789abcdef00000000".parse().unwrap(),
            secret: "5".repeat(32),
            client_id: String::new(),
        }))
    }

    async fn uploaded(&self, key: String, blob: Blob) -> Result<bool, Unavailable> {
        self.uploaded.lock().unwrap().push((key, blob));
        Ok(true)
    }
}

struct Node {
    address: std::net::SocketAddr,
    backend: Arc<Fake>,
    urls: Urls,
    clock: Clock,
    dir: tempfile::TempDir,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

impl Node {
    fn start() -> Self {
        Self::with(&DoorLimits::default())
    }

    fn with(limits: &DoorLimits) -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ticket = Some(Ticket { bytes_max: 1_000_000, used: false });
        let backend = Arc::new(Fake { ticket: Mutex::new(ticket), uploaded: Mutex::default() });
        let urls = Urls::new(format!("http://{address}"), [1; 32]);
        let clock = Clock::simulated(Timestamp(1_714_000_000_000));
        let files = Files::open(dir.path()).unwrap();
        let router = Router {
            backend: Arc::clone(&backend),
            cache: BlockCache::new(files.clone(), 1 << 20),
            files,
            urls: urls.clone(),
            clock: clock.clone(),
            random: Random::seeded(1),
            metrics: crate::metrics::Metrics::default(),
            devices: None,
            guard: None,
            limits: *limits,
            bodies: super::Bodies::new(limits, clock.clone(), crate::metrics::Metrics::default()),
        };
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(Arc::new(router), listener, None, stopped));
        Self { address, backend, urls, clock, dir, stop, serving }
    }

    fn form(&self) -> UploadForm {
        self.urls.upload_form(KEY, 1_000_000, self.clock.now().wall.plus_ms(MINUTE_MS))
    }

    /// Sends bytes and reads until the server closes.
    async fn send(&self, request: &[u8]) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request).await.unwrap();
        let mut reply = Vec::new();
        socket.read_to_end(&mut reply).await.unwrap();
        String::from_utf8_lossy(&reply).into_owned()
    }

    async fn post(&self, body: &[u8]) -> String {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=XX\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat()).await
    }

    async fn get(&self, target: &str, more: &str) -> String {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{more}\r\n");
        self.send(request.as_bytes()).await
    }

    fn stored(&self) -> usize {
        std::fs::read_dir(self.dir.path()).unwrap().count()
    }
}

type Fields<'a> = Vec<(&'a str, &'a str)>;

fn fields(form: &UploadForm) -> Fields<'_> {
    vec![
        ("key", &form.key),
        ("policy", &form.policy),
        ("OSSAccessKeyId", &form.access_key_id),
        ("Signature", &form.signature),
    ]
}

fn body(fields: &[(&str, &str)]) -> Vec<u8> {
    let part = |(name, value): &(&str, &str)| {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let mut body: String = fields.iter().map(part).collect();
    body.push_str("--XX--\r\n");
    body.into_bytes()
}

/// The code of an error, or the status line's number.
fn code(reply: &str) -> String {
    match reply.split_once("<Code>") {
        Some((_, rest)) => format!("{} {}", &reply[9..12], rest.split('<').next().unwrap()),
        None => reply.get(9..12).unwrap_or("nothing").to_owned(),
    }
}

#[tokio::test]
async fn a_file_goes_in_by_the_form_and_out_by_the_url() {
    let node = Node::start();
    let form = node.form();
    let contents = "0123456789".repeat(60_000);
    let mut with_file = fields(&form);
    with_file.push(("file", &contents));
    assert_eq!(code(&node.post(&body(&with_file)).await), "204");
    with_file.insert(0, ("success_action_status", "200"));
    let reply = node.post(&body(&with_file)).await;
    assert_eq!(code(&reply), "200");
    assert!(reply.contains("\r\nContent-Length: 0\r\n"), "{reply}");
    let (key, blob) = node.backend.uploaded.lock().unwrap()[0].clone();
    assert_eq!((key.as_str(), blob.size_bytes, node.stored()), (KEY, 600_000, 1));

    let url = node.urls.download(&blob.sha256, "bin", node.clock.now().wall.plus_ms(MINUTE_MS));
    let target = url.strip_prefix(&format!("http://{}", node.address)).unwrap();
    let whole = node.get(target, "").await;
    let (head, received) = whole.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Length: 600000\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nEtag: \"{}\"\r\n", blob.sha256)), "{head}");
    assert!(!head.contains("Transfer-Encoding"), "{head}");
    assert_eq!(received, contents);
    let (_, part) = contents.split_at(599_998);
    for (range, want, body) in [
        ("bytes=599998-", "206", part),
        ("bytes=-2", "206", part),
        ("bytes=2-3", "206", "23"),
        ("bytes=600000-", "416 InvalidRange", ""),
        ("bytes=0-1,2-3", "200", &contents),
    ] {
        let reply = node.get(target, &format!("Range: {range}\r\n")).await;
        assert_eq!(code(&reply), want, "{range}");
        assert!(reply.ends_with(body), "{range}");
    }
    let part = node.get(target, "Range: bytes=2-3\r\n").await;
    assert!(part.contains("\r\nContent-Range: bytes 2-3/600000\r\n"), "{part}");
    let behind = node.get(target, "Range: bytes=600000-\r\n").await;
    assert!(behind.contains("\r\nContent-Range: bytes */600000\r\n"), "{behind}");
    let other = node.get(target, "Range: bytes=2-3\r\nIf-Range: \"other\"\r\n").await;
    assert_eq!(code(&other), "200");
    let head =
        node.send(format!("HEAD {target} HTTP/1.1\r\nConnection: close\r\n\r\n").as_bytes()).await;
    assert!(
        head.contains("\r\nContent-Length: 600000\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );

    let denied = [
        (target.replace(".bin", ".exe"), "403 SignatureDoesNotMatch"),
        (format!("/{KEY}"), "403 AccessDenied"),
        ("/d/../../etc/passwd".into(), "403 SignatureDoesNotMatch"),
        ("/elsewhere".into(), "404 NoSuchKey"),
    ];
    for (target, want) in denied {
        assert_eq!(code(&node.get(&target, "").await), want, "{target}");
    }
    let post = format!("POST {target} HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(code(&node.send(post.as_bytes()).await), "405 MethodNotAllowed");
    std::fs::remove_file(node.dir.path().join(&blob.sha256)).unwrap();
    assert_eq!(code(&node.get(target, "").await), "404 NoSuchKey");
    node.clock.step_wall(2 * MINUTE_MS);
    assert_eq!(code(&node.get(target, "").await), "403 AccessDenied");
}

#[tokio::test]
async fn a_refused_upload_leaves_nothing() {
    let node = Node::start();
    let form = node.form();
    let long = "x".repeat(4_097);
    let large = "x".repeat(1_000_001);
    let good = fields(&form);
    let with = |more: &[(&'static str, &str)]| body(&[good.clone(), more.to_vec()].concat());
    let without = |name: &str| {
        let mut left: Fields = good.iter().copied().filter(|(known, _)| *known != name).collect();
        left.push(("file", "abc"));
        body(&left)
    };
    let altered = |name: &str, value: &'static str| {
        let change = |(known, old)| (known, if known == name { value } else { old });
        let mut fields: Fields = good.iter().copied().map(change).collect();
        fields.push(("file", "abc"));
        body(&fields)
    };
    let malformed = "400 MalformedPOSTRequest";
    let count = "400 IncorrectNumberOfFilesInPOSTRequest";
    for (body, want) in [
        (b"garbage".to_vec(), malformed),
        (Vec::new(), malformed),
        (with(&[("key", KEY), ("file", "abc")]), malformed),
        (with(&[("file", "abc"), ("more", "x")]), malformed),
        (with(&[]), count),
        (with(&[("file", "abc"), ("File", "abc")]), count),
        (with(&[("more", &long), ("file", "abc")]), "400 FieldItemTooLong"),
        (without("key"), malformed),
        (without("policy"), malformed),
        (without("OSSAccessKeyId"), malformed),
        (without("Signature"), malformed),
        (altered("OSSAccessKeyId", "other"), "403 InvalidAccessKeyId"),
        (altered("Signature", "other"), "403 SignatureDoesNotMatch"),
        (altered("policy", "other"), "403 SignatureDoesNotMatch"),
        (altered("key", "ota/1/../x"), "403 AccessDenied"),
        (with(&[("file", &large)]), "400 EntityTooLarge"),
    ] {
        assert_eq!(
            code(&node.post(&body).await),
            want,
            "{}",
            String::from_utf8_lossy(&body[..body.len().min(900)])
        );
    }
    *node.backend.ticket.lock().unwrap() = Some(Ticket { bytes_max: 9, used: true });
    let reply = node.post(&with(&[("file", "abc")])).await;
    assert_eq!(code(&reply), "403 AccessDenied");
    assert!(reply.contains("<HostId>here</HostId>"), "{reply}");
    *node.backend.ticket.lock().unwrap() = None;
    assert_eq!(code(&node.post(&with(&[("file", "abc")])).await), "403 AccessDenied");
    node.clock.step_wall(MINUTE_MS + 1);
    let late = node.post(&with(&[("file", "abc")])).await;
    assert!(late.contains("Invalid according to Policy: Policy expired."), "{late}");
    assert_eq!(node.backend.uploaded.lock().unwrap().len(), 0);
    assert_eq!(node.stored(), 0);
}

#[tokio::test]
async fn what_is_no_form_is_a_call_and_its_body_is_bounded() {
    let node = Node::start();
    let call = |method: &str, target: &str, bytes: usize| {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n"
        );
        [head.into_bytes(), vec![b'x'; bytes]].concat()
    };
    let reply = node.send(&call("POST", "/?Action=A", 3)).await;
    assert!(reply.ends_with("\r\n\r\nPOST /?Action=A 3"), "{reply}");
    assert!(reply.contains("\r\nContent-Length: 17\r\n"), "{reply}");
    let reply = node.send(&call("PUT", "/", 0)).await;
    assert!(reply.ends_with("\r\n\r\nPUT / 0"), "{reply}");
    for length in [40_000, 70_000, 300_000] {
        let query = format!("/?A={}", "x".repeat(length));
        let reply = node.send(&call("GET", &query, 3)).await;
        assert!(reply.ends_with(&format!("\r\n\r\nGET {query} 3")), "{length}");
    }
    assert_eq!(code(&node.send(b"garbage\r\n\r\n").await), "400");
}

#[tokio::test]
async fn a_stop_ends_what_is_in_work_and_accepts_nobody() {
    let node = Node::start();
    let mut idle = TcpStream::connect(node.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    let mut byte = [0];
    idle.read_exact(&mut byte).await.unwrap();
    node.stop.send(true).unwrap();
    node.serving.await.unwrap();
    assert!(TcpStream::connect(node.address).await.is_err());
}

#[tokio::test]
async fn a_call_whose_body_is_malformed_is_refused() {
    let node = Node::start();
    let head =
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in ["zz\r\n", "3\r\nabcd\r\n0\r\n\r\n"] {
        let answer = node.send(format!("{head}{body}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body}: {answer}");
        assert!(answer.contains("<Code>MalformedPOSTRequest</Code>"), "{body}: {answer}");
    }
    let answer = node.send(format!("{head}3\r\nabc\r\n0\r\n\r\n").as_bytes()).await;
    assert!(answer.ends_with("POST / 3"), "{answer}");
}

#[tokio::test]
async fn a_device_registers_by_a_form_and_every_answer_is_short_json_with_its_length() {
    let node = Node::start();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/spec/vectors.json");
    let vectors: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let of_sdks = vectors["dynreg"].as_array().unwrap().iter().filter_map(|it| it["body"].as_str());
    let of_sdks: Vec<_> = of_sdks.map(str::to_owned).collect();
    assert_eq!(of_sdks.len(), 4);
    let good = of_sdks[0].clone();
    let secret = format!(
        r#"{{"code":200,"data":{{"productKey":"a1B2c3D4e5F","deviceName":"dev-001","deviceSecret":"{}"}},"message":"success"}}"#,
        "5".repeat(32)
    );
    let refusal =
        |code: u16, text: &str| format!(r#"{{"code":{code},"data":{{}},"message":"{text}"}}"#);
    let parameter = refusal(460, "request parameter error");
    let mut cases: Vec<_> = of_sdks.into_iter().map(|form| (form, secret.clone())).collect();
    cases.extend([
        (good.replace("B790", "B791"), refusal(6600, "invalid sign")),
        (good.replace("hmacsha256", "sha3"), refusal(6292, "signature method not supported")),
        (good.replace("dev-001", "database-down"), refusal(500, "server error")),
        (good.replace("&sign=", "&sing="), parameter.clone()),
        (good.replace("signMethod", "method"), parameter.clone()),
        (good.replace("random=12345678", "random="), parameter.clone()),
        (good.replace("dev-001", "%2F"), parameter.clone()),
        (good.replace("dev-001", "%FF"), parameter.clone()),
        (format!("{good}&x={}", "y".repeat(5_000)), parameter.clone()),
        (String::new(), parameter),
    ]);
    for (form, want) in cases {
        let request = format!(
            "POST /auth/register/device HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let answer = node.send(request.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, want, "{form}");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{head}");
        assert!(body.len() <= 255 && !head.to_lowercase().contains("chunked"), "{head}");
    }
    let get = b"GET /auth/register/device HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    assert!(node.send(get).await.starts_with("HTTP/1.1 405 "));
}

#[tokio::test]
async fn who_finds_no_room_for_a_body_is_told_so_in_the_words_of_his_door() {
    let node = Node::with(&DoorLimits { http_bodies_bytes_max: 2, ..DoorLimits::default() });
    let form = "multipart/form-data; boundary=XX";
    let plain = "application/x-www-form-urlencoded";
    for (target, kind, status, body) in [
        ("/?Action=A&Format=JSON", plain, "503 ", r#""Code":"ServiceUnavailable""#),
        ("/?Action=A&Format=XML", plain, "503 ", "<Code>ServiceUnavailable</Code>"),
        ("/", form, "503 ", "<Code>ServiceUnavailable</Code>"),
        (
            "/auth/register/device",
            plain,
            "200 ",
            r#"{"code":500,"data":{},"message":"server error"}"#,
        ),
        ("/auth", plain, "200 ", r#"{"code":40000,"message":"request too many"}"#),
    ] {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: 3\r\n\r\nabc"
        );
        let answer = node.send(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{target}: {answer}");
        assert!(answer.contains(body), "{target}: {answer}");
    }
    assert!(node.get("/?Action=A", "").await.ends_with("GET /?Action=A 0"), "without a body");
}
