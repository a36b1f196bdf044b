use super::*;
use crate::id::{AccountNo, GroupId, GroupNo, JobId, JobNo, PackageNo, ProductNo};
use crate::job::{DynamicMode, GrayPercent, JobGroup, Selection};

fn raw() -> RawUpdate<'static> {
    RawUpdate {
        max_per_minute: 10,
        upgrade_type: "STATIC",
        target: "ALL",
        timeout_minutes: None,
        src_versions: None,
    }
}

fn v(text: &str) -> Version {
    Version::parse(text).unwrap()
}

#[test]
fn each_value_out_of_range_has_its_own_code() {
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|&t| t.to_owned()).collect() };
    let many: Vec<_> = (0..31).map(|n| n.to_string()).collect();
    let (bad, twice) = (texts(&["1.0", ""]), texts(&["1.0", "2.0", "1.0"]));
    for (raw, code) in [
        (RawUpdate { max_per_minute: 9, ..raw() }, "iot.ota.InvalidMaximumPerMinute"),
        (RawUpdate { max_per_minute: 10_001, ..raw() }, "iot.ota.InvalidMaximumPerMinute"),
        (RawUpdate { upgrade_type: "static", ..raw() }, "iot.ota.InvalidUpgradeType"),
        (RawUpdate { target: "SOME", ..raw() }, "iot.firmware.InvalidTargetSelection"),
        (RawUpdate { timeout_minutes: Some(0), ..raw() }, "iot.ota.InvalidTimeout"),
        (RawUpdate { timeout_minutes: Some(1_441), ..raw() }, "iot.ota.InvalidTimeout"),
        (RawUpdate { src_versions: Some(&[]), ..raw() }, "iot.ota.EmptySrcVersionList"),
        (RawUpdate { src_versions: Some(&many), ..raw() }, "iot.firmware.SrcVersionsSizeExceedMax"),
        (
            RawUpdate { src_versions: Some(&bad), ..raw() },
            "iot.firmware.IncorrectFormattedSrcVersion",
        ),
        (RawUpdate { src_versions: Some(&twice), ..raw() }, "iot.common.InvalidFormattedParameter"),
    ] {
        assert_eq!(raw.check().unwrap_err().code, code, "{raw:?}");
    }
    let thirty = RawUpdate { src_versions: Some(&many[..30]), ..raw() };
    assert_eq!(thirty.check().unwrap().src_versions.unwrap().len(), 30);
}

fn job(selection: Selection) -> Job {
    Job {
        no: JobNo(1),
        account: AccountNo(1),
        product: ProductNo(1),
        package: PackageNo(1),
        id: JobId::generate(1),
        kind: JobKind::Upgrade,
        selection,
        group: None,
        src_versions: vec![v("1.0")],
        policy: Policy { timeout_minutes: Some(5), ..Policy::default() },
        status: JobStatus::InProgress,
        created_at: Timestamp(1),
        modified_at: Timestamp(1),
        started_at: Some(Timestamp(1)),
        ended_at: None,
        schedule_at: None,
        finish_at: None,
        finish_played: false,
        fill: None,
        list: None,
        sweep: None,
        bucket: None,
    }
}

fn update(dynamic: bool, target: &str) -> JobUpdate {
    JobUpdate {
        max_per_minute: 60,
        dynamic,
        target: target.to_owned(),
        timeout_minutes: Some(7),
        src_versions: Some(vec![v("1.1")]),
        tags: vec![Tag { key: "k".into(), value: "v".into() }],
    }
}

