//! Operations that register many devices at once.

use otaru_core::apply::{ApplyName, ApplyStatus};
use otaru_core::device::Device;
use otaru_core::id::ApplyNo;
use otaru_core::refusal::{self, Refusal};

use super::error::refused;
use super::op::{Context, Op, op};
use super::request::request;
use super::tree::{FieldRow, Fields, ReplyObject, reply};
use super::wire::{Paging, unless_empty};
use crate::app::{self, BATCH_MAX, BadName, NameFault};

pub(super) const OPS: &[Op] = &[
    op!("BatchRegisterDevice", Device, 10, register: BatchRegisterDevice => Applied, REGISTER_BATCH_FAILED),
    op!("BatchCheckDeviceNames", Device, 10, check: BatchCheckDeviceNames => CheckOutcome, REGISTER_BATCH_FAILED),
    op!(
        "BatchRegisterDeviceWithApplyId", Device, 500,
        register_checked: RegisterChecked => Applied, REGISTER_BATCH_FAILED
    ),
    op!(
        "QueryBatchRegisterDeviceStatus", Device, 30,
        status: QueryBatchStatus => BatchStatus, SYSTEM_EXCEPTION
    ),
    op!("QueryPageByApplyId", Device, 50, page: QueryPageByApplyId => BatchPage, SYSTEM_EXCEPTION),
];

request! {
    pub struct BatchRegisterDevice {
        count: i32 = "Count",
        product_key: String = "ProductKey",
    }

    pub struct BatchCheckDeviceNames {
        product_key: String = "ProductKey",
        names: Vec<String> = "DeviceName",
        named: Vec<NamedDevice> = "DeviceNameList",
    }

    pub item NamedDevice {
        name: Option<String> = "DeviceName",
        nickname: Option<String> = "DeviceNickname",
    }

    pub struct RegisterChecked {
        apply_id: i64 = "ApplyId",
        product_key: String = "ProductKey",
    }

    pub struct QueryBatchStatus {
        apply_id: i64 = "ApplyId",
        product_key: String = "ProductKey",
    }

    pub struct QueryPageByApplyId {
        apply_id: i64 = "ApplyId",
        current_page: Option<i32> = "CurrentPage",
        page_size: Option<i32> = "PageSize",
    }
}

