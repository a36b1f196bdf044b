//! What devices that were let in do wrong: each act is answered as MQTT or the device protocol say, and changes
//! nothing.

use crate::scene::{ACTOR, BUSY, Device, GOOD, OTHER, Scene, TWIN, WAITS};
use crate::wire::{
    CONNACK_ACCEPTED, DISCONNECT, PINGREQ, PINGRESP, announced, field, packet, puback, publish,
    suback, subscribe,
};

enum Want {
    /// The server closes without a word.
    Closed,
    /// The same, once the device says that nothing more comes.
    ClosedAtEnd,
    /// The server says this and keeps the connection.
    Stays(Vec<u8>),
}
use Want::{Closed, ClosedAtEnd, Stays};

struct Act {
    name: String,
    by: &'static str,
    bytes: Vec<u8>,
    want: Want,
}

fn act(name: impl Into<String>, bytes: Vec<u8>, want: Want) -> Act {
    Act { name: name.into(), by: ACTOR, bytes, want }
}

/// The id of what the acts send.
const ID: u16 = 9;
const INFORM: &str = r#"{"id":"1","params":{"version":"9.9.9"}}"#;

fn against_mqtt(scene: &Scene) -> Vec<Act> {
    let device = &scene.devices[ACTOR];
    let topic = device.ota("inform");
    let at = |topic: &[u8]| publish(1, ID, topic, INFORM);
    let say = |qos, id, payload: &[u8]| publish(qos, id, &topic, payload);
    let dup_at_0 = [&[0x38], &say(0, 0, INFORM.as_bytes())[1..]].concat();
    let half = say(1, ID, INFORM.as_bytes());
    let half = half[..half.len() / 2].to_vec();
    let filters = |body: &[u8]| [&ID.to_be_bytes()[..], body].concat();
    let own = field(device.ota("upgrade"));
    let qos_3 = filters(&[&own[..], &[3]].concat());
    let cut_off = filters(&own);
    let subscribe_flags = [&[0x80], &subscribe(ID, &[device.ota("upgrade")])[1..]].concat();
    vec![
        act("a second CONNECT", device.connect().bytes(), Closed),
        act("the CONNECT of another", scene.devices[OTHER].connect().bytes(), Closed),
        act("a message of 256 KiB and a byte", say(1, ID, &vec![b' '; 256 * 1024 + 1]), Closed),
        act("a message of 300 KiB", say(1, ID, &vec![b' '; 300 * 1024]), Closed),
        act("a message of 200 MB", announced(0x32, 200 * 1024 * 1024), Closed),
        act("a length of five bytes", vec![0x32, 0xff, 0xff, 0xff, 0xff, 1], Closed),
        act("a message at QoS 2", say(2, ID, INFORM.as_bytes()), Closed),
        act("a message at QoS 3", say(3, ID, INFORM.as_bytes()), Closed),
        act("a repetition at QoS 0", dup_at_0, Closed),
        act("a message without its id", say(1, 0, INFORM.as_bytes()), Closed),
        act("a message without topic", at(b""), Closed),
        act("a message to a wildcard", at(b"/ota/device/inform/+/+"), Closed),
        act("a message to all", at(b"#"), Closed),
        act("NUL in the topic", at(b"/ota\0/x"), Closed),
        act("a topic that is no text", at(b"/ota/\xff"), Closed),
        act("a topic longer than the packet", packet(0x30, &[0xff, 0xff, b'x']), Closed),
        act("a message of nothing", packet(0x30, &[]), Closed),
        act("half a message", half, ClosedAtEnd),
        act("one byte", vec![0x32], ClosedAtEnd),
        act("a subscription to nothing", packet(0x82, &filters(&[])), Closed),
        act("a subscription without id", subscribe(0, &[device.ota("upgrade")]), Closed),
        act("a subscription at QoS 3", packet(0x82, &qos_3), Closed),
        act("a subscription that breaks off", packet(0x82, &cut_off), Closed),
        act("a subscription with wrong flags", subscribe_flags, Closed),
        act("an empty filter", subscribe(ID, &[""]), Closed),
        act("a wildcard within a level", subscribe(ID, &["/a#"]), Closed),
        act("a filter that is no text", subscribe(ID, &[b"/\xff"]), Closed),
        act("no filter to unsubscribe", packet(0xa2, &filters(&[])), Closed),
        act("a CONNACK", CONNACK_ACCEPTED.to_vec(), Closed),
        act("a SUBACK", suback(ID, &[1]), Closed),
        act("an UNSUBACK", packet(0xb0, &ID.to_be_bytes()), Closed),
        act("a PINGRESP", PINGRESP.to_vec(), Closed),
        act("a PUBREC", packet(0x50, &ID.to_be_bytes()), Closed),
        act("a PUBREL", packet(0x62, &ID.to_be_bytes()), Closed),
        act("a PUBCOMP", packet(0x70, &ID.to_be_bytes()), Closed),
        act("packet type 0", packet(0, &[]), Closed),
        act("packet type 15", packet(0xf0, &[]), Closed),
        act("a ping with a body", packet(0xc0, &[1]), Closed),
        act("a farewell with a body", packet(0xe0, &[1]), Closed),
        act("garbage", vec![0xa5; 1_000], Closed),
        act("a PUBACK without id", packet(0x40, &[0, 0]), Closed),
        act("a PUBACK for nothing", puback(999), Stays(Vec::new())),
    ]
}

