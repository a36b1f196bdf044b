//! What every engine does, whichever it is. Its tests call [`holds_for`] with a way to open a new, empty store.

mod apply;
mod file;
mod fleet;
mod group;
mod module;
mod retained;
mod session;
mod shadow;
mod subscription;
mod tag;
mod topic_class;
mod topology;

use super::*;
use otaru_core::job::{
    DynamicMode, Fill, GrayPercent, JobKind, JobStatus, Selection, StoredBucket, Sweep,
};
use otaru_core::package::{Blob, PackageFile, SignMethod};
use otaru_core::policy::{DownloadProtocol, OverwriteMode, Policy, Retry, Tag};
use otaru_core::product::ProductProfile;
use otaru_core::registration::Registration;
use otaru_core::task::{CancelCause, Reason, TaskStatus};

mod account;

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
    nonces_and_unused_uploads_are_purged_oldest_first(&mut open());
    uploads_come_back(&mut open());
    products_come_back_and_names_are_taken_per_instance(&mut open());
    devices_come_back_and_are_counted(&mut open());
    devices_are_listed_newest_first_and_walked_in_order(&mut open());
    packages_come_back(&mut open());
    a_deleted_package_is_found_by_number_only(&mut open());
    packages_are_listed_by_filter_with_their_total(&mut open());
    a_version_is_taken_within_product_module_and_kind(&mut open());
    jobs_come_back_whatever_they_are(&mut open());
    jobs_are_found_by_package_device_and_deadline(&mut open());
    a_package_is_busy_while_a_job_or_a_task_is(&mut open());
    tasks_come_back_and_each_change_is_kept(&mut open());
    tasks_are_found_by_device_job_status_and_deadline(&mut open());
    counts_equal_the_tasks_after_any_changes(&mut open());
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
    a_failed_transaction_leaves_nothing(&mut open());
    a_transaction_sees_its_own_writes(&mut open());
    a_failed_change_takes_no_other_with_it(open());
    a_reader_sees_what_was_committed(&mut open());
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

fn nonces_and_unused_uploads_are_purged_oldest_first(engine: &mut dyn Engine) {
    let nonce =
        |n: i64| Nonce { access_key: "k".into(), nonce: format!("n{n}"), expires_at: at(n) };
    let upload = |n: i64, used, stored: bool| Upload {
        key: format!("ota/{n}.bin"),
        account: AccountNo(1),
        kind: UploadKind::Package,
        issued_at: at(n),
        stored: stored.then(|| StoredUpload { blob: blob(n.unsigned_abs()), at: at(n + 1) }),
        used,
    };
    change(engine, |rows| {
        rows.insert_nonces(&[nonce(30), nonce(10), nonce(20)])?;
        rows.insert_upload(&upload(1, true, true))?;
        rows.insert_upload(&upload(2, false, true))?;
        rows.insert_upload(&upload(3, false, false))?;
        rows.insert_upload(&upload(4, false, true))?;
        rows.insert_upload(&upload(9, false, true))
    });
    assert_eq!(look(engine, |view| view.nonces(at(10))), [nonce(20), nonce(30)]);
    let digests = change(engine, |rows| rows.purge(at(20), at(9), 2));
    assert_eq!(digests, [blob(2).sha256]);
    assert_eq!(look(engine, |view| view.nonces(at(0))), [nonce(30)]);
    let digests = change(engine, |rows| rows.purge(at(20), at(9), 2));
    assert_eq!(digests, [blob(4).sha256]);
    let left = [1, 2, 3, 4, 9]
        .map(|n| look(engine, |view| view.upload(&format!("ota/{n}.bin"))).is_some());
    assert_eq!(left, [true, false, false, false, true]);
    assert!(
        look(engine, |view| view.blob_is_used(&blob(9).sha256)),
        "a call may still use the upload"
    );
    // A nonce whose time is over may come again.
    let again = Nonce { expires_at: at(90), ..nonce(30) };
    change(engine, |rows| rows.insert_nonces(std::slice::from_ref(&again)));
    assert_eq!(look(engine, |view| view.nonces(at(0))), [again]);
}

