//! What strangers say before they are let in: each is turned away with its code, or without a word, and changes
//! nothing.

use crate::scene::{BUSY, OTHER, Scene, TWIN};
use crate::wire::{Connect, DISCONNECT, PINGREQ, Wire, announced, packet, publish, subscribe};
use otaru_core::signature::device::{SignMethod, connect_content};

/// How the server ends the connection.
#[derive(Debug, Clone, Copy)]
enum Want {
    /// With a CONNACK of this code.
    Code(u8),
    /// With a CONNACK of MQTT 5.0, of this reason.
    Reason(u8),
    /// Without a word.
    Silence,
    /// Without a word, once the stranger says that nothing more comes.
    SilenceAtEnd,
}
use Want::{Code, Reason, Silence, SilenceAtEnd};

struct Knock {
    name: &'static str,
    bytes: Vec<u8>,
    want: Want,
}

fn knock(name: &'static str, bytes: Vec<u8>, want: Want) -> Knock {
    Knock { name, bytes, want }
}

/// The CONNECT of a device with something changed.
fn altered(connect: &Connect, change: impl FnOnce(&mut Connect)) -> Vec<u8> {
    let mut connect = connect.clone();
    change(&mut connect);
    connect.bytes()
}

/// A CONNECT that signs, with a secret that no device has, whatever its username says.
fn named(scene: &Scene, username: &str, secret: &str) -> Vec<u8> {
    let (name, product) = username.split_once('&').unwrap_or((username, ""));
    let password = SignMethod::Sha256.sign(secret, &connect_content("c", name, product, None));
    altered(&scene.devices[OTHER].connect(), |connect| {
        connect.username = Some(username.as_bytes().to_vec());
        connect.password = Some(password.into_bytes());
    })
}

fn wrong_proofs(scene: &Scene) -> Vec<Knock> {
    let device = &scene.devices[OTHER];
    let good = device.connect();
    let with = |password: Option<&[u8]>| {
        altered(&good, |connect| connect.password = password.map(<[u8]>::to_vec))
    };
    let right = device.password(SignMethod::Sha256, "c");
    let sha1 = device.password(SignMethod::Sha1, "c");
    let of_other_id = device.password(SignMethod::Sha256, "d");
    let of_busy = scene.devices[BUSY].password(SignMethod::Sha256, "c");
    let id = |id: &str| altered(&good, |connect| connect.client_id = id.as_bytes().to_vec());
    let long_id = format!("{}|signmethod=hmacsha256|", "x".repeat(65));
    vec![
        knock("a signature of zeros", with(Some(&[b'0'; 64])), Code(4)),
        knock("a signature cut short", with(Some(&right.as_bytes()[..63])), Code(4)),
        knock("a signature and more", with(Some(format!("{right}0").as_bytes())), Code(4)),
        knock("the secret itself", with(Some(device.secret.as_bytes())), Code(4)),
        knock("the signature of another device", with(Some(of_busy.as_bytes())), Code(4)),
        knock("the signature of another client id", with(Some(of_other_id.as_bytes())), Code(4)),
        knock("a signature by another method", with(Some(sha1.as_bytes())), Code(4)),
        knock("an empty password", with(Some(b"")), Code(4)),
        knock("no password", with(None), Code(4)),
        knock("a password that is no text", with(Some(b"\xff\xfe\0")), Code(4)),
        knock("an unknown method", id("c|signmethod=hmacsha512|"), Code(4)),
        knock("a method with a path", id("c|signmethod=../hmacsha256|"), Code(4)),
        knock("an unsigned timestamp", id("c|signmethod=hmacsha256,timestamp=1|"), Code(4)),
        knock("a registration", id("c|authType=register,signmethod=hmacsha256|"), Code(5)),
        knock("a client id of 65 bytes", id(&long_id), Code(2)),
    ]
}

