//! What every engine does, whichever it is. Its tests call [`holds_for`] with a way to open a new, empty store.

mod account;
mod apply;
mod file;
mod fleet;
mod group;
mod housekeeping;
mod job;
mod known;
mod module;
mod package;
mod registry;
mod retained;
mod session;
mod shadow;
mod subscription;
mod tag;
mod task;
mod topic_class;
mod topology;
mod transaction;

use super::*;
use otaru_core::job::{
    DynamicMode, Fill, GrayPercent, JobKind, JobStatus, Selection, StoredBucket, Sweep,
};
use otaru_core::package::{Blob, PackageFile, SignMethod};
use otaru_core::policy::{DownloadProtocol, OverwriteMode, Policy, Retry, Tag};
use otaru_core::product::ProductProfile;
use otaru_core::registration::Registration;
use otaru_core::task::{CancelCause, Reason, TaskStatus};

#[cfg(test)]
pub use known::{Known, holds_for as known_rows_are_those_of_the_tables, known};

/// Some rows of most kinds.
pub fn furnish(engine: &mut dyn Engine) {
    let world = world(engine, 25);
    let job = add_job(engine, &new_job(&world.package, 1));
    let device = world.devices[3];
    change(engine, |rows| {
        for (n, device) in (0..).zip(&world.devices) {
            rows.insert_task(&new_task(job, *device, n))?;
            rows.put_version(*device, &module("mcu"), &version("1.1"), at(7))?;
        }
        let user = User {
            no: otaru_core::id::UserNo(0),
            account: world.account,
            name: "a\0b \u{FDD0} \"".into(),
            may: Permissions { read: true, write: false, all_products: true },
            disabled: false,
            created_at: at(1),
        };
        rows.insert_user(&user)?;
        rows.put_session(device, 60, None)?;
        let message = crate::mqtt::Message {
            topic: "/a/b".into(),
            payload: vec![0, 1, 254, 255].into(),
            qos: otaru_mqtt::packet::Qos::AtLeastOnce,
            beside: None,
        };
        rows.keep_message(device, &message, at(9))?;
        // A number that is never given again.
        let last = rows.device(world.devices[24])?.unwrap();
        rows.delete_device(world.account, &last)
    });
}

pub fn holds_for<E: Engine>(open: impl Fn() -> E) {
    account::accounts_and_keys_come_back(&mut open());
    account::temporary_keys_are_purged_some_time_after_their_end(&mut open());
    account::users_come_back_with_what_they_may_touch(&mut open());
    account::instances_are_numbered(&mut open());
    account::packages_are_listed_by_instance_and_for_users(&mut open());
    housekeeping::holds_for(&open);
    registry::holds_for(&open);
    package::holds_for(&open);
    job::holds_for(&open);
    task::holds_for(&open);
    known::holds_for(&open);
    transaction::holds_for(&open);
    subscription::holds_for(&open);
    module::holds_for(&open);
    group::groups_come_back_and_are_counted(&mut open());
    group::groups_are_listed_by_kind_parent_and_name(&mut open());
    group::members_enter_leave_and_are_walked(&mut open());
    group::jobs_are_found_by_the_group_they_watch_or_are_made_of(&mut open());
    tag::devices_are_found_by_all_of_their_tags(&mut open());
    tag::products_are_found_by_key_or_tag(&mut open());
    topic_class::classes_come_back_in_the_order_of_their_numbers(&mut open());
    topology::a_sub_device_has_one_gateway_until_either_is_deleted(&mut open());
    fleet::holds_for(&open);
    file::files_of_a_device_come_back_and_go_with_it(&mut open());
    apply::holds_for(&open);
    retained::retained_messages_come_back_and_go_with_their_owner(&mut open());
    shadow::a_shadow_comes_back_as_it_was_kept_and_goes_with_its_device(&mut open());
    session::holds_for(&open);
}

fn change<T>(engine: &mut dyn Engine, mut work: impl FnMut(&mut dyn Rows) -> Result<T>) -> T {
    let mut value = None;
    engine
        .transact(&mut |rows| {
            value = Some(work(rows)?);
            Ok(())
        })
        .unwrap();
    value.unwrap()
}

fn look<T>(engine: &mut dyn Engine, mut work: impl FnMut(&mut dyn View) -> Result<T>) -> T {
    let mut value = None;
    engine
        .view(&mut |view| {
            value = Some(work(view)?);
            Ok(())
        })
        .unwrap();
    value.unwrap()
}