fn uploads_come_back(engine: &mut dyn Engine) {
    for kind in [UploadKind::Package, UploadKind::DeviceList, UploadKind::DeviceJob] {
        let mut upload = Upload {
            key: format!("ota/{kind:?}"),
            account: AccountNo(7),
            kind,
            issued_at: at(1),
            stored: None,
            used: false,
        };
        change(engine, |rows| rows.insert_upload(&upload));
        assert_eq!(look(engine, |view| view.upload(&upload.key)).as_ref(), Some(&upload));
        upload.stored = Some(StoredUpload { blob: blob(5), at: at(2) });
        upload.used = true;
        change(engine, |rows| rows.update_upload(&upload));
        assert_eq!(look(engine, |view| view.upload(&upload.key)), Some(upload));
    }
}

fn products_come_back_and_names_are_taken_per_instance(engine: &mut dyn Engine) {
    let (mine, other) = change(engine, |rows| {
        Ok((rows.insert_account("a", at(0))?, rows.insert_account("b", at(0))?))
    });
    let mut product = new_product(mine, 1);
    product.no = change(engine, |rows| rows.insert_product(&product));
    let mut bare = Product { profile: ProductProfile::default(), ..new_product(mine, 2) };
    bare.no = change(engine, |rows| rows.insert_product(&bare));
    for product in [product.clone(), bare] {
        assert_eq!(look(engine, |view| view.product(product.no)).as_deref(), Some(&product));
        assert_eq!(
            look(engine, |view| view.product_by_key(&product.key)).as_deref(),
            Some(&product)
        );
    }
    look(engine, |view| {
        assert_eq!(view.product_by_key(&ProductKey::generate(9))?, None);
        assert_eq!(view.product(ProductNo(99))?, None);
        let (first, second) = (InstanceNo(0), InstanceNo(1));
        assert!(view.product_name_exists(mine, first, "product-1")?);
        assert!(!view.product_name_exists(mine, second, "product-1")?);
        assert!(!view.product_name_exists(other, first, "product-1")?);
        let counts = [(mine, first), (mine, second), (other, first)]
            .map(|(account, instance)| view.product_count(account, instance));
        assert_eq!(counts.map(|count| count.unwrap()), [2, 0, 0]);
        let default = view.module(product.no, &module("DEFAULT"))?.unwrap();
        assert_eq!(default.name.as_str(), "default");
        assert_eq!(view.module(product.no, &module("mcu"))?, None);
        Ok(())
    });
}

fn devices_come_back_and_are_counted(engine: &mut dyn Engine) {
    let world = world(engine, 2);
    let mut device = new_device(world.product, 7);
    device.no = change(engine, |rows| rows.insert_device(world.account, &device));
    let mut odd = Device {
        disabled: true,
        activated_at: Some(at(5)),
        online_at: Some(at(6)),
        address: "10.0.0.1".into(),
        ..new_device(world.product, 8)
    };
    odd.no = change(engine, |rows| rows.insert_device(world.account, &odd));
    for device in [&device, &odd] {
        assert_eq!(look(engine, |view| view.device(device.no)).as_ref(), Some(device));
        assert_eq!(
            look(engine, |view| view.device_by_name(world.product, &device.name)).as_ref(),
            Some(device)
        );
        assert_eq!(
            look(engine, |view| view.device_by_iot_id(&device.iot_id)).as_ref(),
            Some(device)
        );
    }
    look(engine, |view| {
        assert_eq!(view.device_by_name(ProductNo(99), &device.name)?, None);
        assert_eq!(
            (view.device_count(world.product)?, view.account_device_count(world.account)?),
            (4, 4)
        );
        assert_eq!(
            (view.device_count(ProductNo(99))?, view.account_device_count(AccountNo(99))?),
            (0, 0)
        );
        assert_eq!(view.last_device()?, odd.no);
        Ok(())
    });
    change(engine, |rows| rows.note_online(device.no, at(10), "10.0.0.2"));
    change(engine, |rows| rows.note_online(device.no, at(20), "10.0.0.3"));
    (device.activated_at, device.online_at, device.address) =
        (Some(at(10)), Some(at(20)), "10.0.0.3".into());
    device.status_at = at(20);
    assert_eq!(look(engine, |view| view.device(device.no)), Some(device));
}