fn wrong_names(scene: &Scene) -> Vec<Knock> {
    let (product, secret) = (&*scene.product, "0123456789abcdef0123456789abcdef");
    let name = |name: &str| named(scene, &format!("{name}&{product}"), secret);
    let other = &scene.devices[OTHER];
    let user = |username: &str| named(scene, username, &other.secret);
    let raw = |username: &[u8]| {
        altered(&other.connect(), |connect| connect.username = Some(username.to_vec()))
    };
    let (elsewhere, upper) = (&scene.elsewhere, product.to_uppercase());
    let twin = &scene.devices[TWIN].secret;
    vec![
        knock("an unknown device", name("nobody-1"), Code(4)),
        knock(
            "an unknown device without a secret",
            named(scene, &format!("nobody-1&{product}"), ""),
            Code(4),
        ),
        knock("an unknown product", user(&format!("{OTHER}&a1ZZZZZZZZZ")), Code(4)),
        knock("a device under another product", user(&format!("{OTHER}&{elsewhere}")), Code(4)),
        knock(
            "the secret of a namesake",
            named(scene, &format!("actor-1&{product}"), twin),
            Code(4),
        ),
        knock("a name in other case", user(&format!("OTHER-1&{product}")), Code(4)),
        knock("a product in other case", user(&format!("{OTHER}&{upper}")), Code(4)),
        knock("a username without product", user(OTHER), Code(4)),
        knock("an empty username", raw(b""), Code(4)),
        knock("a lone &", raw(b"&"), Code(4)),
        knock("two &", user(&format!("{OTHER}&{product}&{product}")), Code(4)),
        knock("a path up", name("../../etc/passwd"), Code(4)),
        knock("a path in the product", user(&format!("{OTHER}&../{product}")), Code(4)),
        knock("a path up, encoded", name("%2e%2e%2fx"), Code(4)),
        knock("an XML element", name("<a>x</a>"), Code(4)),
        knock("an XML entity", raw(format!("&lt;x;&{product}").as_bytes()), Code(4)),
        knock("the end of a CDATA", name("]]>x"), Code(4)),
        knock("a quote for SQL", name("x' OR '1'='1"), Code(4)),
        knock("a wildcard for SQL", name("other%"), Code(4)),
        knock("a wildcard for topics", name("+"), Code(4)),
        knock("a line break", name("other-1\r\n"), Code(4)),
        knock("a name of 33 characters", name(&"x".repeat(33)), Code(4)),
        knock("a name of 2,000 characters", name(&"x".repeat(2_000)), Code(4)),
        knock("a name of 5,000 characters", name(&"x".repeat(5_000)), Silence),
        knock("NUL in the name", raw(format!("other\0-1&{product}").as_bytes()), Silence),
        knock("a name that is no text", raw(b"\xc3\x28&x"), Silence),
    ]
}

fn wrong_connects(scene: &Scene) -> Vec<Knock> {
    let good = scene.devices[OTHER].connect();
    let keepalive = |seconds| altered(&good, |connect| connect.keepalive_s = seconds);
    let level = |level| altered(&good, |connect| connect.level = level);
    let flags = |flags| altered(&good, |connect| connect.flags = flags);
    let will = |flags, topic: &[u8]| {
        altered(&good, |connect| {
            connect.flags = flags;
            connect.will = [crate::wire::field(topic), crate::wire::field("w")].concat();
        })
    };
    let bytes = good.bytes();
    let mut longer = bytes.clone();
    longer.push(0);
    longer[1] += 1;
    let mut deeper = bytes.clone();
    let client_id = bytes.windows(4).position(|window| *window == good.client_id[..4]).unwrap();
    // The first byte of its length.
    deeper[client_id - 2] = 0xff;
    let mut wrong = good.clone();
    wrong.password = Some(vec![b'0'; 64]);
    let inform = publish(
        1,
        1,
        scene.devices[OTHER].ota("inform"),
        r#"{"id":"1","params":{"version":"9.9.9"}}"#,
    );
    vec![
        knock("a keepalive of 0 s", keepalive(0), Code(5)),
        knock("a keepalive of 5 s", keepalive(5), Code(5)),
        knock("a keepalive of 29 s", keepalive(29), Code(5)),
        knock("a keepalive of 1,201 s", keepalive(1_201), Code(5)),
        knock("a keepalive of 65,535 s", keepalive(65_535), Code(5)),
        knock("another protocol", altered(&good, |connect| connect.name = "MQTX"), Code(1)),
        knock("no protocol", altered(&good, |connect| connect.name = ""), Code(1)),
        knock("protocol level 0", level(0), Code(1)),
        knock("protocol level 3 by the new name", level(3), Code(1)),
        knock("protocol level 9", level(9), Reason(0x84)),
        knock("a CONNECT without the properties of its level", level(5), Reason(0x81)),
        knock("the reserved flag", flags(3), Silence),
        knock("a will quality without will", flags(2 | 0x08), Silence),
        knock("a will of quality 3", will(2 | 0x04 | 0x18, b"w"), Silence),
        knock("a will for a wildcard", will(2 | 0x04, b"/ota/#"), Silence),
        knock("a password without username", altered(&good, |c| c.username = None), Silence),
        knock(
            "a kept session of nobody",
            altered(&good, |connect| {
                connect.flags = 0;
                connect.client_id.clear();
            }),
            Code(2),
        ),
        knock("a byte behind the password", longer, Silence),
        knock("a client id that is longer than the packet", deeper, Silence),
        knock("reserved bits of the header", [&[0x11], &bytes[1..]].concat(), Silence),
        knock("a report behind a wrong signature", [wrong.bytes(), inform].concat(), Code(4)),
    ]
}

