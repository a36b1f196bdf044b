//! What a device downloads from.

use super::world::World;
use crate::scene::text;
use otaru_core::device_http::{HttpClaim, HttpError, Token};
use otaru_core::package::Blob;
use otaru_core::registration::{Claim, Enrolled, Grant, RegisterError};
use otaru_core::time::{HOUR_MS, MINUTE_MS};
use otaru_server::doors::DoorLimits;
use otaru_server::files::upload::Ticket;
use otaru_server::http::{Backend, Bodies, Router, Unavailable, serve};
use otaru_server::metrics::Metrics;
use otaru_server::random::Random;
use otaru_server::rpc::{Incoming, gateway};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Downloads ask nobody.
struct Nobody;

impl Backend for Nobody {
    async fn call(&self, _: Incoming<'_>) -> gateway::Answer {
        gateway::Answer { status: 500, headers: vec![], body: String::new() }
    }

    async fn ticket(&self, _: String) -> Result<Option<Ticket>, Unavailable> {
        Ok(None)
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
        _: Claim,
        _: Grant,
    ) -> Result<Result<Enrolled, RegisterError>, Unavailable> {
        Ok(Err(RegisterError::Off))
    }

    async fn uploaded(&self, _: String, _: Blob) -> Result<bool, Unavailable> {
        Ok(false)
    }
}

/// Status line and all that follows of the answer to a GET.
async fn get(address: SocketAddr, target: &str, more: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{more}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_url_is_good_for_24_hours_only_as_it_was_issued_and_gives_ranges() {
    let world = World::new().await;
    let listener = otaru_server::mqtt::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router {
        backend: Nobody,
        cache: world.app.block_cache(),
        files: world.files.clone(),
        urls: world.urls.clone(),
        clock: world.clock.clone(),
        random: Random::seeded(3),
        metrics: Metrics::default(),
        devices: None,
        guard: None,
        limits: DoorLimits::default(),
        bodies: Bodies::new(&DoorLimits::default(), world.clock.clone(), Metrics::default()),
    };
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(serve(Arc::new(router), listener, None, stopped));

    let (_, mut wire) = world.device_at("lamp", "1.0").await;
    let package = world.package("2.0", "").await;
    world.static_job(&package, "TargetSelection=ALL&NeedPush=false").await;
    let url = text(&wire.pulls().await["url"]);
    let (_, rest) = url.split_once("//").unwrap();
    let target = &rest[rest.find('/').unwrap()..];

    let whole = get(address, target, "").await;
    assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with("\r\n\r\nfirmware"), "{whole}");
    let part = get(address, target, "Range: bytes=2-4\r\n").await;
    assert!(part.starts_with("HTTP/1.1 206") && part.ends_with("\r\n\r\nrmw"), "{part}");

    let (path, query) = target.split_once('?').unwrap();
    for (n, place) in query.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()) {
        let other = if place == '0' { "1" } else { "0" };
        let altered = format!("{path}?{}{other}{}", &query[..n], &query[n + 1..]);
        let answer = get(address, &altered, "").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{altered}: {answer}");
        let code = ["SignatureDoesNotMatch", "AccessDenied"];
        assert!(code.iter().any(|code| answer.contains(code)), "{altered}: {answer}");
    }

    world.clock.step_wall(24 * HOUR_MS - MINUTE_MS);
    assert!(get(address, target, "").await.starts_with("HTTP/1.1 200"));
    world.clock.step_wall(2 * MINUTE_MS);
    let late = get(address, target, "").await;
    assert!(late.starts_with("HTTP/1.1 403") && late.contains("AccessDenied"), "{late}");
    let fresh = text(&wire.pulls().await["url"]);
    assert_ne!(fresh, url);
}