fn devices_are_listed_newest_first_and_walked_in_order(engine: &mut dyn Engine) {
    assert_eq!(look(engine, |view| view.last_device()), DeviceNo(0));
    let world = world(engine, 5);
    let other = change(engine, |rows| rows.insert_product(&new_product(world.account, 2)));
    change(engine, |rows| rows.insert_device(world.account, &new_device(other, 1)));
    let d = &world.devices;
    let numbers =
        |devices: Vec<Device>| devices.into_iter().map(|device| device.no).collect::<Vec<_>>();
    let mcu = module("MCU");
    change(engine, |rows| {
        rows.put_version(d[1], &mcu, &version("1.0"), at(1))?;
        rows.put_version(d[1], &module("mcu"), &Version::reported("app 1 (β)").unwrap(), at(2))?;
        rows.put_version(d[2], &ModuleName::default(), &version("9"), at(2))
    });
    look(engine, |view| {
        assert_eq!(numbers(view.devices(world.product, Page::new(1, 2))?), [d[4], d[3]]);
        assert_eq!(numbers(view.devices(world.product, Page::new(3, 2))?), [d[0]]);
        assert_eq!(numbers(view.devices(world.product, Page::new(4, 2))?), []);
        assert_eq!(numbers(view.devices_before(world.product, d[3], 2)?), [d[2], d[1]]);
        let beta = Version::reported("app 1 (β)");
        assert_eq!(view.version(d[1], &mcu)?, beta);
        assert_eq!(view.version(d[2], &mcu)?, None);
        assert_eq!(view.versions(d[1])?, [("mcu".to_owned(), "app 1 (β)".to_owned())]);
        let walked = view.device_versions(world.product, &mcu, d[0], d[3], 9)?;
        assert_eq!(walked, [(d[1], beta), (d[2], None), (d[3], None)]);
        assert_eq!(
            view.device_versions(world.product, &mcu, DeviceNo(0), d[4], 1)?,
            [(d[0], None)]
        );
        Ok(())
    });
}

fn packages_come_back(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let file = |n: u64| PackageFile {
        name: format!("f{n}"),
        upload_key: format!("ota/x{n}.bin"),
        blob: blob(100 + n),
    };
    let mut package = Package {
        src: Some(version("1.0")),
        is_delta: true,
        module: module("MCU"),
        sign_method: SignMethod::Md5,
        is_list: true,
        files: vec![file(2), file(1)],
        udi: "free text".into(),
        ..new_package(world.account, world.product, 2)
    };
    package.no = change(engine, |rows| rows.insert_package(&package));
    for (status, percent) in PackageStatus::ALL.into_iter().zip(0..) {
        change(engine, |rows| {
            rows.set_package_status(package.no, status, percent, at(i64::from(percent)))
        });
        package.status = status;
        (package.verify_percent, package.modified_at) = (percent, at(i64::from(percent)));
        let (by_no, by_id) =
            look(engine, |view| Ok((view.package(package.no)?, view.package_by_id(&package.id)?)));
        let spelt = by_no.as_ref().map(|package| package.module.as_str().to_owned());
        assert_eq!((by_no.as_deref(), by_id.as_deref()), (Some(&package), Some(&package)));
        assert_eq!(spelt.as_deref(), Some("MCU"));
    }
    package.name = "renamed".into();
    (package.description, package.udi) = (String::new(), "{}".into());
    package.modified_at = at(99);
    change(engine, |rows| rows.update_package(&package));
    assert_eq!(look(engine, |view| view.package(package.no)).as_deref(), Some(&package));
}

fn a_deleted_package_is_found_by_number_only(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let package = &world.package;
    let seen = |engine: &mut dyn Engine| {
        look(engine, |view| {
            let filter = PackageFilter {
                account: world.account,
                instance: InstanceNo(0),
                listed_for: None,
                product: None,
                dest: None,
            };
            Ok([
                view.package_by_id(&package.id)?.is_some(),
                view.package_name_exists(world.account, &package.name)?,
                view.package_version_exists(
                    world.product,
                    &package.module,
                    false,
                    None,
                    &package.dest,
                )?,
                view.package_count(world.account)? == 1,
                view.packages(&filter, ALL)?.total == 1,
                view.blob_is_used(&package.files[0].blob.sha256)?,
            ])
        })
    };
    assert_eq!(seen(engine), [true; 6]);
    change(engine, |rows| rows.delete_package(package.no, at(9)));
    assert_eq!(seen(engine), [false; 6]);
    assert!(look(engine, |view| view.package(package.no)).is_some());
}

