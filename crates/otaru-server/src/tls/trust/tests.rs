//! Handshakes with devices that have certificates. `tests/conformance/test_x509.py` has those of others.

use super::*;
use crate::clock::Clock;
use crate::metrics::{Metrics, TlsFailed};
use crate::random::Random;
use crate::tls::{
    Acceptor, DeviceKey, Files, Issued, KeyOf, Knocks, Made, ServerName, Source, TlsLimits,
    TlsSocket,
};
use openssl::ssl::{Ssl, SslContext, SslMethod};
use otaru_core::time::DAY_MS;
use std::net::IpAddr;
use tokio::net::{TcpListener, TcpStream};

struct Node {
    _dir: tempfile::TempDir,
    authority: DeviceAuthority,
    acceptor: Acceptor,
    listener: TcpListener,
    metrics: Metrics,
}

fn now() -> Timestamp {
    Clock::system().now().wall
}

/// For `dev-001`, from `at` for a day.
fn issue(authority: &DeviceAuthority, at: Timestamp) -> Issued {
    let device = ("a1B2c3D4e5F".parse().unwrap(), "dev-001".parse().unwrap());
    let key = KeyOf::Made(DeviceKey::Ec);
    authority.issue((&device.0, &device.1), key, 1, at, &Random::system().unwrap()).unwrap()
}

impl Node {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = DeviceAuthority::within(dir.path());
        let names = vec![ServerName::Dns("localhost".into())];
        let source = Source::Made(Made { folder: dir.path().to_owned(), names });
        let devices = DeviceTrust { made: authority.clone(), authorities: None, revoked: None };
        let (metrics, random) = (Metrics::default(), Random::system().unwrap());
        let (files, limits) = (Files { source, devices }, TlsLimits::default());
        let acceptor =
            Acceptor::open(files, None, limits, Clock::system(), random, metrics.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { _dir: dir, authority, acceptor, listener, metrics }
    }

    /// What a device with this certificate comes to be: the server's end of it, and whether it was asked.
    async fn visit(&self, with: Option<&Issued>, knocks: Knocks) -> Option<TlsSocket> {
        let address = self.listener.local_addr().unwrap();
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        let (ours, theirs) = tokio::join!(self.listener.accept(), TcpStream::connect(address));
        let mut builder = SslContext::builder(SslMethod::tls_client()).unwrap();
        if let Some(Issued { certificate, key, .. }) = with {
            builder.set_certificate(certificate).unwrap();
            builder.set_private_key(key.as_ref().unwrap()).unwrap();
        }
        let mut ssl = Ssl::new(&builder.build()).unwrap();
        ssl.set_connect_state();
        let client = TlsSocket::shake_hands(ssl, theirs.unwrap());
        tokio::join!(self.acceptor.accept(ours.unwrap().0, peer, knocks), client).0
    }

    async fn certified(&self, with: &Issued) -> Option<String> {
        let server = self.visit(Some(with), Knocks::Device).await?;
        server.certified(now()).map(|it| it.device_name.to_string())
    }

    fn failed(&self, reason: TlsFailed) -> u64 {
        self.metrics.tls_failed.get(reason)
    }
}

#[tokio::test]
async fn a_device_is_asked_once_there_is_a_ca_and_may_have_none() {
    let node = Node::start().await;
    let issued = issue(&node.authority, now());
    assert_eq!(node.certified(&issued).await, None, "the files were not read yet");
    node.acceptor.reload().unwrap();
    assert_eq!(node.certified(&issued).await.as_deref(), Some("dev-001"));
    let without = node.visit(None, Knocks::Device).await.unwrap();
    assert_eq!(without.certified(now()), None);
    let elsewhere = node.visit(Some(&issued), Knocks::Anybody).await.unwrap();
    assert_eq!(elsewhere.certified(now()), None, "browsers are not asked");
}

#[tokio::test]
async fn certificates_that_are_late_early_foreign_or_revoked_are_refused_and_counted() {
    let node = Node::start().await;
    let authority = &node.authority;
    let good = issue(authority, now());
    let revoked = issue(authority, now());
    authority.revoke(&revoked.serial).unwrap();
    node.acceptor.reload().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = issue(&DeviceAuthority::within(elsewhere.path()), now());
    // Each is valid from two days before, for clocks that run late.
    let late = issue(authority, now().plus_ms(-2 * DAY_MS));
    let early = issue(authority, now().plus_ms(3 * DAY_MS));
    for (issued, reason, count) in [
        (&late, TlsFailed::ClientExpired, 1),
        (&early, TlsFailed::ClientExpired, 2),
        (&foreign, TlsFailed::ClientUntrusted, 1),
        (&revoked, TlsFailed::ClientRevoked, 1),
    ] {
        assert!(node.visit(Some(issued), Knocks::Device).await.is_none());
        assert_eq!(node.failed(reason), count, "{reason:?}");
    }
    assert_eq!(node.certified(&good).await.as_deref(), Some("dev-001"));
}

#[tokio::test]
async fn a_session_that_outlives_its_certificate_names_nobody() {
    let node = Node::start().await;
    let issued = issue(&node.authority, now());
    node.acceptor.reload().unwrap();
    let server = node.visit(Some(&issued), Knocks::Device).await.unwrap();
    assert!(server.certified(now()).is_some());
    assert_eq!(server.certified(now().plus_ms(2 * DAY_MS)), None);
}

#[test]
fn a_certificate_names_its_device_as_the_username_does() {
    let parse = |name| Certified::parse(name).map(|it| (it.device_name, it.product_key));
    let want = ("dev-001".parse().unwrap(), "a1B2c3D4e5F".parse().unwrap());
    assert_eq!(parse("dev-001&a1B2c3D4e5F"), Some(want));
    for bad in ["", "dev-001", "dev-001&", "&a1B2c3D4e5F", "dev 001&a1B2c3D4e5F", "a&b&c"] {
        assert_eq!(parse(bad), None, "{bad}");
    }
}

#[test]
fn files_that_hold_something_else_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let made = DeviceAuthority::within(dir.path());
    issue(&made, now());
    let path = |file: &str| Some(dir.path().join(file));
    std::fs::write(dir.path().join("empty"), "").unwrap();
    std::fs::write(dir.path().join("bad"), format!("{CRL_BEGINS}\nAAAA\n-----END X509 CRL-----"))
        .unwrap();
    let trust = |authorities, revoked| DeviceTrust { made: made.clone(), authorities, revoked };
    for (trust, want) in [
        (trust(path("devices/ca.pem"), None), None),
        (trust(path("absent"), None), Some("absent can't be used as a CA of devices")),
        (trust(path("empty"), None), Some("holds no certificate")),
        (trust(path("devices/ca.pem"), path("absent")), Some("absent can't be used as a list")),
        (trust(path("devices/ca.pem"), path("empty")), Some("it holds no list")),
        (trust(path("devices/ca.pem"), path("bad")), Some("bad can't be used as a list")),
    ] {
        let told = trust.load(now()).err().map(|error| error.to_string());
        match want {
            None => assert_eq!(told, None),
            Some(want) => assert!(told.as_ref().is_some_and(|it| it.contains(want)), "{told:?}"),
        }
    }
}
