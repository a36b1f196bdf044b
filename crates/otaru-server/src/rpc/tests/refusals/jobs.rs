//! What is wrong with the values of a new job, told through signed calls; its unit tests have more of them.

use super::*;

pub fn play() {
    each_job_with_a_wrong_value_has_its_code_and_none_is_made();
    what_is_above_a_cap_is_refused_and_not_made();
    an_account_has_at_most_ten_dynamic_groups();
    devices_that_have_the_package_need_no_job_and_its_verification_is_done_once();
}

#[tokio::test(start_paused = true)]
async fn each_job_with_a_wrong_value_has_its_code_and_none_is_made() {
    let scene = Scene::new().await;
    let before = scene.snapshot().await;
    let at = |minutes: i64| (START.0 + minutes * 60_000).to_string();
    for (action, params, want) in VALUES {
        let params = format!("FirmwareId={{FULL}}&ProductKey={{P}}&{params}");
        // `@n` is the time in n minutes.
        let params = params.split('@').enumerate().fold(String::new(), |text, (n, part)| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            match part[..digits].parse() {
                Ok(minutes) if n > 0 => text + &at(minutes) + &part[digits..],
                _ => text + part,
            }
        });
        let refused = scene.world.refused(action, &scene.fill(&params)).await;
        assert_eq!(refused, (200, (*want).to_owned()), "{action} {params}");
    }
    assert_eq!(scene.snapshot().await, before);
}

/// Each cap of the settings at one, or just above what is there.
#[tokio::test(start_paused = true)]
async fn what_is_above_a_cap_is_refused_and_not_made() {
    let limits = Limits {
        packages_max: 1,
        products_max: 1,
        devices_max: Some(3),
        job_devices_max: Some(2),
        minute_devices_max: Some(3),
        group_devices_max: Some(1),
        ..Limits::default()
    };
    let world = World::with("", limits).await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    world.device(&product, "lamp2").await;
    world.device(&product, "lamp3").await;
    let package = world.package(&product, "2.0", "").await;
    let url = world.uploaded(4).await;
    let of_product = format!("ProductKey={product}");
    let job = format!("{of_product}&FirmwareId={package}&TargetSelection=ALL");
    let names = |names: &[&str]| {
        let names = (1..).zip(names).map(|(n, name)| format!("&TargetDeviceName.{n}={name}"));
        names.collect::<String>()
    };
    let of_package = format!("ProductKey={product}&FirmwareId={package}&TargetSelection=SPECIFIC");
    let at = |seconds: i64, of: &[&str]| {
        let at = START.0 + 3_600_000 + seconds * 1_000;
        format!("{of_package}{}&ScheduleTime={at}", names(of))
    };
    // Devices are counted by the minute in which their job starts.
    world.ok(STATIC, &at(0, &["lamp1", "lamp2"])).await;
    let planned = at(1, &["lamp1", "lamp3"]);
    world.ok(STATIC, &at(60, &["lamp1", "lamp3"])).await;
    let another = format!("{of_product}&FirmwareName=n&DestVersion=3&FirmwareUrl={url}");
    for (action, params, want) in [
        ("CreateProduct", "NodeType=0&ProductName=other", "iot.prod.ProductCountExceedMax"),
        ("CreateOTAFirmware", &*another, "iot.firmware.FirmwareCountExceedMax"),
        ("RegisterDevice", &of_product, "iot.device.DeviceNumerExceedTenant"),
        (
            "BatchRegisterDevice",
            &format!("{of_product}&Count=1"),
            "iot.device.DeviceNumerExceedTenant",
        ),
        (STATIC, &job, "iot.firmware.TooManyDeviceUpgrade"),
        (STATIC, &planned, "iot.firmware.TooManyDeviceUpgradeForScheduleTime"),
        (
            "CreateDeviceDynamicGroup",
            "GroupName=rule&DynamicGroupExpression=name%20LIKE%20'lamp%25'",
            "iot.group.DynamicGroupMatchedDeviceCountExceedMax",
        ),
    ] {
        assert_eq!(world.refused(action, params).await, (200, want.to_owned()), "{action}");
    }
    let total = world.ok("QueryDevice", &of_product).await["Total"].clone();
    assert_eq!(total, 3);
    assert_eq!(world.ok("QueryProductList", "CurrentPage=1&PageSize=9").await["Data"]["Total"], 1);
    assert_eq!(world.ok("ListOTAFirmware", "CurrentPage=1&PageSize=9").await["Total"], 1);
}