fn packages_are_listed_by_filter_with_their_total(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let (other_account, other_product, foreign_product) = change(engine, |rows| {
        let other = rows.insert_account("other", at(0))?;
        let mine = rows.insert_product(&new_product(world.account, 2))?;
        Ok((other, mine, rows.insert_product(&new_product(other, 3))?))
    });
    let add = |engine: &mut dyn Engine, account, product, n, dest: &str| {
        let package = Package { dest: version(dest), ..new_package(account, product, n) };
        change(engine, |rows| rows.insert_package(&package))
    };
    let first = world.package.no;
    let second = add(engine, world.account, other_product, 2, "2.1");
    let third = add(engine, world.account, world.product, 3, "3.0");
    add(engine, other_account, foreign_product, 4, "3.0");
    let listed = |engine: &mut dyn Engine, product, dest: Option<&str>, page| {
        let filter = PackageFilter {
            account: world.account,
            instance: InstanceNo(0),
            listed_for: None,
            product,
            dest: dest.map(version),
        };
        let listed = look(engine, |view| view.packages(&filter, page));
        (listed.rows.iter().map(|package| package.no).collect::<Vec<_>>(), listed.total)
    };
    assert_eq!(listed(engine, None, None, ALL), (vec![third, second, first], 3));
    assert_eq!(listed(engine, None, None, Page::new(2, 2)), (vec![first], 3));
    assert_eq!(listed(engine, Some(world.product), None, ALL), (vec![third, first], 2));
    assert_eq!(listed(engine, None, Some("2.1"), ALL), (vec![second, first], 2));
    assert_eq!(listed(engine, Some(world.product), Some("2.1"), ALL), (vec![first], 1));
    assert_eq!(listed(engine, Some(ProductNo(77)), None, ALL), (vec![], 0));
}

fn a_version_is_taken_within_product_module_and_kind(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let delta = Package {
        is_delta: true,
        src: Some(version("1.0")),
        module: module("MCU"),
        ..new_package(world.account, world.product, 9)
    };
    change(engine, |rows| rows.insert_package(&delta));
    let exists = |engine: &mut dyn Engine, name: &str, is_delta, src: Option<&str>, dest: &str| {
        let src = src.map(version);
        let (name, dest) = (module(name), version(dest));
        look(engine, |view| {
            view.package_version_exists(world.product, &name, is_delta, src.as_ref(), &dest)
        })
    };
    assert!(exists(engine, "default", false, None, "2.1"));
    assert!(
        exists(engine, "default", false, Some("0.9"), "2.1"),
        "a full package is one, whatever it starts from"
    );
    assert!(!exists(engine, "default", true, Some("1.0"), "2.1"));
    assert!(!exists(engine, "default", false, None, "2.2"));
    assert!(!exists(engine, "mcu", false, None, "2.1"));
    assert!(exists(engine, "mcu", true, Some("1.0"), "2.9"));
    assert!(!exists(engine, "mcu", true, Some("1.1"), "2.9"));
    assert!(!exists(engine, "mcu", false, Some("1.0"), "2.9"));
}

fn jobs_come_back_whatever_they_are(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let policy = Policy {
        need_push: false,
        need_confirm: true,
        retry: Some(Retry { interval_minutes: 10, count: 5 }),
        timeout_minutes: Some(60),
        overwrite: OverwriteMode::Replace,
        multi_module: true,
        max_per_minute: None,
        download: DownloadProtocol::Mqtt,
        tags: vec![
            Tag { key: "b".into(), value: "\"灯\"".into() },
            Tag { key: "a".into(), value: String::new() },
        ],
    };
    let selections = [
        Selection::All,
        Selection::Specific,
        Selection::Gray(GrayPercent::from_thousandths(33_333)),
        Selection::Dynamic(DynamicMode::CurrentAndLater),
        Selection::Dynamic(DynamicMode::NewReports),
        Selection::Group,
    ];
    for (n, selection) in (0..).zip(selections) {
        let mut job = Job { selection, ..new_job(&world.package, n) };
        if n > 0 {
            job.kind = JobKind::Verify;
            job.policy = policy.clone();
            job.src_versions = vec![version("1.1"), version("1.0")];
        }
        job.no = add_job(engine, &job);
        assert_eq!(look(engine, |view| view.job(job.no)).as_deref(), Some(&job));
        let causes = [CancelCause::User, CancelCause::ScheduleFinished, CancelCause::DeviceDeleted];
        for (status, cause) in
            JobStatus::ALL.into_iter().zip(causes.into_iter().chain([CancelCause::ProductDeleted]))
        {
            job.status = status;
            job.modified_at = at(101);
            (job.started_at, job.ended_at) = (Some(at(102)), Some(at(103)));
            (job.schedule_at, job.finish_at) = (Some(at(104)), Some(at(105)));
            job.fill = Some(Fill { after: 1, until: 2, rank_max: Some(u64::MAX) });
            job.sweep = Some(Sweep { cancels: StatusSet::PENDING, cause, at: at(106), after: 3 });
            job.bucket = Some(StoredBucket { parts: u64::MAX - 1, at: at(107) });
            change(engine, |rows| rows.update_job(&job));
            assert_eq!(look(engine, |view| view.job_by_id(&job.id)).as_deref(), Some(&job));
        }
        job.policy.max_per_minute = Some(77);
        job.policy.timeout_minutes = Some(7);
        job.policy.tags = vec![Tag { key: "c".into(), value: "v".into() }];
        job.src_versions = vec![version("7.0")];
        change(engine, |rows| rows.update_job_policy(&job));
        assert_eq!(look(engine, |view| view.job(job.no)).as_deref(), Some(&job));
        job.fill = Some(Fill { after: 1, until: 2, rank_max: None });
        (job.sweep, job.bucket, job.started_at, job.ended_at) = (None, None, None, None);
        (job.schedule_at, job.finish_at) = (None, None);
        change(engine, |rows| rows.update_job(&job));
        assert_eq!(look(engine, |view| view.job(job.no)).as_deref(), Some(&job));
    }
    assert_eq!(look(engine, |view| view.job(JobNo(99))), None);
    assert_eq!(look(engine, |view| view.job_by_id(&JobId::generate(99))), None);
}

