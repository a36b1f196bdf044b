//! Every code of the API description: a call reaches it, or this page says why none can.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use otaru_core::refusal;

use super::shapes::{Walk, scene};
use super::*;
use crate::rpc::op;

thread_local! {
    /// Codes that left a door in this test, by the operation that was asked for.
    static LEFT: RefCell<BTreeMap<String, BTreeSet<String>>> = RefCell::default();
}

/// Keeps the code of an answer to `action`, if it has one.
pub fn note(action: &str, answer: &Answer) {
    let code = match answer.body.split_once("\"Code\":\"") {
        Some((_, rest)) => rest.split('"').next(),
        None => answer.body.split_once("<Code>").and_then(|(_, rest)| rest.split('<').next()),
    };
    if let Some(code) = code {
        LEFT.with_borrow_mut(|left| {
            left.entry(action.to_owned()).or_default().insert(code.to_owned())
        });
    }
}

/// Codes that cannot arise here, by reason.
const NEVER: &[(&str, &[&str])] = &[
    (
        "an earlier check, of the gateway or another one, says it first",
        &[
            "Forbidden.RAM",
            "MissingParameter",
            "Throttling",
            "iot.Prod.NotProductOwner",
            "iot.Sre.IotInstanceNotFound",
            "iot.check.InvalidFormattedParameter",
            "iot.check.ParameterIsNotLessThanMax",
            "iot.common.InvalidTenant",
            "iot.common.TooManyRequest",
            "iot.device.DeviceInstanceInconsistency",
            "iot.device.NoPermission",
            "iot.device.NullApplyId",
            "iot.device.NullDevicePropertiesString",
            "iot.device.NullDevicePropertyKey",
            "iot.firmware.InvalidFirmwareId",
            "iot.firmware.InvalidProductKey",
            "iot.firmware.ModuleCountLimitExceeded",
            "iot.firmware.NullFirmwareId",
            "iot.firmware.NullFirmwareName",
            "iot.firmware.NullFirmwareVersion",
            "iot.firmware.NullOTAJobId",
            "iot.firmware.NullTargetSelection",
            "iot.firmware.NullTaskId",
            "iot.messagebroker.NullMessageContent",
            "iot.messagebroker.NullTopicName",
            "iot.ota.DeleteOTAModuleParamError",
            "iot.ota.ListOTAModuleParamError",
            "iot.system.IllegalRequest",
            "iot.system.UidNotFound",
        ],
    ),
    (
        "no operation has the parameter",
        &[
            "iot.consumer.group.InvalidGroupBy",
            "iot.device.InvalidTimeBucket",
            "iot.firmware.InvalidSelectionType",
            "iot.firmware.NullSelectionType",
            "iot.ota.EmptyNumberOfNotifiedDevicesAndNumberOfSucceedDevices",
            "iot.ota.InvalidBaseRatePerMinute",
            "iot.ota.InvalidBaseSpeedPerMinute",
            "iot.ota.InvalidConstantSpeedParameter",
            "iot.ota.InvalidExponentialRateParameter",
            "iot.ota.InvalidIncrementFactor",
            "iot.ota.InvalidNumberOfNotifiedDevicesOrNumberOfSucceedDevices",
            "iot.system.InstanceIdSame",
        ],
    ),
    (
        "the rules exclude it",
        &[
            // All that are described are offered, in every instance.
            "iot.common.APINotSupportedInInstance",
            // Both schemes are served, at whatever name the server has.
            "InvalidProduct.NotFound",
            "InvalidProtocol.NeedSsl",
            // A package with an upgrade job stays verified, a running dynamic job has its policy.
            "iot.firmware.ReUpgradeFailedFirmwareNotVerified",
            "iot.ota.FirmwareNotVerified",
            "iot.ota.StrategyNotFound",
            // A group takes part in as many products as it likes.
            "iot.consumer.group.ProductKeyExceedsLimit",
            // Whoever is offline, disabled or new gets its message later or misses it; RRpc says so in its reply.
            "iot.device.DeviceIsDisable",
            "iot.device.InactiveDevice",
            "iot.device.OfflineDevice",
            "iot.messagebroker.HALFCONN",
            "iot.messagebroker.OFFLINE",
            "iot.messagebroker.TIMEOUT",
        ],
    ),
    (
        "the operation that fails has a code of its own, or 503",
        &[
            "iot.common.QueryDeviceActionError",
            "iot.common.QueryManyDevicesActionError",
            "iot.common.QueryProductActionError",
            "iot.common.QueryProductCountActionError",
            "iot.device.QueryDeviceApplyActionError",
            "iot.firmware.CancelUpgradeTaskFailed",
            "iot.firmware.ListOTAModuleFailed",
            "iot.firmware.ListOTAModuleNameByProductFailed",
            "iot.firmware.SystemBusy",
            "iot.firmware.SystemBusyForScheduleTime",
            "iot.gateway.BackEndServiceInvalid",
            "iot.group.QueryGroupCountFailed",
            "iot.group.QueryGroupTreeFailed",
            "iot.messagebroker.PublishMessageException",
            "iot.prod.QueryDeviceCountActionError",
            "iot.system.SystemError",
        ],
    ),
    (
        "it belongs to operations that are not described here, or to billing, regions and distribution",
        &[
            "Iot.digitaltwin.DTInstanceInvalidThingType",
            "Iot.system.BillIsOverDue",
            "iot.databus.SearchIndexConfigNotFound",
            "iot.device.AddTopoRelationFailed",
            "iot.device.DeviceHasDistributed",
            "iot.device.QueryTopoRelationFailed",
            "iot.device.RegionNotSupportDynamicGroup",
            "iot.device.RemoveTopoRelationFailed",
            "iot.device.TopoRelationCountExceeded",
            "iot.device.VerifyDeviceFailed",
            "iot.group.InvalidFormattedTagString",
            "iot.group.QueryGroupTagFailed",
            "iot.group.SetGroupTagFailed",
            "iot.group.TagCountExceedMax",
            "iot.prod.NotSeniorProduct",
            "iot.prod.QueryProductAbilitiesFailed",
            "iot.prod.QueryProductAbilityFailed",
        ],
    ),
];

