use super::*;
use crate::rpc::request::Request;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// The code that turns a job down, or `ok`.
fn code(result: Result<NewJob, Refusal>) -> &'static str {
    result.map_or_else(|refusal| refusal.code, |_| "ok")
}

/// A query with `changes` over the parameters that every job needs.
fn params(changes: &str) -> Params {
    Params::parse(&format!("FirmwareId=f&ProductKey=p&{changes}"), None).unwrap()
}

fn list(name: &str, count: usize, value: impl Fn(usize) -> String) -> String {
    let pairs: Vec<_> = (1..=count).map(|n| format!("{name}.{n}={}", value(n))).collect();
    pairs.join("&")
}

#[test]
fn a_static_job_is_turned_down_by_its_first_fault() {
    let check =
        |changes: &str| code(new_static(CreateStaticJob::read(&params(changes)).unwrap(), NOW));
    let ahead = |minutes: i64| NOW.0 + minutes * MINUTE_MS;
    let names = list("TargetDeviceName", 201, |n| format!("dev{n}"));
    let many = list("SrcVersion", 11, |n| n.to_string());
    let start = format!("TargetSelection=ALL&ScheduleTime={}", ahead(10));
    let cases = [
        ("TargetSelection=all&TargetDeviceName.1=x".into(), "iot.firmware.InvalidTargetSelection"),
        ("TargetSelection=SPECIFIC&SrcVersion.1=1".into(), "iot.firmware.NullTargetDeviceNames"),
        (
            "TargetSelection=SPECIFIC&TargetDeviceName.1=".into(),
            "iot.firmware.NullTargetDeviceNames",
        ),
        (
            "TargetSelection=ALL&TargetDeviceName.1=dev1".into(),
            "iot.firmware.TargetDeviceNamesNotAllowed",
        ),
        (
            "TargetSelection=GRAY&DnListFileUrl=http://a".into(),
            "iot.firmware.TargetDeviceNamesNotAllowed",
        ),
        (
            "TargetSelection=SPECIFIC&TargetDeviceName.1=dev1&DnListFileUrl=x".into(),
            "iot.firmware.TargetDeviceNamesNotAllowed",
        ),
        (format!("TargetSelection=SPECIFIC&{names}"), "iot.firmware.ParameterSizeExceedMax"),
        (
            "TargetSelection=SPECIFIC&TargetDeviceName.1=dev1&TargetDeviceName.2=".into(),
            "iot.device.InvalidFormattedDeviceNameInNameArray",
        ),
        (
            "TargetSelection=SPECIFIC&TargetDeviceName.1=dev1&TargetDeviceName.2=dev1".into(),
            "iot.device.InvalidFormattedDeviceNameInNameArray",
        ),
        ("TargetSelection=GRAY".into(), "iot.firmware.NullGrayPercent"),
        (
            "TargetSelection=GRAY&GrayPercent=1.2345".into(),
            "iot.firmware.BadlyFormattedGrayPercent",
        ),
        ("TargetSelection=GRAY&GrayPercent=ten".into(), "iot.firmware.BadlyFormattedGrayPercent"),
        ("TargetSelection=GRAY&GrayPercent=0".into(), "iot.firmware.InvalidGrayPercent"),
        ("TargetSelection=GRAY&GrayPercent=100.001".into(), "iot.firmware.InvalidGrayPercent"),
        ("TargetSelection=GROUP&GroupType=x".into(), "iot.group.NullGroupId"),
        ("TargetSelection=GROUP&GroupId=g".into(), "iot.check.NullParameter"),
        (
            "TargetSelection=GROUP&GroupId=g&GroupType=LINK_PLATFORM_DYNAMIC".into(),
            "iot.common.InvalidFormattedParameter",
        ),
        (
            "TargetSelection=SPECIFIC&TargetDeviceName.1=dev1&SrcVersion.1=1".into(),
            "iot.firmware.SrcVersionsNotAllowed",
        ),
        (format!("TargetSelection=ALL&{many}"), "iot.firmware.SrcVersionsSizeExceedMax"),
        (
            "TargetSelection=ALL&SrcVersion.1=a/b".into(),
            "iot.firmware.IncorrectFormattedSrcVersion",
        ),
        (
            "TargetSelection=ALL&SrcVersion.1=1&SrcVersion.2=1".into(),
            "iot.common.InvalidFormattedParameter",
        ),
        (
            format!("TargetSelection=ALL&ScheduleTime={}", NOW.0),
            "iot.firmware.FireTimeMustLargeThanCurrentTime",
        ),
        (
            format!("TargetSelection=ALL&ScheduleTime={}", ahead(5) - 1),
            "iot.firmware.FireTimeTooShort",
        ),
        (
            format!("TargetSelection=ALL&ScheduleTime={}", ahead(7 * 1440) + 1),
            "iot.firmware.FireTimeTooLate",
        ),
        (format!("TargetSelection=ALL&ScheduleTime={}", i64::MAX), "iot.firmware.FireTimeTooLate"),
        (
            "TargetSelection=ALL&ScheduleFinishTime=1".into(),
            "iot.firmware.ScheduleFinishTimeWithoutStartTime",
        ),
        (
            format!("{start}&ScheduleFinishTime={}", ahead(10)),
            "iot.firmware.ScheduleFinishTimeEarlierThanStartTime",
        ),
        (
            format!("{start}&ScheduleFinishTime={}", ahead(70) - 1),
            "iot.firmware.ScheduleFinishTimeTooEarly",
        ),
        (
            format!("{start}&ScheduleFinishTime={}", ahead(10 + 30 * 1440) + 1),
            "iot.firmware.ScheduleFinishTimeTooLate",
        ),
        (
            "TargetSelection=ALL&MaximumPerMinute=9&Tag.1.Key=k".into(),
            "iot.firmware.InvalidMaximumPerMinute",
        ),
        (
            "TargetSelection=ALL&OverwriteMode=2&MultiModuleMode=True".into(),
            "iot.firmware.InvalidOverwriteMode",
        ),
        ("TargetSelection=ALL&Tag.1.Key=k".into(), "iot.check.NullParameter"),
        (format!("{start}&ScheduleFinishTime={}", ahead(70)), "ok"),
        (format!("TargetSelection=ALL&ScheduleTime={}", ahead(5)), "ok"),
        (format!("TargetSelection=ALL&ScheduleTime={}", ahead(7 * 1440)), "ok"),
        ("TargetSelection=ALL&GrayPercent=x&GroupId=g&RetryCount=9&Unknown=1".into(), "ok"),
        ("TargetSelection=GRAY&GrayPercent=33.333&SrcVersion.1=1.0".into(), "ok"),
        ("TargetSelection=SPECIFIC&TargetDeviceName.1=dev1".into(), "ok"),
        ("TargetSelection=GROUP&GroupId=g&GroupType=LINK_PLATFORM".into(), "ok"),
    ];
    for (changes, want) in cases {
        assert_eq!(check(&changes), want, "{changes}");
    }
}