fn jobs_are_found_by_package_device_and_deadline(engine: &mut dyn Engine) {
    let world = world(engine, 2);
    let mcu = change(engine, |rows| {
        let package =
            Package { module: module("MCU"), ..new_package(world.account, world.product, 2) };
        let no = rows.insert_package(&package)?;
        Ok(rows.package(no)?.unwrap())
    });
    let dynamic = Selection::Dynamic(DynamicMode::NewReports);
    let j: Vec<JobNo> = [
        Job { kind: JobKind::Verify, ..new_job(&world.package, 0) },
        Job { kind: JobKind::Verify, finish_at: Some(at(900)), ..new_job(&world.package, 1) },
        Job {
            status: JobStatus::Planned,
            schedule_at: Some(at(800)),
            ..new_job(&world.package, 2)
        },
        Job { selection: dynamic, ..new_job(&mcu, 3) },
        Job { selection: dynamic, status: JobStatus::Canceled, ..new_job(&mcu, 4) },
        Job { fill: Some(Fill { after: 0, until: 9, rank_max: None }), ..new_job(&mcu, 5) },
    ]
    .iter()
    .map(|job| add_job(engine, job))
    .collect();
    change(engine, |rows| {
        for (n, (job, device)) in [(0, 0), (2, 0), (0, 1), (2, 0), (3, 0)].into_iter().enumerate() {
            rows.insert_task(&new_task(j[job], world.devices[device], n as u128))?;
        }
        Ok(())
    });
    let numbers = |listed: Listed<Rc<Job>>| {
        (listed.rows.iter().map(|job| job.no).collect::<Vec<_>>(), listed.total)
    };
    look(engine, |view| {
        assert_eq!(
            numbers(view.jobs_of_package(world.package.no, Page::new(1, 2))?),
            (vec![j[2], j[1]], 3)
        );
        assert_eq!(
            numbers(view.jobs_of_package(world.package.no, Page::new(2, 2))?),
            (vec![j[0]], 3)
        );
        let (first, second) = (world.devices[0], world.devices[1]);
        assert_eq!(
            numbers(view.jobs_of_device(world.package.no, first, ALL)?),
            (vec![j[2], j[0]], 2)
        );
        assert_eq!(
            numbers(view.jobs_of_device(world.package.no, first, Page::new(2, 1))?),
            (vec![j[0]], 2)
        );
        assert_eq!(numbers(view.jobs_of_device(world.package.no, second, ALL)?), (vec![j[0]], 1));
        assert_eq!(numbers(view.jobs_of_device(mcu.no, second, ALL)?), (vec![], 0));

        assert_eq!(view.running_dynamic_job(mcu.no)?, Some(j[3]));
        assert_eq!(view.running_dynamic_job(world.package.no)?, None);
        let dynamic = view.dynamic_jobs(world.product, &module("mcu"))?;
        assert_eq!(dynamic.iter().map(|job| job.no).collect::<Vec<_>>(), [j[3]]);
        assert!(view.dynamic_jobs(world.product, &ModuleName::default())?.is_empty());
        assert_eq!(view.last_verify_job(world.package.no)?, Some(j[1]));
        assert_eq!(view.last_verify_job(mcu.no)?, None);

        assert_eq!(view.due_jobs(at(799), 9)?, [j[5]]);
        assert_eq!(view.due_jobs(at(900), 9)?, [j[5], j[2], j[1]]);
        assert_eq!(view.due_jobs(at(900), 2)?, [j[5], j[2]]);
        assert_eq!(view.next_due()?, Some(at(0)));
        Ok(())
    });
    change(engine, |rows| {
        let filled = Job { fill: None, ..(*rows.job(j[5])?.unwrap()).clone() };
        rows.update_job(&filled)
    });
    assert_eq!(look(engine, |view| view.next_due()), Some(at(800)));
}

