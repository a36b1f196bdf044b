//! The HTTP doors of a whole server: paths stay inside, URLs stay as issued, and texts stay texts in XML.

use crate::scene::{ACTOR, GOOD, Scene, text, upload_fields};
use crate::wire::{puback, publish};

fn code(body: &str) -> &str {
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map_or("", |(code, _)| code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_or_download_changes_nothing() {
    let scene = Scene::new().await;
    let before = (scene.snapshot().await, scene.stored());
    let ticket = scene.call("GenerateOTAUploadURL", &[]).await["Data"].take();
    let fields = upload_fields(&ticket);
    let key = text(&ticket["Key"]);
    let with = |name: &str, value: &str| {
        let mut fields = fields.clone();
        fields.iter_mut().filter(|(known, _)| *known == name).for_each(|f| f.1 = value.to_owned());
        fields
    };
    for (name, value, want) in [
        ("key", "../../../evil", "AccessDenied"),
        ("key", &*format!("{key}/../../evil"), "AccessDenied"),
        ("key", "/etc/passwd", "AccessDenied"),
        ("key", "..\\..\\evil", "AccessDenied"),
        ("key", &format!("{key}\0.bin"), "AccessDenied"),
        ("key", "<a>&amp;", "AccessDenied"),
        ("key", "", "MalformedPOSTRequest"),
        ("policy", "bm90aGluZw==", "SignatureDoesNotMatch"),
        ("signature", "<a>", "SignatureDoesNotMatch"),
        ("OSSAccessKeyId", "../x", "InvalidAccessKeyId"),
    ] {
        let (_, answer) = scene.upload(&with(name, value), "f.bin").await;
        assert_eq!(code(&answer), want, "{name} {value:?}: {answer}");
        assert!(!answer.contains("<a>"), "{answer}");
        assert_eq!((scene.snapshot().await, scene.stored()), before, "{name} {value:?}");
    }

    let (_, path) = scene.url.split_once("/d/").unwrap();
    let (file, proof) = path.split_once('?').unwrap();
    let (expires, digits) = proof.split_once('-').unwrap();
    let whole =
        |target: &str| format!("GET {target} HTTP/1.1\r\nHost: <a>\r\nConnection: close\r\n\r\n");
    let (status, contents) = scene.http(&whole(&format!("/d/{path}"))).await;
    assert_eq!((status, &*contents), (200, "contents"));
    for target in [
        format!("/d/{file}?{expires}0-{digits}"),
        format!("/d/{file}?{expires}-{}", "0".repeat(digits.len())),
        format!("/d/{file}?{expires}-"),
        format!("/d/{file}?"),
        format!("/d/{file}"),
        format!("/d/{file}x?{proof}"),
        format!("/d/{}?{proof}", file.replace('.', "_")),
        format!("/d/../{file}?{proof}"),
        format!("/d/{file}/../../account.key?{proof}"),
        format!("/d/?{proof}"),
        "/d/".to_owned(),
        "/d/../../etc/passwd".to_owned(),
        "/d/%2e%2e/%2e%2e/etc/passwd".to_owned(),
    ] {
        let (status, answer) = scene.http(&whole(&target)).await;
        assert_eq!((status, code(&answer)), (403, "SignatureDoesNotMatch"), "{target}: {answer}");
        assert!(!answer.contains("<a>"), "{answer}");
    }
    assert_eq!((scene.snapshot().await, scene.stored()), before);

    // A file name is a word of the sender: it says nothing about where the file goes.
    let (status, answer) = scene.upload(&fields, "../../../evil").await;
    assert_eq!((status, &*answer, scene.beside()), (200, "", vec![]));
    scene.reports_and_goes(GOOD).await;
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_of_xml_are_refused_or_printed_as_text() {
    const MARKS: &str = "</a>&<b c='\"'>]]>";
    let scene = Scene::new().await;
    let before = scene.snapshot().await;
    let product = ("ProductKey", &*scene.product);
    let firmware = ("FirmwareId", &*scene.firmware);
    let target = [("TargetSelection", "SPECIFIC"), ("TargetDeviceName.1", ACTOR)];
    let job = |tag: (&'static str, &'static str)| {
        let job = [product, firmware, ("Tag.1.Key", "k"), ("Tag.1.Value", "v")];
        let job = job.into_iter().chain(target);
        job.map(|pair| if pair.0 == tag.0 { tag } else { pair }).collect::<Vec<_>>()
    };
    let static_job = "CreateOTAStaticUpgradeJob";
    for (action, params) in [
        ("CreateProduct", vec![("NodeType", "0"), ("ProductName", MARKS)]),
        ("RegisterDevice", vec![product, ("DeviceName", MARKS)]),
        ("RegisterDevice", vec![product, ("DeviceName", "lamp-9"), ("Nickname", MARKS)]),
        ("QueryDeviceDetail", vec![product, ("DeviceName", MARKS)]),
        ("QueryDevice", vec![product, ("NextToken", MARKS)]),
        ("QueryProduct", vec![("ProductKey", MARKS)]),
        ("QueryOTAFirmware", vec![("FirmwareId", MARKS)]),
        ("QueryOTAJob", vec![("JobId", MARKS)]),
        (static_job, job(("Tag.1.Key", MARKS))),
        (static_job, job(("TargetSelection", MARKS))),
        (static_job, job(("TargetDeviceName.1", MARKS))),
        (static_job, job(("FirmwareId", MARKS))),
        (MARKS, vec![]),
    ] {
        let reply = scene.call_xml(action, &params).await;
        assert!(reply.refused().is_some(), "{action} {params:?}: {}", reply.body);
        assert!(!reply.body.contains("<b c=") && !reply.body.contains("</a>"), "{}", reply.body);
        assert_eq!(scene.snapshot().await, before, "{action} {params:?}");
    }
    for version in ["1.0<b>", "../2"] {
        let params =
            [product, ("FirmwareName", MARKS), ("DestVersion", version), ("FirmwareUrl", "x")];
        let reply = scene.call_xml("CreateOTAFirmware", &params).await;
        assert!(reply.refused().is_some() && !reply.body.contains("<b"), "{}", reply.body);
    }
    assert_eq!(scene.snapshot().await, before);

    // Where any text is allowed it comes back as it was.
    let escaped = quick_xml::escape::escape(MARKS).into_owned();
    let made = scene.package("3.0.0", &[("FirmwareDesc", MARKS)]).await;
    let reply = scene.call_xml("QueryOTAFirmware", &[("FirmwareId", &made)]).await;
    let want = format!("<FirmwareDesc>{escaped}</FirmwareDesc>");
    assert!(reply.body.contains(&want), "{}", reply.body);

    let reply = scene.call_xml(static_job, &job(("Tag.1.Value", MARKS))).await;
    assert_eq!(reply.refused(), None, "{}", reply.body);
    let by_device =
        [product, ("DeviceName", ACTOR), firmware, ("CurrentPage", "1"), ("PageSize", "9")];
    let reply = scene.call_xml("ListOTAJobByDevice", &by_device).await;
    assert!(reply.body.contains(&format!("<Value>{escaped}</Value>")), "{}", reply.body);

    // A version is whatever the device says.
    let mut wire = scene.online(GOOD).await;
    let payload = serde_json::json!({ "id": "1", "params": { "version": MARKS } });
    let topic = scene.devices[GOOD].ota("inform");
    wire.send(&publish(1, 1, topic, payload.to_string())).await;
    assert_eq!(wire.bytes(4).await, puback(1));
    let reply = scene.call_xml("QueryDeviceDetail", &[product, ("DeviceName", GOOD)]).await;
    let want = format!("<FirmwareVersion>{escaped}</FirmwareVersion>");
    assert!(reply.body.contains(&want), "{}", reply.body);
    scene.server.stop().await;
}