#[test]
fn a_dynamic_job_is_turned_down_by_its_first_fault() {
    let check = |changes: &str| {
        let params = params(changes);
        code(new_dynamic(CreateDynamicJob::read(&params).unwrap(), &params))
    };
    let many = list("SrcVersion", 11, |n| n.to_string());
    let group = "GroupType=LINK_PLATFORM_DYNAMIC";
    for (changes, want) in [
        ("TargetSelection=SPECIFIC", "iot.firmware.DynamicSpecificNotSupported"),
        ("TargetDeviceName.3=dev1", "iot.firmware.DynamicSpecificNotSupported"),
        ("DnListFileUrl=x&TargetSelection=GRAY", "iot.firmware.DynamicSpecificNotSupported"),
        ("TargetSelection=GRAY&GrayPercent=5", "iot.firmware.DynamicGrayNotSupported"),
        ("GrayPercent=5", "iot.firmware.GrayAppliesToStaticOnly"),
        ("TargetSelection=ALL", "iot.firmware.NullSrcVersions"),
        ("SrcVersion.1=1&GroupId=g", "iot.firmware.SrcVersionsNotAllowed"),
        (group, "iot.group.NullGroupId"),
        ("GroupId=g", "iot.check.NullParameter"),
        ("GroupId=g&GroupType=LINK_PLATFORM", "iot.common.InvalidFormattedParameter"),
        (&many, "iot.firmware.SrcVersionsSizeExceedMax"),
        ("SrcVersion.1=1&SrcVersion.2=a b", "iot.firmware.IncorrectFormattedSrcVersion"),
        ("SrcVersion.1=1&SrcVersion.2=1&DynamicMode=3", "iot.common.InvalidFormattedParameter"),
        ("SrcVersion.1=1&DynamicMode=3&RetryInterval=1", "iot.firmware.InvalidDynamicMode"),
        ("SrcVersion.1=1&RetryInterval=1&Tag.1.Key=k", "iot.firmware.InvalidRetryInterval"),
        ("SrcVersion.1=1&Tag.1.Key=k", "iot.check.NullParameter"),
        ("SrcVersion.1=1&TargetSelection=ALL&ScheduleTime=1", "ok"),
    ] {
        assert_eq!(check(changes), want, "{changes}");
    }
    assert_eq!(check(&format!("GroupId=g&{group}")), "ok");
}

#[test]
fn a_verification_is_turned_down_by_its_first_fault() {
    let check = |changes: &str| code(new_verify(CreateVerifyJob::read(&params(changes)).unwrap()));
    let eleven = list("TargetDeviceName", 11, |n| format!("dev{n}"));
    for (changes, want) in [
        (&*eleven, "iot.firmware.ParameterSizeExceedMax"),
        ("TargetDeviceName.1=d", "iot.device.InvalidFormattedDeviceNameInNameArray"),
        ("TargetDeviceName.1=dev1&Tag.1.Value=v&TimeoutInMinutes=0", "iot.check.NullParameter"),
        (
            "TargetDeviceName.1=dev1&TimeoutInMinutes=0&DownloadProtocol=x",
            "iot.firmware.InvalidTimeoutSetting",
        ),
        ("TargetDeviceName.1=dev1&DownloadProtocol=ftp", "iot.common.InvalidFormattedParameter"),
        ("TargetDeviceName.1=dev1&OverwriteMode=7", "ok"),
    ] {
        assert_eq!(check(changes), want, "{changes}");
    }
}

#[test]
fn a_job_that_names_no_rate_has_that_of_the_settings() {
    let rate = |setting, changes: &str| {
        let query = format!("TargetSelection=ALL&{changes}");
        let request = CreateStaticJob::read(&params(&query)).unwrap();
        let names_rate = request.max_per_minute.is_some();
        let limits = Limits { job_pushes_per_minute: setting, ..Limits::default() };
        let Ok(new) = new_static(request, NOW) else { panic!("refused: {query}") };
        with_rate(new, names_rate, &limits).policy.max_per_minute
    };
    assert_eq!(rate(Limits::default().job_pushes_per_minute, ""), Some(10_000));
    assert_eq!((rate(77, ""), rate(0, "")), (Some(77), None));
    assert_eq!(
        (rate(77, "MaximumPerMinute=20"), rate(0, "MaximumPerMinute=20")),
        (Some(20), Some(20))
    );
}