/// Codes of the description with their messages, those of the service and those of the gateway.
fn described() -> BTreeMap<String, Option<String>> {
    let api = spec::api();
    let rows = ["business_error_codes", "gateway_errors"];
    let rows = rows.iter().flat_map(|list| api[*list].as_array().unwrap());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    rows.map(|row| (text(&row["code"]).unwrap(), text(&row["message"]))).collect()
}

/// The tests whose calls are refused, one after another on this thread.
fn play_refusals() {
    accounts::each_state_of_a_key_and_its_owner_has_its_code();
    accounts::a_temporary_key_is_good_with_its_token_and_for_its_hours();
    accounts::a_user_calls_only_what_it_may_read_or_write();
    accounts::a_call_names_an_instance_that_is_there_and_on();
    batches::each_refused_call_has_its_code_and_changes_nothing();
    batches::a_batch_that_is_not_done_says_so();
    batches::bad_names_are_told_in_lists_by_what_is_wrong_with_them();
    fleet::each_refused_call_has_its_code_and_changes_nothing();
    messages::each_refused_call_has_its_code_and_nobody_hears_it();
    refusals::play();
    rrpc::each_refused_call_has_its_code_and_nobody_hears_it();
    subscriptions::each_refused_call_has_its_code_and_changes_nothing();
    subscriptions::an_account_has_at_most_1000_consumer_groups();
    subscriptions::a_subscription_has_at_most_50_groups();
    topic_classes::each_refused_call_has_its_code_and_changes_nothing();
    a_nonce_is_used_once_also_over_a_restart();
    an_account_shares_its_quota_and_is_told_when_to_come_back();
    each_fault_of_a_request_has_its_code();
    a_broken_store_is_told_by_the_code_of_each_operation();
    a_server_without_its_store_is_unavailable();
}

/// The codes that refused calls get, by operation.
pub fn refused_by_operation() -> BTreeMap<String, BTreeSet<String>> {
    play_refusals();
    LEFT.take()
}

#[test]
fn every_listed_code_is_reached_by_a_call_or_cannot_arise_here() {
    play_refusals();
    a_defect_is_an_internal_error();
    let left: BTreeSet<_> = LEFT.take().into_values().flatten().collect();
    // `Missing{Name}` and `Invalid{Name}` stand for a code per parameter.
    let reached = |code: &str| match code {
        "Missing{ParameterName}" => left.contains("MissingProductKey"),
        "Invalid{ParameterName}" => left.contains("InvalidCurrentPage"),
        _ => left.contains(code),
    };
    let never: BTreeSet<_> = NEVER.iter().flat_map(|(_, codes)| *codes).copied().collect();
    let described = described();
    for code in described.keys() {
        assert_ne!(reached(code), never.contains(code.as_str()), "{code}");
    }
    for code in never.iter().copied().chain(refusal::ALL.iter().map(|code| code.code)) {
        assert!(described.contains_key(code), "{code} is not listed");
    }
    let count = described.keys().filter(|code| reached(code)).count();
    assert_eq!((count, never.len(), described.len()), (257, 87, 344));
}

#[test]
fn a_code_comes_with_its_documented_message() {
    let described = described();
    for code in refusal::ALL {
        if let Some(message) = &described[code.code] {
            assert_eq!(code.message, message, "{}", code.code);
        }
    }
}

type Fault = fn(&mut Signed);

fn headers(request: &mut Signed, name: &str, value: &str) {
    request.headers.push((name.to_owned(), value.to_owned()));
}

/// Replaces a text in the query and the form of a request.
fn replace(request: &mut Signed, from: &str, to: &str) {
    request.target = request.target.replace(from, to);
    let body = String::from_utf8(std::mem::take(&mut request.body)).unwrap();
    request.body = body.replace(from, to).into_bytes();
}