fn foreign_topics(scene: &Scene) -> Vec<Act> {
    let (other, waits, twin) = (&scene.devices[OTHER], &scene.devices[WAITS], &scene.devices[TWIN]);
    let product = &scene.product;
    let own = scene.devices[ACTOR].ota("inform");
    let done = r#"{"id":"1","params":{"step":"100","desc":"done"}}"#;
    let failed = r#"{"id":"1","params":{"step":"-1","desc":"lost"}}"#;
    let push = r#"{"code":"1000","data":{"size":1,"version":"6","url":"http://evil/x"},"id":1}"#;
    let topics = vec![
        (other.ota("inform"), INFORM),
        (other.ota("inform") + "?_rid=1", INFORM),
        (other.ota("progress"), done),
        (waits.ota("inform"), r#"{"id":"1","params":{"version":"2.0.0"}}"#),
        (waits.ota("progress"), done),
        (waits.ota("progress"), failed),
        (waits.ota("request"), r#"{"id":"1","params":{}}"#),
        (waits.ota("upgrade"), push),
        (waits.sys("thing/ota/firmware/get"), r#"{"id":"1","params":{}}"#),
        (scene.devices[BUSY].ota("progress"), failed),
        (twin.ota("inform"), INFORM),
        (twin.sys("thing/ota/firmware/get"), r#"{"id":"1","params":{}}"#),
        (twin.sys("thing/deviceinfo/update"), r#"{"id":"1","params":[]}"#),
        (format!("/{product}/{OTHER}/user/update"), "x"),
        (format!("/broadcast/{product}/x"), "x"),
        (format!("{own}/../{OTHER}"), INFORM),
        (format!("/ota/device/inform/{product}/../{product}/{OTHER}"), INFORM),
        (format!("/ota/device/inform/{product}/%61ctor-1"), INFORM),
        (format!("/ota/device/inform/{product}/<a>&amp;"), INFORM),
        (format!("/ota/device/inform/{product}//{ACTOR}"), INFORM),
        (own.to_uppercase(), INFORM),
        (own[1..].to_owned(), INFORM),
        (own.clone() + "/", INFORM),
        (own.clone() + "x", INFORM),
        ("$SYS/broker/version".to_owned(), "x"),
        ("$share/g".to_owned() + &own, INFORM),
        ("/".to_owned(), "x"),
        ("x".repeat(60_000), "x"),
    ];
    let told = |(topic, payload): (String, &str)| {
        let bytes = publish(1, ID, &topic, payload);
        act(format!("a message to {}", &topic[..topic.len().min(80)]), bytes, Stays(puback(ID)))
    };
    let mut acts: Vec<_> = topics.into_iter().map(told).collect();
    let quiet = publish(0, 0, other.ota("inform"), INFORM);
    acts.push(act("a message at QoS 0 to another", quiet, Stays(Vec::new())));
    acts
}

fn foreign_filters(scene: &Scene) -> Vec<Act> {
    let (device, other, twin) =
        (&scene.devices[ACTOR], &scene.devices[OTHER], &scene.devices[TWIN]);
    let product = &scene.product;
    let filters = [
        "#".to_owned(),
        "/#".to_owned(),
        "+/+/#".to_owned(),
        "$SYS/#".to_owned(),
        "/sys/#".to_owned(),
        "/ota/device/upgrade/+/+".to_owned(),
        "/+/actor-1/user/get".to_owned(),
        format!("/{product}/+/user/get"),
        format!("/sys/{product}/+/thing/ota/firmware/get_reply"),
        format!("/ota/device/upgrade/{product}/../{product}/{OTHER}"),
        format!("/broadcast/{}/#", scene.elsewhere),
        other.ota("upgrade"),
        other.sys("#"),
        twin.ota("upgrade"),
        twin.sys("thing/ota/firmware/get_reply"),
        "$share/g".to_owned() + &device.ota("upgrade"),
        format!("/{product}/<a>/user/get"),
    ];
    let refused = |filter: &String| {
        let bytes = subscribe(ID, &[filter]);
        act(format!("a subscription to {filter}"), bytes, Stays(suback(ID, &[0x80])))
    };
    let mut acts: Vec<_> = filters.iter().map(refused).collect();
    let nine = vec![device.ota("upgrade"); 9];
    let want = Stays(suback(ID, &[0x80; 9]));
    acts.push(act("nine topics at once", subscribe(ID, &nine), want));
    let both = [device.ota("upgrade"), other.ota("upgrade")];
    let want = Stays(suback(ID, &[1, 0x80]));
    acts.push(act("an own topic and a foreign one", subscribe(ID, &both), want));
    acts
}

fn wrong_reports(scene: &Scene) -> Vec<Act> {
    let (device, busy) = (&scene.devices[ACTOR], &scene.devices[BUSY]);
    let version = |version: &str| format!(r#"{{"id":"1","params":{{"version":{version}}}}}"#);
    let module =
        |module: &str| format!(r#"{{"id":"1","params":{{"version":"9","module":"{module}"}}}}"#);
    let long = format!("\"{}\"", "9".repeat(65));
    let informs = [
        String::new(),
        "version=9".to_owned(),
        "[1]".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        r#"{"id":"1","params":[]}"#.to_owned(),
        r#"{"id":"1","params":{"version":"9""#.to_owned(),
        "<version>9</version>".to_owned(),
        "[".repeat(100_000),
        version("\"\""),
        version(&long),
        version("9"),
        version("null"),
        version("{}"),
        module("../../x"),
        module("<a>"),
        module("a b"),
        module(&"m".repeat(65)),
    ];
    let heard = |device: &Device, topic: &str, payload: &str| Act {
        name: format!("{topic} {}", payload.chars().take(60).collect::<String>()),
        by: if device.name == BUSY { BUSY } else { ACTOR },
        bytes: publish(1, ID, topic, payload),
        want: Stays(puback(ID)),
    };
    let mut acts: Vec<_> =
        informs.iter().map(|payload| heard(device, &device.ota("inform"), payload)).collect();
    let no_text = publish(1, ID, device.ota("inform"), b"{\"params\":{\"version\":\"\xff\"}}");
    acts.push(act("a version that is no text", no_text, Stays(puback(ID))));
    for step in ["101", "\"101\"", "\"x\"", "1.5", "null", "[]", "\"\"", "1e99"] {
        let payload = format!(r#"{{"id":"1","params":{{"step":{step},"desc":"d"}}}}"#);
        acts.push(heard(busy, &busy.ota("progress"), &payload));
    }
    for module in ["ghost", "../x", "<a>"] {
        let payload =
            format!(r#"{{"id":"1","params":{{"step":"-1","desc":"","module":"{module}"}}}}"#);
        acts.push(heard(busy, &busy.ota("progress"), &payload));
    }
    let task = r#"{"id":"1","params":{"step":"50","desc":"there is no task"}}"#;
    acts.push(heard(device, &device.ota("progress"), task));
    let get = "thing/ota/firmware/get";
    let refusal = r#"{"id":"","code":460,"data":{},"message":"request parameter error"}"#;
    let refusal = publish(0, 0, busy.sys(get) + "_reply", refusal);
    let want = Stays([puback(ID), refusal].concat());
    acts.push(Act { want, ..heard(busy, &busy.sys(get), "no JSON") });
    acts.push(heard(busy, &busy.sys("thing/ota/firmware/get_reply"), "{}"));
    acts.push(heard(busy, &busy.sys("../../thing/ota/firmware/get_reply"), "{}"));
    for module in ["ghost", "../x", "<a>&amp;"] {
        let topic = busy.sys(get);
        let payload = format!(r#"{{"id":"7","params":{{"module":"{module}"}}}}"#);
        let reply = r#"{"id":"7","code":200,"data":{},"message":"success"}"#;
        let reply = publish(0, 0, topic.clone() + "_reply", reply);
        let want = Stays([puback(ID), reply].concat());
        acts.push(Act { want, ..heard(busy, &topic, &payload) });
    }
    acts
}

async fn check(scene: &Scene, act: Act) {
    let Act { name, by, bytes, want } = act;
    let mut wire = scene.online(by).await;
    wire.what.clone_from(&name);
    wire.send(&bytes).await;
    match want {
        Closed => {}
        ClosedAtEnd => wire.end().await,
        Stays(answer) => {
            let said = wire.bytes(answer.len()).await;
            assert_eq!(said, answer, "{name}: {:?}", String::from_utf8_lossy(&said));
            wire.send(&PINGREQ).await;
            assert_eq!(wire.bytes(2).await, PINGRESP, "{name}: the connection stays");
            wire.send(&DISCONNECT).await;
        }
    }
    assert_eq!(wire.rest().await, b"", "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_misbehave_are_answered_and_change_nothing() {
    let scene = Scene::new().await;
    let before = scene.snapshot().await;
    let acts =
        [against_mqtt, foreign_topics, foreign_filters, wrong_reports].map(|table| table(&scene));
    for act in acts.into_iter().flatten() {
        let name = act.name.clone();
        check(&scene, act).await;
        scene.reports_and_goes(GOOD).await;
        assert_eq!(scene.snapshot().await, before, "{name}");
    }
    scene.server.stop().await;
}
