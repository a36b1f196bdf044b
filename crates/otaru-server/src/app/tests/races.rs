//! Two calls at once that would break a rule: the store's transaction decides, and one of them is told.

use super::*;
use crate::app::group::NewGroup;
use otaru_core::job::DynamicMode;
use otaru_core::policy::Policy;

/// How often each pair is let loose.
const ROUNDS: usize = 20;

/// A node as it runs: the store on threads of its own, calls from several threads.
async fn threaded() -> Arc<World> {
    let folder = tempfile::tempdir().unwrap();
    let random = Random::seeded(1);
    let engine = SqliteEngine::open(&folder.path().join("otaru.db"), random.clone()).unwrap();
    let (store, _threads) = Store::threaded(engine, 2).unwrap();
    Arc::new(World::on(store, folder, random, Limits::default()).await)
}

/// Runs both at once and returns the code of each that was refused.
async fn race<A, B>(a: A, b: B) -> [Option<&'static str>; 2]
where
    A: Future<Output = Result<()>> + Send + 'static,
    B: Future<Output = Result<()>> + Send + 'static,
{
    let gate = Arc::new(tokio::sync::Barrier::new(2));
    let other = gate.clone();
    let a = tokio::spawn(async move {
        gate.wait().await;
        a.await
    });
    let b = tokio::spawn(async move {
        other.wait().await;
        b.await
    });
    let code = |outcome: Result<()>| match outcome {
        Ok(()) => None,
        Err(AppError::Refused(refusal)) => Some(refusal.code),
        Err(other) => panic!("{other}"),
    };
    [code(a.await.unwrap()), code(b.await.unwrap())]
}

fn one_is_told(codes: [Option<&'static str>; 2], code: &str) {
    let told: Vec<_> = codes.into_iter().flatten().collect();
    assert_eq!(told, [code]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirm_and_a_cancel_end_in_a_canceled_task_whoever_is_first() {
    let world = threaded().await;
    world.device("dev-1").await;
    let package = world.package("2.0").await;
    for _ in 0..ROUNDS {
        let policy = Policy { need_confirm: true, ..Policy::default() };
        let job = world.create(NewJob { policy, ..world.job(&package, Target::All(vec![])) }).await;
        let task = world.tasks(&job).await[0].id.to_string();
        let (a, b, id) = (world.clone(), world.clone(), job.clone());
        let confirm = async move { a.app.confirm_tasks(a.caller, vec![task]).await };
        let cancel = async move {
            let flags = CancelFlags { queued: true, ..CancelFlags::default() };
            b.app.cancel_tasks(b.caller, id, flags).await
        };
        let [confirmed, canceled] = race(confirm, cancel).await;
        assert_eq!(canceled, None);
        assert!(
            matches!(confirmed, None | Some("iot.firmware.InvalidTaskStatus")),
            "{confirmed:?}"
        );
        assert_eq!(world.state(&job).await, "CANCELED: CANCELED");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_dynamic_jobs_of_a_package_one_is_made() {
    let world = threaded().await;
    for n in 0..ROUNDS {
        let package = world.package(&format!("{n}.0")).await;
        let create = || {
            let world = world.clone();
            let target = Target::Dynamic(DynamicMode::CurrentAndLater, vec![version("a")]);
            let new = world.job(&package, target);
            async move { world.app.create_job(world.caller, new).await.map(|_| ()) }
        };
        one_is_told(race(create(), create()).await, "iot.firmware.InProgressDynamicJobExisted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_of_a_module_is_given_once() {
    let world = threaded().await;
    for name in ["MCU", "wifi", "ble", "radio"] {
        let create = |name: &str| {
            let (world, new) = (world.clone(), world.new_module(name));
            async move { world.app.create_module(world.caller, new).await }
        };
        let codes = race(create(name), create(&name.to_lowercase())).await;
        one_is_told(codes, "iot.ota.CreateOTAModuleNameExist");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_of_a_package_is_given_once() {
    let world = threaded().await;
    for n in 0..ROUNDS {
        let (a, b) =
            (world.package(&format!("{n}.a")).await, world.package(&format!("{n}.b")).await);
        let rename = |firmware_id: String| {
            let (world, name) = (world.clone(), Some(format!("new-{n}")));
            let product_key = world.product.key.to_string();
            let change =
                PackageChange { firmware_id, product_key, name, description: None, udi: None };
            async move { world.app.update_package(world.caller, change).await }
        };
        let codes = race(rename(a), rename(b)).await;
        one_is_told(codes, "iot.firmware.AlreadyExistedFirmwareName");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_is_not_deleted_under_a_package_that_is_made() {
    let world = threaded().await;
    for n in 0..ROUNDS {
        world.module("MCU").await;
        let url = world.upload().await;
        let new = world.new_package("MCU", &format!("{n}.0"), url);
        let (a, b) = (world.clone(), world.clone());
        let create = async move { a.app.create_package(a.caller, new).await.map(|_| ()) };
        let delete = async move {
            b.app.delete_module(b.caller, b.product.key.to_string(), "mcu".into()).await
        };
        let (created, deleted) = match race(create, delete).await {
            [None, Some("iot.ota.DeleteOTAModulePackageExist")] => (true, false),
            [Some("iot.ota.OTAModuleNotExist"), None] => (false, true),
            other => panic!("{other:?}"),
        };
        assert_ne!(created, deleted);
        if created {
            world.forget_packages().await;
            world
                .app
                .delete_module(world.caller, world.product.key.to_string(), "MCU".into())
                .await
                .unwrap();
        }
    }
}

impl World {
    async fn upload(&self) -> String {
        let kind = crate::store::UploadKind::Package;
        let slot = self.app.issue_upload(self.caller, kind, "bin".into()).await.unwrap();
        let mut file = self.files.create(100).unwrap();
        assert!(file.write(&["data".into()]).unwrap());
        let blob = file.keep().unwrap();
        assert!(self.app.uploaded(slot.form.key, blob).await.unwrap());
        slot.file_url
    }

    fn new_package(&self, module: &str, dest: &str, url: String) -> NewPackage {
        NewPackage {
            product_key: Some(self.product.key.to_string()),
            name: format!("new {dest}"),
            description: String::new(),
            dest: version(dest),
            src: None,
            is_delta: false,
            module: ModuleName::parse(module).unwrap(),
            sign_method: SignMethod::Md5,
            is_list: false,
            files: vec![NewFile { url, ..NewFile::default() }],
            udi: String::new(),
            need_to_verify: false,
        }
    }

    async fn forget_packages(&self) {
        let page = crate::store::Page::new(1, 100);
        let listed = self.app.packages(self.caller, None, None, page).await.unwrap();
        for (package, _) in listed.rows {
            self.app.delete_package(self.caller, package.id.to_string()).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_goes_to_one_of_two_who_ask_at_once() {
    let world = threaded().await;
    for n in 0..ROUNDS {
        let register = || {
            let (world, new) = (world.clone(), new_device(&world, &format!("device-{n}")));
            async move { world.app.register_device(world.caller, new).await.map(|_| ()) }
        };
        one_is_told(race(register(), register()).await, "iot.device.AlreadyExistedDeviceName");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_of_a_product_is_given_once() {
    let world = threaded().await;
    for n in 0..ROUNDS {
        let create = || {
            let (world, name) = (world.clone(), format!("product-{n}"));
            let new = NewProduct { name, profile: ProductProfile::default() };
            async move { world.app.create_product(world.caller, new).await.map(|_| ()) }
        };
        one_is_told(race(create(), create()).await, "iot.prod.AlreadyExistedProductName");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_of_a_group_is_given_once() {
    let world = threaded().await;
    for n in 0..ROUNDS {
        let create = || {
            let world = world.clone();
            let (name, description) = (format!("group_{n}"), String::new());
            let new = NewGroup { name, description, parent: None };
            async move { world.app.create_group(world.caller, new).await.map(|_| ()) }
        };
        one_is_told(race(create(), create()).await, "iot.group.GroupNameExisted");
        let consumers = || {
            let (world, name) = (world.clone(), format!("group_{n}"));
            async move { world.app.create_consumer_group(world.caller, name).await.map(|_| ()) }
        };
        let codes = race(consumers(), consumers()).await;
        one_is_told(codes, "iot.consumer.group.ConsumerGroupNameExisted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uploaded_file_becomes_one_package_of_a_version() {
    let world = threaded().await;
    for n in 0..ROUNDS {
        let url = world.upload().await;
        let create = |name: &str| {
            let new = NewPackage {
                name: format!("{name} {n}"),
                ..world.new_package("default", &format!("{n}.0"), url.clone())
            };
            let world = world.clone();
            async move { world.app.create_package(world.caller, new).await.map(|_| ()) }
        };
        let codes = race(create("one"), create("other")).await;
        one_is_told(codes, "iot.firmware.AlreadyExistedFirmwareVersion");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_device_that_was_registered_while_its_product_went() {
    let world = threaded().await;
    for n in 0..ROUNDS {
        let (name, profile) = (format!("product-{n}"), ProductProfile::default());
        let new = NewProduct { name, profile };
        let product = world.app.create_product(world.caller, new).await.unwrap();
        let key = product.key.to_string();
        let device = NewDevice { product_key: key.clone(), ..new_device(&world, "device") };
        let (a, b) = (world.clone(), world.clone());
        let register = async move { a.app.register_device(a.caller, device).await.map(|_| ()) };
        let delete = async move { b.app.delete_product(b.caller, key).await };
        let [registered, deleted] = race(register, delete).await;
        assert_eq!(deleted, None);
        assert!(matches!(registered, None | Some("iot.prod.NotExistedProduct")));
        let left = world.app.view(move |view| Ok(view.tally(product.no)?.devices));
        assert_eq!(left.await.unwrap(), 0);
    }
}

fn new_device(world: &World, name: &str) -> NewDevice {
    NewDevice {
        product_key: world.product.key.to_string(),
        name: Some(name.parse().unwrap()),
        nickname: String::new(),
    }
}