fn a_package_is_busy_while_a_job_or_a_task_is(engine: &mut dyn Engine) {
    let world = world(engine, 1);
    let busy =
        |engine: &mut dyn Engine| look(engine, |view| view.package_is_busy(world.package.no));
    assert!(!busy(engine));
    let mut job = new_job(&world.package, 1);
    job.no = add_job(engine, &job);
    for (status, is_busy) in JobStatus::ALL.into_iter().zip([true, true, false, false]) {
        job.status = status;
        change(engine, |rows| rows.update_job(&job));
        assert_eq!(busy(engine), is_busy, "{status:?}");
    }
    let mut task = new_task(job.no, world.devices[0], 1);
    task.no = change(engine, |rows| {
        let no = rows.insert_task(&task)?;
        assert!(rows.package_is_busy(world.package.no)?, "in the transaction that made the task");
        Ok(no)
    });
    assert!(busy(engine));
    let ended = Task { status: TaskStatus::Succeeded, ..task.clone() };
    change(engine, |rows| rows.update_task(&task, &ended));
    assert!(!busy(engine));
}

fn tasks_come_back_and_each_change_is_kept(engine: &mut dyn Engine) {
    let world = world(engine, 1);
    let job = add_job(engine, &new_job(&world.package, 1));
    let mut task = new_task(job, world.devices[0], 1);
    task.no = change(engine, |rows| rows.insert_task(&task));
    assert_eq!(look(engine, |view| view.task(task.no)).as_ref(), Some(&task));
    let mut changes: Vec<Box<dyn Fn(&mut Task)>> = vec![
        Box::new(|task| task.progress = 100),
        Box::new(|task| task.failed_tries = 3),
        Box::new(|task| task.told = true),
        Box::new(|task| task.retry_at = Some(at(70))),
        Box::new(|task| task.timeout_at = Some(at(60))),
        Box::new(|task| task.retry_at = None),
        Box::new(|task| task.modified_at = at(6_000)),
        Box::new(|task| task.src = None),
        Box::new(|task| task.src = Version::reported("β 1")),
        Box::new(|task| task.description = "it's \"broken\"".into()),
        Box::new(|task| task.timeout_minutes = Some(9)),
        Box::new(|task| task.ended_at = Some(at(7_000))),
        Box::new(|task| (task.status, task.timeout_at) = (TaskStatus::Failed, None)),
        Box::new(|_| {}),
    ];
    changes.extend(
        Reason::ALL.map(|reason| Box::new(move |task: &mut Task| task.reason = reason) as Box<_>),
    );
    changes.extend(
        TaskStatus::ALL
            .map(|status| Box::new(move |task: &mut Task| task.status = status) as Box<_>),
    );
    for edit in changes {
        let mut after = task.clone();
        edit(&mut after);
        change(engine, |rows| rows.update_task(&task, &after));
        assert_eq!(look(engine, |view| view.task(task.no)).as_ref(), Some(&after));
        assert_eq!(look(engine, |view| view.next_due()), after.due_at());
        task = after;
    }
    let full = Task {
        status: TaskStatus::InProgress,
        progress: 5,
        failed_tries: 1,
        told: true,
        retry_at: Some(at(11)),
        timeout_at: Some(at(12)),
        reason: Reason::DeviceFlash,
        src: None,
        description: "x".into(),
        timeout_minutes: Some(3),
        ended_at: Some(at(13)),
        ..new_task(job, world.devices[0], 2)
    };
    let no = change(engine, |rows| rows.insert_task(&full));
    let full = Task { no, ..full };
    assert_eq!(look(engine, |view| view.task_by_id(&full.id)).as_ref(), Some(&full));
    assert_eq!(look(engine, |view| view.task(no)), Some(full));
    assert_eq!(look(engine, |view| view.task(TaskNo(99))), None);
}

