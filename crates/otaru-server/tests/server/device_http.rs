//! Devices that speak HTTP: how they are upgraded, and what is refused and changes nothing.

use crate::scene::{Device, GOOD, OTHER, Scene, TWIN, text};
use otaru_core::signature::device::{SignMethod, connect_content};
use serde_json::{Value, json};

async fn post(scene: &Scene, target: &str, headers: &str, body: &str) -> Value {
    let length = body.len();
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    let (status, answer) = scene.http(&request).await;
    assert_eq!(status, 200, "{target} {answer}");
    serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{target}: {answer}"))
}

/// The body of `POST /auth`.
fn proof(device: &Device, secret: &str) -> String {
    let (key, name) = (&*device.product_key, &*device.name);
    let sign = SignMethod::Sha256.sign(secret, &connect_content("c", name, key, None));
    json!({"clientId": "c", "signmethod": "hmacsha256", "sign": sign, "productKey": key, "deviceName": name})
        .to_string()
}

async fn token(scene: &Scene, device: &Device) -> String {
    let answer = post(scene, "/auth?_v=sdk-c-4.1.0&", "", &proof(device, &device.secret)).await;
    assert_eq!((&answer["code"], &answer["message"]), (&json!(0), &json!("success")), "{answer}");
    text(&answer["info"]["token"])
}

async fn say(scene: &Scene, token: &str, topic: &str, body: &str) -> Value {
    post(scene, &format!("/topic{topic}"), &format!("password:{token}\r\n"), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_speaks_http_is_upgraded_by_asking() {
    let scene = Scene::new().await;
    let device = &scene.devices[OTHER];
    let token = token(&scene, device).await;
    assert!(token.len() <= 192, "{token}");
    assert_eq!(scene.detail(OTHER).await["Status"], "OFFLINE");
    let inform = async |version: &str| {
        let report = json!({"id": "1", "params": {"version": version}}).to_string();
        let answer = say(&scene, &token, &device.ota("inform"), &report).await;
        assert_eq!(answer["code"], 0, "{answer}");
        assert!(answer["info"]["messageId"].as_u64().is_some(), "{answer}");
        assert_eq!(scene.detail(OTHER).await["FirmwareVersion"], version);
    };
    inform("1.0.0").await;
    let job = [
        ("FirmwareId", &*scene.firmware),
        ("ProductKey", &scene.product),
        ("TargetSelection", "SPECIFIC"),
        ("TargetDeviceName.1", OTHER),
    ];
    let job = text(&scene.call("CreateOTAStaticUpgradeJob", &job).await["Data"]["JobId"]);
    let status = async || {
        let tasks = [("JobId", &*job), ("CurrentPage", "1"), ("PageSize", "10")];
        let tasks = scene.call("ListOTATaskByJob", &tasks).await;
        text(&tasks["Data"]["SimpleOTATaskInfo"][0]["TaskStatus"])
    };
    assert_eq!(status().await, "QUEUED");
    let get = device.sys("thing/ota/firmware/get");
    let told = say(&scene, &token, &get, r#"{"id":7}"#).await;
    let reply = &told["info"]["data"];
    assert_eq!((&reply["id"], &reply["data"]["version"]), (&json!(7), &json!("2.0.0")), "{told}");
    assert_eq!(status().await, "NOTIFIED");
    let half = r#"{"id":"2","params":{"step":"50","desc":""}}"#;
    say(&scene, &token, &device.ota("progress"), half).await;
    assert_eq!(status().await, "IN_PROGRESS");
    inform("2.0.0").await;
    assert_eq!(status().await, "SUCCEEDED");
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_devices_may_not_do_by_http_is_refused_and_changes_nothing() {
    let scene = Scene::new().await;
    let device = &scene.devices[GOOD];
    let token = token(&scene, device).await;
    let other = self::token(&scene, &scene.devices[TWIN]).await;
    let before = scene.snapshot().await;
    let good = proof(device, &device.secret);
    for (body, want) in [
        (String::new(), 10_001),
        ("[]".to_owned(), 10_001),
        (good.replace("\"sign\"", "\"no\""), 10_001),
        (good.replace("hmacsha256", "md5"), 10_001),
        (good.replace(GOOD, "../../etc"), 20_000),
        (good.replace(GOOD, "nobody-1"), 20_000),
        (proof(device, ""), 20_000),
        (proof(device, &scene.devices[OTHER].secret), 20_000),
        (good.replace('{', &format!("{{\"more\":\"{}\",", "x".repeat(5_000))), 10_001),
    ] {
        assert_eq!(post(&scene, "/auth", "", &body).await["code"], want, "{body:.300}");
        assert_eq!(scene.snapshot().await, before, "{body:.300}");
    }
    let inform = device.ota("inform");
    let version = r#"{"id":"1","params":{"version":"9.9.9"}}"#;
    let unnamed = post(&scene, &format!("/topic{inform}"), "", version).await;
    assert_eq!(unnamed["code"], 20_002);
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(128 * 1024));
    let (head, sign) = token.rsplit_once('-').unwrap();
    let longer = format!("{head}0-{sign}");
    for (token, topic, body, want) in [
        ("", &*inform, version, 20_002),
        ("x", &inform, version, 20_003),
        (&longer, &inform, version, 20_003),
        (&other, &inform, version, 30_001),
        (&token, &scene.devices[OTHER].ota("inform"), version, 30_001),
        (&token, &device.ota("upgrade"), version, 30_001),
        (&token, &device.sys("thing/topo/add"), version, 30_001),
        (&token, "/", version, 30_001),
        (&token, &inform, "{}", 10_001),
        (&token, &inform, "\u{0}", 10_001),
        (&token, &inform, &long, 10_001),
    ] {
        assert_eq!(say(&scene, token, topic, body).await["code"], want, "{topic} {body:.100}");
        assert_eq!(scene.snapshot().await, before, "{topic} {body:.100}");
    }
    let named = [("ProductKey", &*scene.product), ("DeviceName", GOOD)];
    scene.call("DisableThing", &named).await;
    assert_eq!(say(&scene, &token, &inform, version).await["code"], 20_003);
    assert_eq!(post(&scene, "/auth", "", &good).await["code"], 20_000);
    scene.call("EnableThing", &named).await;
    assert_eq!(say(&scene, &token, &inform, version).await["code"], 0);
    scene.call("DeleteDevice", &named).await;
    assert_eq!(say(&scene, &token, &inform, version).await["code"], 20_003);
    scene.server.stop().await;
}
