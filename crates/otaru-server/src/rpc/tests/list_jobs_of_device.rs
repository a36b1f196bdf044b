//! `ListOTAJobByDevice`, where the project started, line by line of its page.

use super::*;

/// A product with two devices and a package that three jobs want: two static ones, one of them planned and tagged.
async fn scene() -> (World, String, String) {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "light").await;
    world.device(&product, "other").await;
    let package = world.package(&product, "2.0", "").await;
    let specific = "TargetSelection=SPECIFIC&TargetDeviceName.1=light";
    world.static_job(&product, &package, specific).await;
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let at = START.0 + 3_600_000;
    let tags = "Tag.1.Key=b&Tag.1.Value=%3C2%3E&Tag.2.Key=a&Tag.2.Value=1";
    world
        .static_job(&product, &package, &format!("TargetSelection=ALL&ScheduleTime={at}&{tags}"))
        .await;
    (world, product, package)
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_device_come_newest_first_with_tags_only_where_there_are_any() {
    let (world, product, package) = scene().await;
    let query = format!(
        "FirmwareId={package}&ProductKey={product}&DeviceName=light&PageSize=10&CurrentPage=1"
    );
    let reply = world.ok("ListOTAJobByDevice", &query).await;
    assert_eq!(
        (&reply["Total"], &reply["PageCount"], &reply["PageSize"], &reply["CurrentPage"]),
        (&2.into(), &1.into(), &10.into(), &1.into())
    );
    let rows = reply["Data"]["SimpleOTAJobInfo"].as_array().unwrap();
    let planned = serde_json::json!({
        "FirmwareId": package,
        "JobId": rows[0]["JobId"],
        "JobStatus": "PLANNED",
        "JobType": "UPGRADE_FIRMWARE",
        "ProductKey": product,
        "SelectionType": "STATIC",
        "Tags": { "OtaTagDTO": [{ "Key": "b", "Value": "<2>" }, { "Key": "a", "Value": "1" }] },
        "TargetSelection": "ALL",
        "UtcCreate": "2026-09-21T14:13:21.000Z",
        "UtcModified": "2026-09-21T14:13:21.000Z",
    });
    assert_eq!(rows[0], planned, "a planned job has no UtcStartTime yet");
    let running = serde_json::json!({
        "FirmwareId": package,
        "JobId": rows[1]["JobId"],
        "JobStatus": "IN_PROGRESS",
        "JobType": "UPGRADE_FIRMWARE",
        "ProductKey": product,
        "SelectionType": "STATIC",
        "TargetSelection": "SPECIFIC",
        "UtcCreate": "2026-09-21T14:13:20.000Z",
        "UtcModified": "2026-09-21T14:13:20.000Z",
        "UtcStartTime": "2026-09-21T14:13:20.000Z",
    });
    assert_eq!(rows[1], running, "a running job has no UtcEndTime, and this one no Tags");
}