#[tokio::test(start_paused = true)]
async fn an_account_has_at_most_ten_dynamic_groups() {
    let world = World::new().await;
    let rule = |n: u8| format!("GroupName=rule{n}&DynamicGroupExpression=name%20LIKE%20'x%25'");
    for n in 0..10 {
        world.ok("CreateDeviceDynamicGroup", &rule(n)).await;
    }
    let (_, code) = world.refused("CreateDeviceDynamicGroup", &rule(10)).await;
    assert_eq!(code, "iot.group.GroupCountExceedMax");
}

#[tokio::test(start_paused = true)]
async fn devices_that_have_the_package_need_no_job_and_its_verification_is_done_once() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let product = scene.fill("{P}");
    let device = super::super::shapes::scene::Speaker::of(world, &product, "lamp1").await;
    device.has("default", "2.0").await;
    let named = scene.fill("FirmwareId={FULL}&ProductKey={P}&TargetDeviceName.1=lamp1");
    let everyone = format!("{named}&TargetSelection=SPECIFIC");
    let at_dest = (200, "iot.firmware.DeviceWithDestinationVersionInArray".to_owned());
    assert_eq!(world.refused(STATIC, &everyone).await, at_dest);
    assert_eq!(world.refused(VERIFY, &named).await, at_dest);
    // 2.0 is neither the source nor the destination of the delta package.
    let delta = named.replace(&scene.fill("{FULL}"), &scene.fill("{DELTA}"));
    let mismatch = (200, "iot.firmware.SrcVersionMismatch".to_owned());
    assert_eq!(world.refused(VERIFY, &delta).await, mismatch);
    assert_eq!(world.refused(STATIC, &format!("{delta}&TargetSelection=SPECIFIC")).await, mismatch);

    device.has("default", "4.0").await;
    let again = scene.fill("FirmwareId={RAW}&ProductKey={P}&TargetDeviceName.1=lamp2");
    let verified = (200, "iot.firmware.VerifyFirmwareFailed".to_owned());
    assert_eq!(world.refused(VERIFY, &again).await, verified);
}