fn no_connects(scene: &Scene) -> Vec<Knock> {
    let device = &scene.devices[OTHER];
    let bytes = device.connect().bytes();
    let inform = r#"{"id":"1","params":{"version":"9.9.9"}}"#;
    vec![
        knock("a report first", publish(1, 1, device.ota("inform"), inform), Silence),
        knock("a subscription first", subscribe(1, &["#"]), Silence),
        knock("a ping first", PINGREQ.to_vec(), Silence),
        knock("a farewell first", DISCONNECT.to_vec(), Silence),
        knock("a CONNACK", packet(0x20, &[0, 0]), Silence),
        knock("packet type 0", packet(0, &[]), Silence),
        knock("packet type 15", packet(0xf0, &[]), Silence),
        knock("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Silence),
        knock("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), Silence),
        knock("zeros", vec![0; 1_000], Silence),
        knock("ones", vec![0xff; 1_000], Silence),
        knock("a CONNECT of nothing", packet(0x10, &[]), Silence),
        knock("a CONNECT of garbage", packet(0x10, &[0xa5; 100]), Code(1)),
        knock("a length of five bytes", vec![0x10, 0xff, 0xff, 0xff, 0xff, 1], Silence),
        knock("a CONNECT of 200 MB", announced(0x10, 200 * 1024 * 1024), Silence),
        knock("a CONNECT of 5 kB", announced(0x10, 5_000), Silence),
        knock("nothing", Vec::new(), SilenceAtEnd),
        knock("one byte", vec![0x10], SilenceAtEnd),
        knock("half a length", vec![0x10, 0x80], SilenceAtEnd),
        knock("half a CONNECT", bytes[..bytes.len() / 2].to_vec(), SilenceAtEnd),
        knock("a CONNECT but for a byte", bytes[..bytes.len() - 1].to_vec(), SilenceAtEnd),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_turned_away_and_change_nothing() {
    let scene = Scene::new().await;
    let before = scene.snapshot().await;
    let knocks =
        [wrong_proofs, wrong_names, wrong_connects, no_connects].map(|table| table(&scene));
    for Knock { name, bytes, want } in knocks.into_iter().flatten() {
        let mut wire = Wire::open(scene.server.mqtt, name).await;
        wire.send(&bytes).await;
        if matches!(want, SilenceAtEnd) {
            wire.end().await;
        }
        let said = wire.rest().await;
        match want {
            Code(code) => assert_eq!(said, [0x20, 2, 0, code], "{name}"),
            Reason(reason) => {
                assert_eq!((said[0], &said[2..4]), (0x20, &[0, reason][..]), "{name}");
            }
            Silence | SilenceAtEnd => assert_eq!(said, b"", "{name}"),
        }
        scene.reports_and_goes(crate::scene::GOOD).await;
        assert_eq!(scene.snapshot().await, before, "{name}");
    }
    scene.server.stop().await;
}
