//! The whole service on free ports.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    settings: Settings,
}

fn config(data: &std::path::Path) -> Config {
    let data = format!("--data={}", data.display());
    let line = ["otaru", &data, "--http=127.0.0.1:0", "--mqtt=127.0.0.1:0"];
    Line::try_parse_from(line).unwrap().settings.load().unwrap()
}

fn key(secret: &str) -> Credentials {
    Credentials { access_key_id: "id".into(), access_key_secret: secret.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_keeps_its_folder_and_its_key_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(config(dir.path()), Some(key("secret"))).await.unwrap();
    let endpoint = std::fs::read_to_string(dir.path().join("endpoint")).unwrap();
    assert_eq!(endpoint, format!("http={} mqtt={}\n", server.http, server.mqtt));
    let second = Server::start(config(dir.path()), None).await.err().unwrap().to_string();
    assert!(second.contains("another server is running"), "{second}");
    let (http, mqtt) = (server.http, server.mqtt);
    let _idle = tokio::net::TcpStream::connect(mqtt).await.unwrap();
    server.stop().await;
    for address in [http, mqtt] {
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
    let other =
        Server::start(config(dir.path()), Some(key("other"))).await.err().unwrap().to_string();
    assert!(other.contains("are not the access key"), "{other}");
    let again = Server::start(config(dir.path()), None).await.unwrap();
    assert_eq!(again.credentials, key("secret"));
    again.stop().await;
}

mod admin {
    use super::*;
    use crate::app::operator::{Act, Done, NewKey, Owner};
    use crate::cli::admin::{self, DataArgs};
    use crate::cli::client::{Client, Refused};
    use crate::cli::target::{credentials_of, endpoint_of};
    use crate::rpc::client::{Credentials as Signer, Signing};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn act(data: &Path, what: Act) -> anyhow::Result<Done> {
        admin::act(&DataArgs { data: data.to_owned(), store: None }, what).await
    }

    async fn new_key(data: &Path, what: Act) -> NewKey {
        match act(data, what).await.unwrap() {
            Done::NewKey(key) => key,
            other => panic!("{other:?}"),
        }
    }

    async fn keys(data: &Path) -> Vec<String> {
        match act(data, Act::ListKeys).await.unwrap() {
            Done::Keys(keys) => keys.into_iter().map(|key| key.id).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// The code of a call that the server of the folder refuses, or `ok`.
    async fn knock(data: &Path, signer: Signer) -> String {
        let random = Random::system().unwrap();
        let endpoint = endpoint_of(data).unwrap();
        let client = Client::new(endpoint, signer, Signing::V3, Clock::system(), random);
        let params = [("CurrentPage", "1"), ("PageSize", "1")];
        match client.call("ListOTAFirmware", &params).await {
            Ok(_) => "ok".into(),
            Err(error) => error.downcast::<Refused>().unwrap().code,
        }
    }

    fn signer(key: &NewKey) -> Signer {
        Signer {
            access_key_id: key.access_key_id.clone(),
            access_key_secret: key.access_key_secret.clone(),
            security_token: key.security_token.clone(),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keys_are_made_and_rotated_whether_the_server_runs_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let nothing = act(data, Act::ListKeys).await.unwrap_err().to_string();
        assert!(nothing.contains("there is no data of a server"), "{nothing}");
        let server = Server::start(config(data), Some(key("secret"))).await.unwrap();
        let socket = std::fs::metadata(data.join("admin.sock")).unwrap();
        assert_eq!(socket.permissions().mode() & 0o777, 0o600);
        assert_eq!(keys(data).await, ["id"]);
        let temporary = Act::CreateTemporaryKey { owner: Owner::Main, hours: 1 };
        let temporary = new_key(data, temporary).await;
        assert_eq!(knock(data, signer(&temporary)).await, "ok");
        let rotate = |id: &str| Act::RotateKey { id: id.into(), keep_hours: 0 };
        let old = credentials_of(data).unwrap();
        let second = new_key(data, rotate("id")).await;
        assert_eq!(knock(data, old).await, "InvalidAccessKeyId.Inactive");
        assert_eq!(knock(data, credentials_of(data).unwrap()).await, "ok");
        server.stop().await;
        assert!(!data.join("admin.sock").exists());

        let third = new_key(data, rotate(&second.access_key_id)).await;
        let unknown = act(data, rotate("id")).await.unwrap_err().to_string();
        assert_eq!(unknown, "the access key id has ended: make another one");
        let server = Server::start(config(data), None).await.unwrap();
        assert_eq!(server.credentials.access_key_id, third.access_key_id);
        assert_eq!(knock(data, signer(&second)).await, "InvalidAccessKeyId.Inactive");
        assert_eq!(knock(data, signer(&third)).await, "ok");
        assert_eq!(keys(data).await.len(), 4);
        server.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_first_key_that_was_deleted_does_not_come_back_with_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let server = Server::start(config(data), Some(key("secret"))).await.unwrap();
        let other = new_key(data, Act::CreateKey { owner: Owner::Main }).await;
        act(data, Act::DeleteKey { id: "id".into() }).await.unwrap();
        server.stop().await;
        let server = Server::start(config(data), None).await.unwrap();
        let first = credentials_of(data).unwrap();
        assert_eq!(knock(data, first).await, "InvalidAccessKeyId.NotFound");
        assert_eq!(knock(data, signer(&other)).await, "ok");
        server.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_socket_that_a_killed_server_left_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        Server::start(config(data), Some(key("secret"))).await.unwrap().stop().await;
        drop(std::os::unix::net::UnixListener::bind(data.join("admin.sock")).unwrap());
        assert_eq!(keys(data).await, ["id"]);
        let server = Server::start(config(data), None).await.unwrap();
        assert_eq!(keys(data).await, ["id"]);
        server.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_command_is_answered_and_the_next_one_served() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let server = Server::start(config(data), Some(key("secret"))).await.unwrap();
        let garbage: [&[u8]; 4] = [b"\n", b"{}\n", b"\"Frobnicate\"\n", b"\xff\xfe\n"];
        for line in garbage {
            let mut stream =
                tokio::net::UnixStream::connect(data.join("admin.sock")).await.unwrap();
            stream.write_all(line).await.unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.unwrap();
            assert!(reply.is_empty() || reply.contains("Denied"), "{reply}");
        }
        assert_eq!(keys(data).await, ["id"]);
        server.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_folder_too_long_for_a_socket_has_a_server_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("x".repeat(120));
        let server = Server::start(config(&data), Some(key("secret"))).await.unwrap();
        let refused = act(&data, Act::ListKeys).await.unwrap_err();
        assert!(format!("{refused:#}").contains("another server is running"), "{refused:#}");
        server.stop().await;
        assert_eq!(keys(&data).await, ["id"]);
    }
}