#[tokio::test(start_paused = true)]
async fn the_same_reply_is_printed_as_xml() {
    let (world, product, package) = scene().await;
    let query = format!(
        "FirmwareId={package}&ProductKey={product}&DeviceName=light&PageSize=1&CurrentPage=1"
    );
    let answer = world.answer("ListOTAJobByDevice", &query, Format::Xml).await;
    assert_eq!(answer.headers, [("Content-Type", "text/xml;charset=utf-8".to_owned())]);
    let body = answer.body;
    assert!(body.contains("<ListOTAJobByDeviceResponse><RequestId>"), "{body}");
    assert!(body.contains("<Data><SimpleOTAJobInfo><FirmwareId>"), "{body}");
    assert!(
        body.contains(
            "<Tags><OtaTagDTO><Key>b</Key><Value>&lt;2&gt;</Value></OtaTagDTO>\
             <OtaTagDTO><Key>a</Key><Value>1</Value></OtaTagDTO></Tags>"
        ),
        "{body}"
    );
    assert!(
        body.contains("<PageCount>2</PageCount><PageSize>1</PageSize><Total>2</Total>"),
        "{body}"
    );
    assert_eq!(body.matches("<SimpleOTAJobInfo>").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn pages_beyond_the_end_and_devices_in_no_job_are_empty_lists() {
    let (world, product, package) = scene().await;
    let query = format!("FirmwareId={package}&ProductKey={product}&PageSize=1");
    let beyond =
        world.ok("ListOTAJobByDevice", &format!("{query}&DeviceName=light&CurrentPage=3")).await;
    assert_eq!(beyond["Data"], serde_json::json!({ "SimpleOTAJobInfo": [] }));
    assert_eq!((&beyond["Total"], &beyond["PageCount"]), (&2.into(), &2.into()));
    world.device(&product, "late").await;
    let query = format!("{query}&DeviceName=late&CurrentPage=1");
    let none = world.ok("ListOTAJobByDevice", &query).await;
    assert_eq!((&none["Total"], &none["PageCount"]), (&0.into(), &0.into()));
    let xml = world.answer("ListOTAJobByDevice", &query, Format::Xml).await.body;
    assert!(xml.contains("<Data/>"), "{xml}");
}

#[tokio::test(start_paused = true)]
async fn its_refusals_come_in_their_order() {
    let (world, product, package) = scene().await;
    let other = world.product("other").await;
    let all = [
        ("CurrentPage", "1"),
        ("DeviceName", "light"),
        ("FirmwareId", &package),
        ("PageSize", "10"),
        ("ProductKey", &product),
    ];
    let with = |changes: &[(&str, &str)]| {
        let value = |name: &str, value: &str| {
            let change = changes.iter().find(|(changed, _)| *changed == name);
            format!("{name}={}", change.map_or(value.to_owned(), |(_, new)| (*new).to_owned()))
        };
        all.map(|(name, usual)| value(name, usual)).join("&")
    };
    for (name, _) in all {
        let (status, code) = world.refused("ListOTAJobByDevice", &with(&[(name, "")])).await;
        assert_eq!((status, code), (400, format!("Missing{name}")));
    }
    let cases: &[(&[(&str, &str)], u16, &str)] = &[
        (&[("PageSize", "ten"), ("ProductKey", "")], 400, "MissingProductKey"),
        (&[("PageSize", "ten"), ("CurrentPage", "1.0")], 400, "InvalidCurrentPage"),
        (&[("PageSize", "2147483648"), ("DeviceName", "x")], 400, "InvalidPageSize"),
        (&[("CurrentPage", "0"), ("ProductKey", "?")], 200, "iot.common.InvalidPageParams"),
        (&[("PageSize", "101")], 200, "iot.common.InvalidPageParams"),
        (&[("PageSize", "-1")], 200, "iot.common.InvalidPageParams"),
        (&[("ProductKey", "a-b"), ("DeviceName", "?")], 200, "iot.prod.InvalidFormattedProductkey"),
        (&[("ProductKey", "a1nothing"), ("DeviceName", "?")], 200, "iot.prod.NotExistedProduct"),
        (
            &[("DeviceName", "a/b"), ("FirmwareId", "x")],
            200,
            "iot.device.InvalidFormattedDeviceName",
        ),
        (&[("DeviceName", "nobody"), ("FirmwareId", "x")], 200, "iot.device.NotExistedDevice"),
        (&[("FirmwareId", "x")], 200, "iot.firmware.FirmwareNotFound"),
        (&[("FirmwareId", "../../etc")], 200, "iot.firmware.FirmwareNotFound"),
    ];
    for (changes, status, code) in cases {
        let refused = world.refused("ListOTAJobByDevice", &with(changes)).await;
        assert_eq!(refused, (*status, (*code).to_owned()), "{changes:?}");
    }
    world.device(&other, "light").await;
    let refused = world.refused("ListOTAJobByDevice", &with(&[("ProductKey", &other)])).await;
    assert_eq!(refused.1, "iot.firmware.FirmwareAndProductKeyMismatch");
}