const ALL: Page = Page { skip: 0, take: 1_000 };

fn at(ms: i64) -> Timestamp {
    Timestamp(ms)
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn module(text: &str) -> ModuleName {
    ModuleName::parse(text).unwrap()
}

fn blob(n: u64) -> Blob {
    Blob { size_bytes: n, md5: format!("md5-{n}"), sha256: format!("sha256-{n}") }
}

fn new_product(account: AccountNo, n: u128) -> Product {
    Product {
        no: ProductNo(0),
        account,
        instance: InstanceNo(0),
        key: ProductKey::generate(n),
        secret: format!("secret-{n}"),
        name: format!("product-{n}"),
        profile: ProductProfile {
            node_type: 1,
            commodity_code: "iothub_senior".into(),
            auth_type: "secret".into(),
            data_format: Some(0),
            category_key: "Lighting".into(),
            description: "lamps".into(),
            protocol_type: "modbus".into(),
            net_type: 3,
            validate_type: 1,
        },
        created_at: at(1_000),
        registration: Registration::Off,
        deleted_at: None,
    }
}

fn new_device(product: ProductNo, n: u128) -> Device {
    Device {
        no: DeviceNo(0),
        product,
        name: format!("device-{n}").parse().unwrap(),
        iot_id: IotId::generate(u128::from(product.0.unsigned_abs()) << 64 | n),
        secret: format!("secret-{n}"),
        nickname: "灯具".into(),
        disabled: false,
        created_at: at(2_000),
        activated_at: None,
        online_at: None,
        address: String::new(),
        status_at: at(2_000),
    }
}

fn new_package(account: AccountNo, product: ProductNo, n: u64) -> Package {
    Package {
        no: PackageNo(0),
        account,
        product,
        id: FirmwareId::generate(u128::from(n)),
        name: format!("package-{n}"),
        description: "fixes".into(),
        dest: version(&format!("2.{n}")),
        src: None,
        is_delta: false,
        module: ModuleName::default(),
        sign_method: SignMethod::Sha256,
        is_list: false,
        files: vec![PackageFile {
            name: String::new(),
            upload_key: format!("ota/{n}.bin"),
            blob: blob(n),
        }],
        udi: String::new(),
        status: PackageStatus::Unverified,
        verify_percent: 0,
        created_at: at(3_000),
        modified_at: at(3_000),
    }
}

fn new_job(package: &Package, n: u128) -> Job {
    Job {
        no: JobNo(0),
        account: package.account,
        product: package.product,
        package: package.no,
        id: JobId::generate(n),
        kind: JobKind::Upgrade,
        selection: Selection::All,
        group: None,
        src_versions: Vec::new(),
        policy: Policy::default(),
        status: JobStatus::InProgress,
        created_at: at(4_000),
        modified_at: at(4_000),
        started_at: Some(at(4_000)),
        ended_at: None,
        schedule_at: None,
        finish_at: None,
        finish_played: false,
        list: None,
        fill: None,
        sweep: None,
        bucket: None,
    }
}

fn new_task(job: JobNo, device: DeviceNo, n: u128) -> Task {
    Task {
        no: TaskNo(0),
        job,
        device,
        status: TaskStatus::Queued,
        progress: 0,
        failed_tries: 0,
        told: false,
        retry_at: None,
        timeout_at: None,
        reason: Reason::None,
        modified_at: at(5_000),
        id: otaru_core::id::TaskId::generate(n),
        src: Some(version("1.0")),
        description: String::new(),
        timeout_minutes: None,
        created_at: at(5_000),
        ended_at: None,
    }
}

/// An account with a product, some devices and a package.
struct World {
    account: AccountNo,
    product: ProductNo,
    devices: Vec<DeviceNo>,
    package: Rc<Package>,
}

fn world(engine: &mut dyn Engine, devices: u128) -> World {
    change(engine, |rows| {
        let account = rows.insert_account("main", at(0))?;
        let product = rows.insert_product(&new_product(account, 1))?;
        let devices = (0..devices)
            .map(|n| rows.insert_device(account, &new_device(product, n)))
            .collect::<Result<Vec<_>>>()?;
        let package = rows.insert_package(&new_package(account, product, 1))?;
        let package = rows.package(package)?.unwrap();
        Ok(World { account, product, devices, package })
    })
}

fn add_job(engine: &mut dyn Engine, job: &Job) -> JobNo {
    change(engine, |rows| rows.insert_job(job))
}