#[test]
fn a_job_is_changed_only_while_it_runs_and_as_what_it_is() {
    let all = job(Selection::All);
    let dynamic = job(Selection::Dynamic(DynamicMode::NewReports));
    let verify = Job { kind: JobKind::Verify, ..job(Selection::Specific) };
    let with = |status| Job { status, ..all.clone() };
    for (job, update, code) in [
        (with(JobStatus::Completed), update(true, "GRAY"), "iot.ota.JobHasFinished"),
        (with(JobStatus::Canceled), update(true, "GRAY"), "iot.ota.JobHasCanceled"),
        (all.clone(), update(true, "GRAY"), "iot.ota.noDynamicJob"),
        (verify.clone(), update(true, "SPECIFIC"), "iot.ota.noDynamicJob"),
        (verify, update(false, "SPECIFIC"), "iot.ota.InvalidUpgradeType"),
        (dynamic.clone(), update(false, "ALL"), "iot.ota.InvalidUpgradeType"),
        (all.clone(), update(false, "GRAY"), "iot.ota.InvalidStrategyType"),
        (dynamic.clone(), update(true, "GROUP"), "iot.ota.InvalidStrategyType"),
    ] {
        let refused = update.apply(&job, None, Timestamp(9)).unwrap_err();
        assert_eq!(refused.code, code, "{:?} {:?} {update:?}", job.status, job.selection);
    }
    let delta = update(true, "ALL").apply(&dynamic, Some(&v("1.0")), Timestamp(9));
    assert_eq!(delta.unwrap_err().code, "iot.firmware.UpgradeSrcVersionMismatch");
    assert!(update(false, "ALL").apply(&with(JobStatus::Planned), None, Timestamp(9)).is_ok());
}

#[test]
fn a_dynamic_job_for_a_group_is_taken_for_all_or_for_a_group_and_has_no_versions() {
    let group = JobGroup { no: GroupNo(1), id: GroupId::generate(1), name: "lamps".into() };
    let dynamic =
        Job { group: Some(group), ..job(Selection::Dynamic(DynamicMode::CurrentAndLater)) };
    for (target, is_good) in [("ALL", true), ("GROUP", true), ("SPECIFIC", false)] {
        let update = JobUpdate { src_versions: None, ..update(true, target) };
        assert_eq!(update.apply(&dynamic, None, Timestamp(9)).is_ok(), is_good, "{target}");
    }
    let refused = update(true, "GROUP").apply(&dynamic, None, Timestamp(9)).unwrap_err();
    assert_eq!(refused.code, "iot.ota.InvalidSrcVersionList");
    let fixed = job(Selection::Group);
    assert!(update(false, "GROUP").apply(&fixed, None, Timestamp(9)).is_ok());
    assert!(update(false, "ALL").apply(&fixed, None, Timestamp(9)).is_err());
}

#[test]
fn a_static_job_changes_its_rate_and_tags_alone() {
    let gray = job(Selection::Gray(GrayPercent::from_thousandths(1)));
    let after = update(false, "GRAY").apply(&gray, None, Timestamp(9)).unwrap();
    assert_eq!(after.policy.max_per_minute, Some(60));
    assert_eq!(after.policy.tags.len(), 1);
    assert_eq!((after.policy.timeout_minutes, &after.src_versions), (Some(5), &vec![v("1.0")]));
    assert_eq!(after.modified_at, Timestamp(9));
}

#[test]
fn a_dynamic_job_keeps_what_is_not_sent_but_its_tags() {
    let dynamic = job(Selection::Dynamic(DynamicMode::CurrentAndLater));
    let after = update(true, "ALL").apply(&dynamic, None, Timestamp(9)).unwrap();
    assert_eq!((after.policy.timeout_minutes, &after.src_versions), (Some(7), &vec![v("1.1")]));
    let bare = JobUpdate {
        timeout_minutes: None,
        src_versions: None,
        tags: Vec::new(),
        ..update(true, "ALL")
    };
    let after = bare.apply(&after, None, Timestamp(9)).unwrap();
    assert_eq!((after.policy.timeout_minutes, &after.src_versions), (Some(7), &vec![v("1.1")]));
    assert!(after.policy.tags.is_empty(), "tags are replaced as a whole");
}
