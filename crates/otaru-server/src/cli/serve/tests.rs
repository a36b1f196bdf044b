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