fn tasks_are_found_by_device_job_status_and_deadline(engine: &mut dyn Engine) {
    use TaskStatus as S;
    let world = world(engine, 2);
    let (a, b) = (world.devices[0], world.devices[1]);
    let first = add_job(engine, &new_job(&world.package, 1));
    let second = add_job(engine, &new_job(&world.package, 2));
    let t: Vec<TaskNo> = change(engine, |rows| {
        let tasks = [
            (first, a, S::Failed, None),
            (first, a, S::InProgress, Some(at(30))),
            (first, b, S::Queued, None),
            (second, a, S::Confirm, None),
            (second, b, S::Succeeded, None),
            (first, b, S::InProgress, Some(at(20))),
        ];
        (0..)
            .zip(tasks)
            .map(|(n, (job, device, status, timeout_at))| {
                rows.insert_task(&Task { status, timeout_at, ..new_task(job, device, n) })
            })
            .collect()
    });
    let numbers = |tasks: Vec<Task>| tasks.into_iter().map(|task| task.no).collect::<Vec<_>>();
    look(engine, |view| {
        assert_eq!(numbers(view.unfinished_tasks(a)?), [t[1], t[3]]);
        assert_eq!(numbers(view.tasks_of_device(first, a)?), [t[1], t[0]]);
        assert_eq!(numbers(view.tasks_of_device(second, b)?), [t[4]]);
        assert!(view.has_task_of_package(world.package.no, b)?);
        assert!(!view.has_task_of_package(PackageNo(99), b)?);
        assert!(!view.has_task_of_package(world.package.no, DeviceNo(99))?);
        assert_eq!(numbers(view.tasks(first, None, Page::new(1, 3))?), [t[5], t[2], t[1]]);
        assert_eq!(numbers(view.tasks(first, None, Page::new(2, 3))?), [t[0]]);
        assert_eq!(numbers(view.tasks(first, Some(S::InProgress), Page::new(1, 1))?), [t[5]]);
        assert_eq!(numbers(view.tasks(first, Some(S::InProgress), Page::new(2, 1))?), [t[1]]);
        assert_eq!(numbers(view.tasks(first, Some(S::Canceled), ALL)?), []);
        let unfinished = StatusSet::UNFINISHED;
        assert_eq!(numbers(view.tasks_after(first, unfinished, TaskNo(0), 2)?), [t[1], t[2]]);
        assert_eq!(numbers(view.tasks_after(first, unfinished, t[2], 9)?), [t[5]]);
        assert_eq!(numbers(view.tasks_after(first, StatusSet::default(), TaskNo(0), 9)?), []);
        assert_eq!(view.due_tasks(at(19), 9)?, []);
        assert_eq!(view.due_tasks(at(30), 9)?, [t[5], t[1]]);
        assert_eq!(view.due_tasks(at(30), 1)?, [t[5]]);
        assert_eq!(view.next_due()?, Some(at(20)));
        Ok(())
    });
}

fn counts_equal_the_tasks_after_any_changes(engine: &mut dyn Engine) {
    let world = world(engine, 8);
    let jobs = [1, 2].map(|n| add_job(engine, &new_job(&world.package, n)));
    let random = crate::random::Random::seeded(7);
    let draw = |below: u128| usize::try_from(random.number() % below).unwrap();
    let mut model = Vec::<Task>::new();
    for _ in 0..60 {
        let mut next = model.clone();
        change(engine, |rows| {
            for _ in 0..draw(6) {
                let status = TaskStatus::ALL[draw(7)];
                if next.is_empty() || draw(3) == 0 {
                    let (job, device) = (jobs[draw(2)], world.devices[draw(8)]);
                    let mut task = Task { status, ..new_task(job, device, random.number()) };
                    task.no = rows.insert_task(&task)?;
                    next.push(task);
                } else {
                    let n = draw(next.len() as u128);
                    let after = Task { status, progress: 9, ..next[n].clone() };
                    rows.update_task(&next[n], &after)?;
                    next[n] = after;
                }
                assert_counts(rows, &jobs, &next);
            }
            Ok(())
        });
        model = next;
        look(engine, |view| {
            assert_counts(view, &jobs, &model);
            for job in jobs {
                let mut tasks = view.tasks(job, None, ALL)?;
                tasks.reverse();
                assert_eq!(
                    tasks,
                    model.iter().filter(|task| task.job == job).cloned().collect::<Vec<_>>()
                );
            }
            Ok(())
        });
    }
}