reply! {
    pub struct Applied {
        data: AppliedData = "Data",
    }

    pub struct AppliedData {
        apply_id: i64 = "ApplyId",
    }

    pub struct Checked {
        data: CheckedData = "Data",
    }

    pub struct CheckedData {
        /// Absent when a name is bad.
        apply_id: Option<i64> = "ApplyId",
        details: Vec<BadNameRow> = "InvalidDetailList" list "InvalidDetailList",
        malformed: Vec<String> = "InvalidDeviceNameList" list "InvalidDeviceName",
        nicknames: Vec<String> = "InvalidDeviceNicknameList" list "InvalidDeviceNickname",
        /// Spelt so on the wire.
        repeated: Vec<String> = "RepeatedDeviceNameList" list "RepeatDevieNameList",
    }

    pub struct BadNameRow {
        name: String = "DeviceName",
        why: String = "ErrorMsg",
        nickname: Option<String> = "NickName",
    }

    pub struct BatchStatus {
        data: BatchStatusData = "Data",
    }

    pub struct BatchStatusData {
        /// The inner name begins with a small letter on the wire.
        details: Vec<BadNameRow> = "InvalidDetailList" list "invalidDetailList",
        invalid: Vec<String> = "InvalidList" list "Name",
        status: String = "Status",
        valid: Vec<String> = "ValidList" list "Name",
    }

    pub struct BatchPage {
        rows: Vec<BatchDevice> = "ApplyDeviceList" listing "ApplyDeviceInfo",
        page: i32 = "Page",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct BatchDevice {
        device_id: String = "DeviceId",
        device_name: String = "DeviceName",
        device_secret: String = "DeviceSecret",
        iot_id: String = "IotId",
    }
}

fn applied(no: ApplyNo) -> Applied {
    Applied { data: AppliedData { apply_id: no.0 } }
}

async fn register(context: Context<'_>, request: BatchRegisterDevice) -> app::Result<Applied> {
    let count = match u32::try_from(request.count) {
        Ok(1..) if request.count.unsigned_abs() > BATCH_MAX => {
            let detail = format!("{}, at most {BATCH_MAX}", request.count);
            return Err(refusal::TOO_MANY_IN_BATCH.with(detail).into());
        }
        Ok(count @ 1..) => count,
        _ => {
            return Err(refusal::INVALID_PARAMETER.with(format!("Count {}", request.count)).into());
        }
    };
    let no = context.app.register_batch(context.caller, request.product_key, count).await?;
    Ok(applied(no))
}

/// Names that are kept to be registered, or those that are bad.
#[derive(Debug, Clone)]
pub struct CheckOutcome(Result<ApplyNo, Vec<BadName>>);

impl ReplyObject for CheckOutcome {
    const FIELDS: &'static [FieldRow] = Checked::FIELDS;

    fn into_fields(self) -> Fields {
        let bad = match self.0 {
            Ok(no) => {
                let apply_id = Some(no.0);
                let (details, malformed, nicknames, repeated) = Default::default();
                let data = CheckedData { apply_id, details, malformed, nicknames, repeated };
                return Checked { data }.into_fields();
            }
            Err(bad) => bad,
        };
        let is_nickname = bad.iter().all(|bad| bad.why == NameFault::Nickname);
        let code = if is_nickname { refusal::BAD_NICKNAMES } else { refusal::BAD_DEVICE_NAMES };
        let data = CheckedData {
            apply_id: None,
            malformed: texts(&bad, &[NameFault::Malformed], |bad| &bad.name),
            nicknames: texts(&bad, &[NameFault::Nickname], |bad| &bad.nickname),
            repeated: texts(&bad, &[NameFault::Twice, NameFault::Taken], |bad| &bad.name),
            details: bad.into_iter().map(bad_row).collect(),
        };
        let mut fields = refused(&code.into());
        fields.extend(Checked { data }.into_fields());
        fields
    }
}

fn texts(bad: &[BadName], faults: &[NameFault], text: fn(&BadName) -> &String) -> Vec<String> {
    bad.iter().filter(|bad| faults.contains(&bad.why)).map(text).cloned().collect()
}

fn bad_row(bad: BadName) -> BadNameRow {
    let BadName { name, nickname, why } = bad;
    BadNameRow { name, why: why.sentence().to_owned(), nickname: unless_empty(nickname) }
}

async fn check(context: Context<'_>, request: BatchCheckDeviceNames) -> app::Result<CheckOutcome> {
    let BatchCheckDeviceNames { product_key, names, named } = request;
    match (names.is_empty(), named.is_empty()) {
        (true, true) => return Err(refusal::NO_DEVICE_NAMES.into()),
        (false, false) => {
            return Err(refusal::INVALID_PARAMETER.with("DeviceName, DeviceNameList").into());
        }
        _ => {}
    }
    let plain = names.into_iter().map(|name| (name, String::new()));
    let with_nickname = named.into_iter().map(|NamedDevice { name, nickname }| {
        (name.unwrap_or_default(), nickname.unwrap_or_default())
    });
    let names: Vec<_> = plain.chain(with_nickname).collect();
    if names.len() > BATCH_MAX as usize {
        let detail = format!("{} names, at most {BATCH_MAX}", names.len());
        return Err(refusal::TOO_MANY_DEVICE_NAMES.with(detail).into());
    }
    Ok(CheckOutcome(context.app.check_names(context.caller, product_key, names).await?))
}

fn apply_no(id: i64) -> Result<ApplyNo, Refusal> {
    if id > 0 { Ok(ApplyNo(id)) } else { Err(refusal::INVALID_APPLY_ID.with(id)) }
}

async fn register_checked(context: Context<'_>, request: RegisterChecked) -> app::Result<Applied> {
    let no = apply_no(request.apply_id)?;
    context.app.register_checked(context.caller, request.product_key, no).await?;
    Ok(applied(no))
}

async fn status(context: Context<'_>, request: QueryBatchStatus) -> app::Result<BatchStatus> {
    let no = apply_no(request.apply_id)?;
    let (batch, names) = context.app.batch(context.caller, request.product_key, no).await?;
    let (bad, good): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.fault.is_some());
    let text = |name: &ApplyName| name.name.to_string();
    // What was checked is not registered yet, whatever became of an earlier check.
    let is_made = |name: &&ApplyName| name.device.is_some();
    let valid = match batch.status {
        ApplyStatus::Check | ApplyStatus::CheckSuccess | ApplyStatus::CheckFailed => {
            good.iter().map(text).collect()
        }
        ApplyStatus::Create | ApplyStatus::CreateSuccess | ApplyStatus::CreateFailed => {
            good.iter().filter(is_made).map(text).collect()
        }
    };
    let data = BatchStatusData {
        invalid: bad.iter().map(text).collect(),
        details: bad.into_iter().filter_map(fault_row).collect(),
        status: batch.status.as_wire().to_owned(),
        valid,
    };
    Ok(BatchStatus { data })
}

fn fault_row(name: ApplyName) -> Option<BadNameRow> {
    let ApplyName { name, nickname, fault, .. } = name;
    let why = fault?.sentence().to_owned();
    Some(BadNameRow { name: name.to_string(), why, nickname: unless_empty(nickname) })
}

async fn page(context: Context<'_>, request: QueryPageByApplyId) -> app::Result<BatchPage> {
    let paging =
        Paging::check(request.current_page.unwrap_or(1), request.page_size.unwrap_or(10), 50)?;
    let no = apply_no(request.apply_id)?;
    let devices = context.app.devices_of_batch(context.caller, no, paging.rows()).await?;
    let numbers = paging.of(devices.total);
    Ok(BatchPage {
        rows: devices.rows.into_iter().map(row).collect(),
        page: numbers.current,
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    })
}

fn row(device: Device) -> BatchDevice {
    let Device { name, iot_id, secret, .. } = device;
    BatchDevice {
        device_id: iot_id.to_string(),
        device_name: name.to_string(),
        device_secret: secret,
        iot_id: iot_id.to_string(),
    }
}
