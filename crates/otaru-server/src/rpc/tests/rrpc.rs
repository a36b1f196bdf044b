//! Requests that devices answer while the call waits, and messages to all that are online.

use super::*;
use crate::app::Gatekeeper;
use crate::mqtt::{Devices, Line};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

impl World {
    /// Connects a device.
    pub async fn line(&self, product: &str, name: &str) -> Line {
        let no = self.device_no(product, name).await;
        let found = self.app.store.view(move |view| view.device(no)).await;
        self.app.registry.plug_in(found.unwrap().unwrap().product, no)
    }

    /// What `answer` does while a call waits for a device; the reply of the call.
    pub async fn asked(&self, params: &str, answer: impl AsyncFnOnce()) -> Value {
        let call = self.ok("RRpc", params);
        let answer = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            answer().await;
        };
        tokio::join!(biased; call, answer).0
    }
}

fn encoded(text: &str) -> String {
    STANDARD.encode(text).replace('=', "%3D").replace('+', "%2B")
}

/// The one message that waits for a device: its topic, the id in it, its payload.
fn heard(line: &Line) -> (String, i64, String) {
    let [(topic, payload)] = line.messages().try_into().unwrap();
    let id = topic.split('/').find_map(|level| level.parse().ok()).unwrap();
    (topic, id, payload)
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_device_is_the_reply_of_the_call() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    let line = world.line(&product, "lamp1").await;
    let gatekeeper = Gatekeeper(world.app.clone());
    let custom = format!("/{product}/lamp1/user/ask");
    for topic in [None, Some(&custom)] {
        let more = topic.map(|topic| format!("&Topic={topic}")).unwrap_or_default();
        let params = format!(
            "ProductKey={product}&DeviceName=lamp1&Timeout=1000&RequestBase64Byte={}{more}",
            encoded("how are you?")
        );
        let mut asked = 0;
        let reply = world
            .asked(&params, async || {
                let (topic, id, payload) = heard(&line);
                let want = match more.as_str() {
                    "" => format!("/sys/{product}/lamp1/rrpc/request/{id}"),
                    _ => format!("/ext/rrpc/{id}{custom}"),
                };
                assert_eq!((topic, &*payload), (want, "how are you?"));
                asked = id;
                let mut stranger = line.peer;
                stranger.epoch.0 += 1;
                assert!(!gatekeeper.rrpc_answered(stranger, id, &"forged".into()));
                assert!(!gatekeeper.rrpc_answered(line.peer, id + 1, &"late".into()));
                assert!(gatekeeper.rrpc_answered(line.peer, id, &"well".into()));
                assert!(!gatekeeper.rrpc_answered(line.peer, id, &"again".into()));
            })
            .await;
        assert_eq!((&reply["RrpcCode"], &reply["MessageId"]), (&"SUCCESS".into(), &asked.into()));
        assert_eq!(reply["PayloadBase64Byte"], STANDARD.encode("well"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_learns_that_the_device_is_silent_away_or_leaves() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    let params =
        format!("ProductKey={product}&DeviceName=lamp1&Timeout=8000&RequestBase64Byte=YQ%3D%3D");
    let code = async |answer: &dyn Fn()| {
        let reply = world.asked(&params, async || answer()).await;
        assert!(reply.get("PayloadBase64Byte").is_none(), "{reply}");
        reply["RrpcCode"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(&|| {}).await, "OFFLINE");
    let line = world.line(&product, "lamp1").await;
    let before_ms = world.clock.mono_ms();
    assert_eq!(code(&|| {}).await, "TIMEOUT");
    assert_eq!(world.clock.mono_ms() - before_ms, 8_000);
    let leave = || {
        world.app.registry.unplug(&line);
        Gatekeeper(world.app.clone()).went_offline(line.peer);
    };
    let before_ms = world.clock.mono_ms();
    assert_eq!(code(&leave).await, "OFFLINE");
    assert_eq!(world.clock.mono_ms(), before_ms);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_all_that_are_online_or_those_that_have_subscribed() {
    let world = World::new().await;
    let (product, other) = (world.product("lamp").await, world.product("other").await);
    let mut lines = Vec::new();
    for (product, name) in [(&product, "lamp1"), (&product, "lamp2"), (&other, "lamp3")] {
        world.device(product, name).await;
        lines.push(world.line(product, name).await);
    }
    world.device(&product, "away").await;
    let params = format!("ProductKey={product}&MessageContent={}", encoded("news"));
    let id = world.ok("PubBroadcast", &params).await["MessageId"].as_i64().unwrap();
    for (line, name) in lines.iter().zip(["lamp1", "lamp2"]) {
        let topic = format!("/sys/{product}/{name}/broadcast/request/{id}");
        assert_eq!(line.messages(), [(topic, "news".to_owned())]);
    }
    let topic = format!("/broadcast/{product}/group1");
    world.ok("PubBroadcast", &format!("{params}&TopicFullName={topic}")).await;
    for line in &lines[..2] {
        assert_eq!(line.messages(), [(topic.clone(), "news".to_owned())]);
    }
    assert!(lines[2].messages().is_empty(), "it is of another product");
}

/// Operation, parameters, code.
const REFUSED: &[(&str, &str, &str)] = &[
    ("PubBroadcast", "ProductKey={P}", "MissingMessageContent"),
    ("PubBroadcast", "MessageContent=YQ%3D%3D", "MissingProductKey"),
    ("PubBroadcast", "{NEWS}&TopicFullName=x", "iot.messagebroker.InvalidFormattedTopicName"),
    (
        "PubBroadcast",
        "{NEWS}&TopicFullName=/{P}/lamp1/user/get",
        "iot.messagebroker.TopicTemplateIsNotFound",
    ),
    (
        "PubBroadcast",
        "{NEWS}&TopicFullName=/broadcast/{O}/x",
        "iot.messagebroker.TopicTemplateIsNotFound",
    ),
    (
        "PubBroadcast",
        "ProductKey={P}&MessageContent=%25",
        "iot.messagebroker.MessageContentIsNotBase64Encode",
    ),
    (
        "PubBroadcast",
        "ProductKey={P}&MessageContent={HUGE}",
        "iot.common.InvalidFormattedParameter",
    ),
    ("PubBroadcast", "ProductKey=a1nothing&MessageContent=YQ%3D%3D", "iot.prod.NotExistedProduct"),
    ("RRpc", "ProductKey={P}&RequestBase64Byte=YQ%3D%3D&Timeout=1000", "MissingDeviceName"),
    ("RRpc", "DeviceName=lamp1&RequestBase64Byte=YQ%3D%3D&Timeout=1000", "MissingProductKey"),
    ("RRpc", "ProductKey={P}&DeviceName=lamp1&Timeout=1000", "MissingRequestBase64Byte"),
    ("RRpc", "ProductKey={P}&DeviceName=lamp1&RequestBase64Byte=YQ%3D%3D", "MissingTimeout"),
    ("RRpc", "{ASK}&Timeout=x", "InvalidTimeout"),
    ("RRpc", "{ASK}&Timeout=999", "iot.common.InvalidFormattedParameter"),
    ("RRpc", "{ASK}&Timeout=8001", "iot.common.InvalidFormattedParameter"),
    (
        "RRpc",
        "ProductKey={P}&DeviceName=lamp1&Timeout=1000&RequestBase64Byte=YQ",
        "iot.messagebroker.MessageContentIsNotBase64Encode",
    ),
    (
        "RRpc",
        "ProductKey=a1nothing&DeviceName=lamp1&Timeout=1000&RequestBase64Byte=YQ%3D%3D",
        "iot.prod.NotExistedProduct",
    ),
    (
        "RRpc",
        "ProductKey={P}&DeviceName=nobody&Timeout=1000&RequestBase64Byte=YQ%3D%3D",
        "iot.device.NotExistedDevice",
    ),
    ("RRpc", "{ASK}&Timeout=1000&Topic=x", "iot.messagebroker.InvalidFormattedTopicName"),
    (
        "RRpc",
        "{ASK}&Timeout=1000&Topic=/{P}/lamp2/user/x",
        "iot.messagebroker.TopicTemplateIsNotFound",
    ),
    (
        "RRpc",
        "{ASK}&Timeout=1000&Topic=/broadcast/{P}/x",
        "iot.messagebroker.TopicTemplateIsNotFound",
    ),
    ("RRpc", "{ASK}&Timeout=1000", "iot.messagebroker.RateLimit"),
];

#[tokio::test(start_paused = true)]
pub async fn each_refused_call_has_its_code_and_nobody_hears_it() {
    let world = World::with("", Limits { rrpc_waiting_max: 0, ..Limits::default() }).await;
    let (product, other) = (world.product("lamp").await, world.product("other").await);
    world.device(&product, "lamp1").await;
    let line = world.line(&product, "lamp1").await;
    let huge = STANDARD.encode(vec![0; 64 * 1024 + 2]).replace('=', "%3D");
    let fill = |params: &str| {
        params
            .replace("{NEWS}", "ProductKey={P}&MessageContent=YQ%3D%3D")
            .replace("{ASK}", "ProductKey={P}&DeviceName=lamp1&RequestBase64Byte=YQ%3D%3D")
            .replace("{HUGE}", &huge)
            .replace("{P}", &product)
            .replace("{O}", &other)
    };
    for (action, params, want) in REFUSED {
        let (_, code) = world.refused(action, &fill(params)).await;
        assert_eq!(code, *want, "{action} {params}");
    }
    assert!(line.read().is_empty());
}
