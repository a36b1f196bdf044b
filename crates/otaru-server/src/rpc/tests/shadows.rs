//! Shadows, as devices and callers see them.

use super::*;
use crate::app::Gatekeeper;
use crate::mqtt::{Devices, Report, Told};
use otaru_core::shadow::ShadowAsk;

#[tokio::test(start_paused = true)]
async fn what_is_wanted_reaches_a_device_and_what_it_reports_a_caller() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    let device = format!("ProductKey={product}&DeviceName=lamp1");
    let shadow = async || {
        let reply = world.ok("GetDeviceShadow", &device).await;
        serde_json::from_str::<Value>(reply["ShadowMessage"].as_str().unwrap()).unwrap()
    };
    let order = |wanted: &str, version: i64| {
        let text =
            format!(r#"{{"method":"update","state":{{"desired":{wanted}}},"version":{version}}}"#);
        format!("{device}&ShadowMessage={text}")
    };
    assert_eq!(shadow().await["version"], 0);
    // Whoever is offline asks for it later.
    world.ok("UpdateDeviceShadow", &order(r#"{"color":"green"}"#, 1)).await;
    let line = world.line(&product, "lamp1").await;
    assert!(line.messages().is_empty());
    let says = async |text: &str| {
        let ask = ShadowAsk::parse(text.as_bytes()).unwrap();
        let gatekeeper = Gatekeeper(world.app.clone());
        match gatekeeper.report(line.peer, Report::Shadow(ask)).await.unwrap().await.unwrap() {
            Told::Text(text) => serde_json::from_str::<Value>(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let got = says(r#"{"method":"get"}"#).await;
    assert_eq!(got["payload"]["state"]["desired"]["color"], "green");
    let told =
        says(r#"{"method":"update","state":{"reported":{"color":"green"}},"version":2}"#).await;
    assert_eq!(told["payload"]["status"], "success");
    assert_eq!(shadow().await["state"]["reported"]["color"], "green");
    let stale =
        says(r#"{"method":"update","state":{"reported":{"color":"red"}},"version":2}"#).await;
    assert_eq!(stale["payload"]["content"]["errorcode"], "409");
    assert_eq!((shadow().await["version"].clone(), line.messages()), (2.into(), vec![]));

    world.ok("UpdateDeviceShadow", &order(r#"{"power":1}"#, 0)).await;
    let (topic, text) = line.messages().remove(0);
    assert_eq!(topic, format!("/shadow/get/{product}/lamp1"));
    let control: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&control["method"], &control["version"]), (&"control".into(), &3.into()));
    assert_eq!(control["payload"]["state"]["desired"], serde_json::json!({ "power": 1 }));
    for text in [order(r#"{"power":1}"#, 3), format!("{device}&ShadowMessage=x")] {
        let refused = world.refused("UpdateDeviceShadow", &text).await;
        assert_eq!(refused, (200, "iot.common.InvalidFormattedParameter".into()), "{text}");
    }
    assert_eq!((shadow().await["version"].clone(), line.messages()), (3.into(), vec![]));
}