/// Operation, parameters beside the package and the product, code. {FULL} has a running dynamic job.
#[rustfmt::skip]
const VALUES: &[(&str, &str, &str)] = &[
    (STATIC, "TargetSelection=SPECIFIC", "iot.firmware.NullTargetDeviceNames"),
    (STATIC, "TargetSelection=ALL&TargetDeviceName.1=lamp1", "iot.firmware.TargetDeviceNamesNotAllowed"),
    (STATIC, "TargetSelection=SPECIFIC&TargetDeviceName.1=lamp1&DnListFileUrl=x", "iot.firmware.TargetDeviceNamesNotAllowed"),
    (STATIC, "TargetSelection=GRAY", "iot.firmware.NullGrayPercent"),
    (STATIC, "TargetSelection=GRAY&GrayPercent=1.2345", "iot.firmware.BadlyFormattedGrayPercent"),
    (STATIC, "TargetSelection=GRAY&GrayPercent=0", "iot.firmware.InvalidGrayPercent"),
    (STATIC, "TargetSelection=GROUP&GroupType=LINK_PLATFORM", "iot.group.NullGroupId"),
    (STATIC, "TargetSelection=SPECIFIC&TargetDeviceName.1=lamp1&SrcVersion.1=1", "iot.firmware.SrcVersionsNotAllowed"),
    (STATIC, "TargetSelection=ALL&ScheduleTime=@4", "iot.firmware.FireTimeTooShort"),
    (STATIC, "TargetSelection=ALL&ScheduleTime=@10081", "iot.firmware.FireTimeTooLate"),
    (STATIC, "TargetSelection=ALL&ScheduleFinishTime=@90", "iot.firmware.ScheduleFinishTimeWithoutStartTime"),
    (STATIC, "TargetSelection=ALL&ScheduleTime=@10&ScheduleFinishTime=@10", "iot.firmware.ScheduleFinishTimeEarlierThanStartTime"),
    (STATIC, "TargetSelection=ALL&ScheduleTime=@10&ScheduleFinishTime=@69", "iot.firmware.ScheduleFinishTimeTooEarly"),
    (STATIC, "TargetSelection=ALL&ScheduleTime=@10&ScheduleFinishTime=@43211", "iot.firmware.ScheduleFinishTimeTooLate"),
    (STATIC, "TargetSelection=ALL&MaximumPerMinute=9", "iot.firmware.InvalidMaximumPerMinute"),
    (STATIC, "TargetSelection=ALL&RetryInterval=20", "iot.firmware.InvalidRetryInterval"),
    (STATIC, "TargetSelection=ALL&RetryInterval=10", "iot.firmware.InvalidRetryCount"),
    (STATIC, "TargetSelection=ALL&TimeoutInMinutes=1441", "iot.firmware.InvalidTimeoutSetting"),
    (STATIC, "TargetSelection=ALL&RetryInterval=60&RetryCount=1&TimeoutInMinutes=60", "iot.firmware.InvalidRetryInterval"),
    (STATIC, "TargetSelection=ALL&OverwriteMode=3", "iot.firmware.InvalidOverwriteMode"),
    (STATIC, "TargetSelection=ALL&OverwriteMode=2&MultiModuleMode=true", "iot.firmware.InvalidOverwriteMode"),
    (STATIC, "TargetSelection=ALL&DownloadProtocol=FTP", "iot.common.InvalidFormattedParameter"),
    (STATIC, "TargetSelection=ALL&Tag.1.Key=k", "iot.check.NullParameter"),
    (STATIC, "TargetSelection=ALL&Tag.1.Key=k&Tag.1.Value=1&Tag.2.Key=k&Tag.2.Value=2", "iot.ota.tag.KeyDuplicated"),
    (STATIC, "TargetSelection=ALL&Tag.1.Key=a&Tag.1.Value={1024}&Tag.2.Key=b&Tag.2.Value={1024}\
        &Tag.3.Key=c&Tag.3.Value={1024}&Tag.4.Key=d&Tag.4.Value={1024}", "iot.ota.JobTagIsTooLong"),
    (DYNAMIC, "TargetSelection=SPECIFIC&SrcVersion.1=1", "iot.firmware.DynamicSpecificNotSupported"),
    (DYNAMIC, "TargetSelection=GRAY&SrcVersion.1=1", "iot.firmware.DynamicGrayNotSupported"),
    (DYNAMIC, "GrayPercent=5&SrcVersion.1=1", "iot.firmware.GrayAppliesToStaticOnly"),
    (DYNAMIC, "SrcVersion.1=1&GroupId=g", "iot.firmware.SrcVersionsNotAllowed"),
    (DYNAMIC, "GroupType=LINK_PLATFORM_DYNAMIC", "iot.group.NullGroupId"),
    (DYNAMIC, "SrcVersion.1=1&DynamicMode=3", "iot.firmware.InvalidDynamicMode"),
    (VERIFY, "TargetDeviceName.1=lamp1&TimeoutInMinutes=0", "iot.firmware.InvalidTimeoutSetting"),
];