const SIGNATURE_1_0: &str = "SignatureMethod=HMAC-SHA1";

/// What is done to a good request of the older signature, and the status and code it gets.
const FAULTS: &[(Fault, u16, &str)] = &[
    (|request| request.method = "PUT", 400, "UnsupportedHTTPMethod"),
    (|request| headers(request, "content-md5", "AAAA"), 400, "ContentMD5NotMatched"),
    (|request| headers(request, "content-length", "1"), 400, "ContentLengthDoesNotMatch"),
    (|request| replace(request, "Format=JSON", "Format=YAML"), 400, "InvalidParameter.Format"),
    (|request| replace(request, "Action=", "Reaction="), 400, "MissingAction"),
    (|request| replace(request, "2018-01-20", "2018-01-21"), 400, "InvalidVersion"),
    (|request| replace(request, "QueryProductList", "Query"), 404, "InvalidAction.NotFound"),
    (|request| replace(request, "PageSize=", "CurrentPage="), 400, "InvalidCurrentPage"),
    (
        |request| replace(request, SIGNATURE_1_0, "SignatureMethod=MD5"),
        400,
        "InvalidSignatureMethod",
    ),
    (|request| replace(request, "Timestamp=2026", "Timestamp=now"), 400, "InvalidTimeStamp.Format"),
    (
        |request| replace(request, "Timestamp=2026", "Timestamp=2025"),
        400,
        "InvalidTimeStamp.Expired",
    ),
    (
        |request| replace(request, "AccessKeyId=id", "AccessKeyId=x"),
        404,
        "InvalidAccessKeyId.NotFound",
    ),
    (|request| replace(request, "PageSize=7", "PageSize=8"), 400, "SignatureDoesNotMatch"),
    (
        |request| {
            headers(request, "authorization", "ACS3-HMAC-SHA256 Credential=id");
            headers(request, "x-acs-action", "QueryProductList");
            headers(request, "x-acs-version", "2018-01-20");
        },
        400,
        "IncompleteSignature",
    ),
];

#[tokio::test(start_paused = true)]
async fn each_fault_of_a_request_has_its_code() {
    let world = World::with_quota("server_per_second = 1").await;
    let good = || {
        world.nonce.set(world.nonce.get() | 1);
        world.signed(("id", "secret"), "QueryProductList", "CurrentPage=1&PageSize=7", Format::Json)
    };
    for (fault, status, code) in FAULTS {
        let mut request = good();
        fault(&mut request);
        let answer = world.rpc.handle(request.incoming()).await;
        let said = [format!("\"Code\":\"{code}\""), format!("<Code>{code}</Code>")];
        assert!(said.iter().any(|text| answer.body.contains(text)), "{code}: {}", answer.body);
        assert_eq!(answer.status, *status, "{code}");
    }
    // None of them was counted.
    assert_eq!(world.rpc.handle(good().incoming()).await.status, 200);
    let throttled = world.rpc.handle(good().incoming()).await;
    assert!(throttled.body.contains("Throttling.Api"), "{}", throttled.body);
}

/// Takes all tables away but those that let a caller in.
fn break_store(world: &World) {
    let db = rusqlite::Connection::open(world.folder.path().join("otaru.db")).unwrap();
    let mut tables = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        .unwrap();
    let names: Vec<String> =
        tables.query_map((), |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    drop(tables);
    db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for name in names {
        if !["account", "access_key", "user", "nonce", "instance"].contains(&name.as_str()) {
            db.execute_batch(&format!("DROP TABLE \"{name}\"")).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_store_is_told_by_the_code_of_each_operation() {
    let walk = Walk::new().await;
    scene::play(&walk).await;
    break_store(&walk.world);
    let calls = walk.calls.take();
    for op in op::all() {
        let (status, code) = walk.world.refused(op.action, &calls[op.action]).await;
        assert_eq!((status, &*code), (200, op.failure.code), "{}", op.action);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_its_store_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let (app, rpc, run) =
        super::parts(&folder, &Clock::simulated(START), "", Limits::default()).await;
    run.abort();
    tokio::task::yield_now().await;
    let (nonce, clock) = (Cell::new(0), Clock::simulated(START));
    let world = World { rpc, app, clock, nonce, folder };
    let (status, code) = world.refused("QueryProduct", "ProductKey=a1").await;
    assert_eq!((status, &*code), (503, "ServiceUnavailable"));
}

#[tokio::test]
async fn a_defect_is_an_internal_error() {
    let outcome = super::super::guarded(async { panic!("a defect") }).await;
    let Err(super::super::Failure::Gateway(error)) = outcome else { panic!("no error") };
    let answer = Answer::error(Format::Json, error, "R".into(), HOST);
    note("", &answer);
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("\"Code\":\"InternalError\""), "{}", answer.body);
}
