//! Handshakes with a client in this process. `tests/conformance/test_tls.py` has those of others.

use super::*;
use crate::mqtt::Link;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use otaru_core::time::Timestamp;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

struct Node {
    dir: tempfile::TempDir,
    acceptor: Arc<Acceptor>,
    listener: TcpListener,
    metrics: Metrics,
}

const NOW: Timestamp = Timestamp(1_714_000_000_000);

impl Node {
    async fn start(limits: TlsLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = vec![ServerName::Dns("localhost".into())];
        let source = Source::Made(Made { folder: dir.path().to_owned(), names });
        Self::with(dir, source, limits).await
    }

    async fn with(dir: tempfile::TempDir, source: Source, limits: TlsLimits) -> Self {
        let metrics = Metrics::default();
        // Certificates are checked against the machine's clock.
        let clock = Clock::system();
        let random = Random::system().unwrap();
        let made = DeviceAuthority::within(dir.path());
        let devices = DeviceTrust { made, authorities: None, revoked: None };
        let files = Files { source, devices };
        let acceptor = Acceptor::open(files, None, limits, clock, random, metrics.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { dir, acceptor: Arc::new(acceptor), listener, metrics }
    }

    async fn plain(&self) -> (TcpStream, TcpStream) {
        let address = self.listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(self.listener.accept(), TcpStream::connect(address));
        (ours.unwrap().0, theirs.unwrap())
    }

    /// Both ends of a connection.
    async fn pair(&self) -> (Option<TlsSocket>, Result<TlsSocket, HandshakeError>) {
        let (ours, theirs) = self.plain().await;
        let client = TlsSocket::shake_hands(self.client(), theirs);
        let peer = "127.0.0.1".parse().unwrap();
        tokio::join!(self.acceptor.accept(ours, peer, Knocks::Device), client)
    }

    fn client(&self) -> Ssl {
        client(&authority_file(self.dir.path()))
    }

    fn failed(&self) -> Vec<TlsFailed> {
        let was = |reason: &TlsFailed| self.metrics.tls_failed.get(*reason) > 0;
        TlsFailed::ALL.iter().copied().filter(was).collect()
    }
}

fn client(authority: &Path) -> Ssl {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_ca_file(authority).unwrap();
    builder.set_verify(SslVerifyMode::PEER);
    let mut ssl = builder.build().configure().unwrap().into_ssl("localhost").unwrap();
    ssl.set_connect_state();
    ssl
}

async fn read(socket: &TlsSocket, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 7];
    while bytes.len() < count {
        match socket.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => socket.readable().await.unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
    bytes
}

async fn write(socket: &TlsSocket, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match socket.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => socket.writable().await.unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_in_pieces_and_come_to_an_end() {
    let node = Node::start(TlsLimits::default()).await;
    let (server, client) = node.pair().await;
    let (server, client) = (server.unwrap(), client.unwrap());
    // More than sockets and records hold, read seven bytes at a time.
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let (received, ()) = tokio::join!(read(&server, bytes.len()), write(&client, &bytes));
    assert!(received == bytes);
    let (returned, ()) = tokio::join!(read(&client, bytes.len()), write(&server, &bytes));
    assert!(returned == bytes);
    let link = Link::Socket(server.into());
    assert_eq!(link.try_write(b"last words").unwrap(), 10);
    link.close();
    assert_eq!(read(&client, usize::MAX).await, b"last words");
    assert_eq!(node.metrics.tls_handshakes.get(TlsKind::Tls13), 1);
}

#[tokio::test]
async fn a_record_that_is_read_in_part_makes_the_link_readable() {
    let node = Node::start(TlsLimits::default()).await;
    let (server, client) = node.pair().await;
    let (server, client) = (server.unwrap(), client.unwrap());
    write(&client, b"abcdefghij").await;
    assert_eq!(read(&server, 1).await, b"abcdefg");
    // The socket has nothing more; only the library has.
    server.readable().await.unwrap();
    let mut rest = [0; 7];
    assert_eq!(server.try_read(&mut rest).unwrap(), 3);
    assert_eq!(server.try_read(&mut rest).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_peer_that_vanishes_without_goodbye_is_an_end_like_any_other() {
    let node = Node::start(TlsLimits::default()).await;
    let (server, client) = node.pair().await;
    let (server, client) = (server.unwrap(), client.unwrap());
    // A socket that closes on unread bytes, such as a session ticket, resets the connection.
    write(&server, b"x").await;
    assert_eq!(read(&client, 1).await, b"x");
    drop(client);
    assert_eq!(read(&server, 1).await, b"");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_cut_and_gives_its_place_back() {
    let node = Node::start(TlsLimits { handshake_ms: 2_000, handshakes_max: 1 }).await;
    let peer: IpAddr = "127.0.0.1".parse().unwrap();
    let (silent, silent_peer) = node.plain().await;
    assert!(node.acceptor.accept(silent, peer, Knocks::Device).await.is_none());
    assert_eq!(node.failed(), [TlsFailed::Timeout]);
    drop(silent_peer);
    let (begun, begun_peer) = node.plain().await;
    begun_peer.try_write(&[0x16, 3, 1]).unwrap();
    assert!(node.acceptor.accept(begun, peer, Knocks::Device).await.is_none());
    assert_eq!(node.metrics.tls_failed.get(TlsFailed::Timeout), 2);
    let (server, _client) = node.pair().await;
    assert!(server.is_some());
}

#[tokio::test]
async fn a_handshake_that_finds_no_place_is_cut() {
    let node = Node::start(TlsLimits { handshake_ms: 300, handshakes_max: 0 }).await;
    let (waiting, waiting_peer) = node.plain().await;
    waiting_peer.try_write(&[0x16]).unwrap();
    assert!(
        node.acceptor.accept(waiting, "127.0.0.1".parse().unwrap(), Knocks::Device).await.is_none()
    );
    assert_eq!(node.failed(), [TlsFailed::Busy]);
}

#[tokio::test]
async fn what_is_no_tls_or_old_or_distrustful_is_counted_as_such() {
    let peer: IpAddr = "127.0.0.1".parse().unwrap();
    let words: [(&[u8], TlsFailed); 3] = [
        (b"GET / HTTP/1.1\r\n\r\n", TlsFailed::NotTls),
        (b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0", TlsFailed::NotTls),
        (b"", TlsFailed::Eof),
    ];
    for (bytes, want) in words {
        let node = Node::start(TlsLimits::default()).await;
        let (ours, theirs) = node.plain().await;
        if bytes.is_empty() {
            drop(theirs);
            assert!(node.acceptor.accept(ours, peer, Knocks::Device).await.is_none());
        } else {
            theirs.try_write(bytes).unwrap();
            assert!(node.acceptor.accept(ours, peer, Knocks::Device).await.is_none());
        }
        assert_eq!(node.failed(), [want], "{bytes:?}");
    }
    let node = Node::start(TlsLimits::default()).await;
    let other = Node::start(TlsLimits::default()).await;
    let (ours, theirs) = node.plain().await;
    let client = TlsSocket::shake_hands(other.client(), theirs);
    let (server, client) = tokio::join!(node.acceptor.accept(ours, peer, Knocks::Device), client);
    assert!(client.is_err());
    // Of TLS 1.3 the server learns only afterwards what the client thinks of it.
    assert!(server.is_none_or(|server| server.try_write(b"x").is_ok()));
}

#[tokio::test]
async fn a_reload_that_fails_keeps_what_was_and_a_later_one_succeeds() {
    let node = Node::start(TlsLimits::default()).await;
    let (server, client) = node.pair().await;
    let leaf = node.dir.path().join("ec.pem");
    let good = std::fs::read(&leaf).unwrap();
    std::fs::remove_file(node.dir.path().join("ca.key")).unwrap();
    std::fs::write(&leaf, "nothing").unwrap();
    let told = format!("{:#}", node.acceptor.reload().unwrap_err());
    assert!(told.contains("ca.key is missing"), "{told}");
    let (still, _client) = node.pair().await;
    assert!(still.is_some());
    std::fs::write(&leaf, good).unwrap();
    node.acceptor.reload().unwrap();
    // The connection from before goes on.
    write(&client.unwrap(), b"ping").await;
    assert_eq!(read(&server.unwrap(), 4).await, b"ping");
}

#[test]
fn files_that_do_not_fit_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let names = vec![ServerName::Dns("localhost".into())];
    let made = Made { folder: dir.path().to_owned(), names };
    made.pairs(NOW, &Random::seeded(1)).unwrap();
    let path = |file: &str| dir.path().join(file);
    std::fs::write(path("empty.pem"), "").unwrap();
    for (certificate, key, want) in [
        ("ec.pem", "ec.pem", None),
        ("ec.pem", "rsa.pem", Some("rsa.pem is not the key of ")),
        ("empty.pem", "ec.pem", Some("empty.pem can't be used as a certificate")),
        ("absent.pem", "ec.pem", Some("absent.pem can't be used as a certificate")),
        ("ec.pem", "empty.pem", Some("empty.pem can't be used as a key")),
    ] {
        let pair = Pair { certificate: path(certificate), key: path(key) };
        let told = context::context(&[pair], false, None).err().map(|error| error.to_string());
        let fits = match (&told, want) {
            (Some(told), Some(want)) => told.contains(want),
            (told, want) => told.is_none() && want.is_none(),
        };
        assert!(fits, "{certificate} {key}: {told:?}");
    }
}