fn assert_counts(view: &mut (impl View + ?Sized), jobs: &[JobNo], tasks: &[Task]) {
    for &job in jobs {
        let mut counts = Counts::default();
        tasks.iter().filter(|task| task.job == job).for_each(|task| counts.add(task.status, 1));
        assert_eq!(view.counts(job).unwrap(), counts);
    }
}

fn a_failed_transaction_leaves_nothing(engine: &mut dyn Engine) {
    let world = world(engine, 1);
    let job = add_job(engine, &new_job(&world.package, 1));
    let outcome = engine.transact(&mut |rows| {
        rows.insert_task(&new_task(job, world.devices[0], 1))?;
        rows.insert_product(&new_product(world.account, 5))?;
        Err(StoreError::Engine("told to fail".into()))
    });
    assert!(outcome.unwrap_err().to_string().ends_with("told to fail"));
    look(engine, |view| {
        assert_eq!(view.tasks(job, None, ALL)?, []);
        assert_eq!(view.counts(job)?, Counts::default());
        assert_eq!(view.product_count(world.account, InstanceNo(0))?, 1);
        Ok(())
    });
    let doubled = engine
        .transact(&mut |rows| rows.insert_product(&new_product(world.account, 1)).map(|_| ()));
    assert!(doubled.is_err(), "two products can't have one key");
    let missing = new_task(job, world.devices[0], 1);
    let after = Task { progress: 1, ..missing.clone() };
    assert!(
        engine.transact(&mut |rows| rows.update_task(&missing, &after)).is_err(),
        "there is no such task"
    );
}

fn a_transaction_sees_its_own_writes(engine: &mut dyn Engine) {
    let world = world(engine, 1);
    let mut job = new_job(&world.package, 1);
    change(engine, |rows| {
        assert_eq!(rows.job(JobNo(1))?, None);
        job.no = rows.insert_job(&job)?;
        assert_eq!(rows.job(job.no)?.as_deref(), Some(&job));
        job.finish_at = Some(at(77));
        rows.update_job(&job)?;
        assert_eq!(rows.job(job.no)?.as_deref(), Some(&job));
        rows.set_package_status(world.package.no, PackageStatus::Verified, 100, at(5))?;
        assert_eq!(rows.package(world.package.no)?.unwrap().status, PackageStatus::Verified);
        Ok(())
    });
}

fn a_failed_change_takes_no_other_with_it(engine: impl Engine) {
    let (store, handle) = Store::threaded(engine, 0).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async move {
        let name = |n: i64| format!("account {n}");
        // Holds the writer up until the others wait together.
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let wait = move |_: &mut dyn Rows| Ok(gate.recv().is_err());
        let first = store.queue(wait).await.unwrap();
        let good = store.queue(move |rows| rows.insert_account(&name(1), at(0))).await.unwrap();
        let bad = store
            .queue(move |rows| {
                rows.insert_account(&name(2), at(0))?;
                Err::<(), _>(StoreError::Engine("told to fail".into()))
            })
            .await
            .unwrap();
        let also_good =
            store.queue(move |rows| rows.insert_account(&name(3), at(0))).await.unwrap();
        drop(go);
        first.await.unwrap();
        let (good, bad, also_good) = (good.await, bad.await, also_good.await);
        assert!(bad.is_err());
        let (good, also_good) = (good.unwrap(), also_good.unwrap());
        assert!(good < also_good, "{good:?} {also_good:?}");
        let first = store.view(|view| view.first_account()).await.unwrap();
        assert_eq!(first.map(|account| account.no), Some(good));
        let kept = move |view: &mut dyn View| {
            (good.0..=also_good.0).map(|no| Ok(view.account(AccountNo(no))?.is_some())).collect()
        };
        let kept: Vec<bool> = store.view(kept).await.unwrap();
        assert_eq!(kept.iter().filter(|&&is_kept| is_kept).count(), 2);
    });
    handle.join();
}

fn a_reader_sees_what_was_committed(engine: &mut dyn Engine) {
    let Some(mut reader) = engine.reader().unwrap() else { return };
    let world = world(engine, 3);
    let mut count = 0;
    let mut read = |count: &mut u64| {
        reader.view(&mut |view| {
            *count = view.device_count(world.product)?;
            Ok(())
        })
    };
    read(&mut count).unwrap();
    assert_eq!(count, 3);
    change(engine, |rows| {
        rows.insert_device(world.account, &new_device(world.product, 9))?;
        read(&mut count)?;
        assert_eq!(count, 3, "not before the commit");
        Ok(())
    });
    read(&mut count).unwrap();
    assert_eq!(count, 4);
}
