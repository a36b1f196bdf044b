//! Keys, users, temporary keys and instances, through signed calls.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::instance::{InstanceConfig, InstanceState};
use super::super::op::{self, Access, Op};
use super::super::request::Kind;
use super::*;
use crate::app::operator::{Act, Denied, Done, Grant, KeyStatus, NewKey, Owner};

const DENIED: &str = "iot.common.RamActionPermissionDeny";

fn main_key() -> NewKey {
    NewKey {
        access_key_id: "id".into(),
        access_key_secret: "secret".into(),
        security_token: None,
        expires_at: None,
    }
}

fn all_of(products: &[&str]) -> Grant {
    let products: Vec<_> = products.iter().map(|&key| key.to_owned()).collect();
    Grant { read: true, write: true, all_products: products.is_empty(), products }
}

impl World {
    async fn done(&self, act: Act) -> Done {
        self.app.operate(act).await.unwrap().unwrap()
    }

    async fn denied(&self, act: Act) -> Denied {
        self.app.operate(act).await.unwrap().unwrap_err()
    }

    async fn new_key(&self, act: Act) -> NewKey {
        match self.done(act).await {
            Done::NewKey(key) => key,
            other => panic!("{other:?}"),
        }
    }

    /// A user with a key.
    async fn user(&self, name: &str, grant: Grant) -> NewKey {
        self.done(Act::CreateUser { name: name.into(), grant }).await;
        self.new_key(Act::CreateKey { owner: Owner::User(name.into()) }).await
    }

    async fn temporary(&self, owner: Owner, hours: u32) -> NewKey {
        self.new_key(Act::CreateTemporaryKey { owner, hours }).await
    }

    async fn reply(&self, key: &NewKey, action: &str, params: &str) -> Value {
        let credentials = Credentials {
            access_key_id: key.access_key_id.clone(),
            access_key_secret: key.access_key_secret.clone(),
            security_token: key.security_token.clone(),
        };
        let signed = self.signed_by(&credentials, action, params, Format::Json);
        let answer = self.rpc.handle(signed.incoming()).await;
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The code of a refused call, or `ok`.
    async fn code(&self, key: &NewKey, action: &str, params: &str) -> String {
        let reply = self.reply(key, action, params).await;
        reply["Code"].as_str().unwrap_or("ok").to_owned()
    }

    /// What a harmless call by the key comes to.
    async fn knock(&self, key: &NewKey) -> String {
        self.code(key, "ListOTAFirmware", "CurrentPage=1&PageSize=10").await
    }

    async fn with_instances(self, config: &InstanceConfig) -> Self {
        let Self { rpc, app, clock, nonce, folder } = self;
        let rpc = rpc.with_instances(config).await;
        Self { rpc, app, clock, nonce, folder }
    }
}

fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3_600)
}

#[tokio::test(start_paused = true)]
pub async fn each_state_of_a_key_and_its_owner_has_its_code() {
    let world = World::new().await;
    let key = world.user("ada", all_of(&[])).await;
    let id = || key.access_key_id.clone();
    let ada = || Owner::User("ada".into());
    let key_active = |active| Act::SetKeyActive { id: id(), active };
    let disabled = |owner, disabled| Act::SetOwnerDisabled { owner, disabled };
    let temporary = world.temporary(ada(), 1).await;
    let second = world.temporary(ada(), 1).await;
    for (act, want, want_temporary) in [
        (Act::ListKeys, "ok", "ok"),
        (key_active(false), "InvalidAccessKeyId.Inactive", "ok"),
        // The key is looked at first, then its owner.
        (disabled(ada(), true), "InvalidAccessKeyId.Inactive", "Forbidden.AccessKeyDisabled"),
        (key_active(true), "Forbidden.AccessKeyDisabled", "Forbidden.AccessKeyDisabled"),
        (disabled(Owner::Main, true), "Forbidden.AccessKeyDisabled", "Forbidden.AccessKeyDisabled"),
        (disabled(ada(), false), "Forbidden.AccessKeyDisabled", "Forbidden.AccessKeyDisabled"),
        (disabled(Owner::Main, false), "ok", "ok"),
        (Act::DeleteKey { id: id() }, "InvalidAccessKeyId.NotFound", "ok"),
        (
            Act::DeleteUser { name: "ada".into() },
            "InvalidAccessKeyId.NotFound",
            "InvalidAccessKeyId.NotFound",
        ),
    ] {
        world.done(act.clone()).await;
        // Both signatures: they take turns.
        for _ in 0..2 {
            assert_eq!(world.knock(&key).await, want, "{act:?}");
            assert_eq!(world.knock(&temporary).await, want_temporary, "{act:?}");
        }
    }
    assert_eq!(world.knock(&second).await, "InvalidAccessKeyId.NotFound");
    assert_eq!(world.knock(&main_key()).await, "ok");
}

#[tokio::test(start_paused = true)]
pub async fn a_temporary_key_is_good_with_its_token_and_for_its_hours() {
    let world = World::new().await;
    let key = world.temporary(Owner::Main, 2).await;
    let other = world.temporary(Owner::Main, 36).await;
    let with =
        |token: Option<&str>| NewKey { security_token: token.map(str::to_owned), ..key.clone() };
    let permanent = NewKey { security_token: other.security_token.clone(), ..main_key() };
    let codes = [
        (with(None), "MissingSecurityToken"),
        (with(Some("CAISnothing")), "InvalidSecurityToken.Malformed"),
        (with(other.security_token.as_deref()), "InvalidSecurityToken.MismatchWithAccessKey"),
        (permanent, "InvalidSecurityToken.MismatchWithAccessKey"),
        (NewKey { access_key_secret: "guess".into(), ..key.clone() }, "SignatureDoesNotMatch"),
        (key.clone(), "ok"),
    ];
    for (key, want) in &codes {
        for _ in 0..2 {
            assert_eq!(world.knock(key).await, *want, "{key:?}");
        }
    }
    tokio::time::advance(Duration::from_millis(2 * 3_600_000 - 1)).await;
    assert_eq!(world.knock(&key).await, "ok");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(world.knock(&key).await, "InvalidSecurityToken.Expired");
    assert_eq!(world.knock(&with(None)).await, "MissingSecurityToken");
    assert_eq!(world.knock(&other).await, "ok");

    // A day later it is forgotten.
    tokio::time::advance(hours(24)).await;
    world.app.forget_expired().await.unwrap();
    assert_eq!(world.knock(&key).await, "InvalidSecurityToken.Expired");
    tokio::time::advance(Duration::from_millis(1)).await;
    world.app.forget_expired().await.unwrap();
    assert_eq!(world.knock(&key).await, "InvalidAccessKeyId.NotFound");
    assert_eq!(world.knock(&other).await, "ok");
    for hours in [0, 37] {
        let act = Act::CreateTemporaryKey { owner: Owner::Main, hours };
        assert_eq!(world.denied(act).await, Denied::Hours { hours, least: 1, most: 36 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_rotated_while_calls_run_and_none_of_them_fails() {
    let world = World::new().await;
    let old = world.user("ada", all_of(&[])).await;
    let calls = async {
        let mut codes = Vec::new();
        for _ in 0..50 {
            codes.push(world.knock(&old).await);
        }
        codes
    };
    let rotated = async {
        tokio::task::yield_now().await;
        let new = world.new_key(Act::RotateKey { id: old.access_key_id.clone(), keep_hours: 3 });
        let new = new.await;
        let mut codes = Vec::new();
        for _ in 0..50 {
            codes.push(world.knock(&new).await);
        }
        (new, codes)
    };
    let (of_old, (new, of_new)) = tokio::join!(calls, rotated);
    assert_eq!([of_old, of_new].concat(), vec!["ok"; 100]);
    assert_ne!(new.access_key_secret, old.access_key_secret);

    tokio::time::advance(Duration::from_millis(3 * 3_600_000 - 1)).await;
    assert_eq!(world.knock(&old).await, "ok");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(world.knock(&old).await, "InvalidAccessKeyId.Inactive");
    assert_eq!(world.knock(&new).await, "ok");
    let again = Act::SetKeyActive { id: old.access_key_id.clone(), active: true };
    assert_eq!(world.denied(again).await, Denied::EndedKey(old.access_key_id.clone()));
    // Whoever has leaked a key lets it end at once.
    let third = Act::RotateKey { id: new.access_key_id.clone(), keep_hours: 0 };
    let third = world.new_key(third).await;
    assert_eq!(world.knock(&new).await, "InvalidAccessKeyId.Inactive");
    assert_eq!(world.knock(&third).await, "ok");

    let Done::Keys(keys) = world.done(Act::ListKeys).await else { panic!("keys were asked for") };
    let statuses: BTreeMap<_, _> =
        keys.iter().map(|key| (key.id.as_str(), (key.user.as_deref(), key.status))).collect();
    let want = BTreeMap::from([
        ("id", (None, KeyStatus::Active)),
        (old.access_key_id.as_str(), (Some("ada"), KeyStatus::Ended)),
        (new.access_key_id.as_str(), (Some("ada"), KeyStatus::Ended)),
        (third.access_key_id.as_str(), (Some("ada"), KeyStatus::Active)),
    ]);
    assert_eq!(statuses, want);
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_gets_wrong_is_said_and_changes_nothing() {
    let world = World::new().await;
    world.user("ada", all_of(&[])).await;
    let temporary = world.temporary(Owner::Main, 1).await.access_key_id;
    let before = (world.done(Act::ListKeys).await, world.done(Act::ListUsers).await);
    let bob = || Owner::User("bob".into());
    let nothing = || Grant { products: vec!["a1nothing".into()], ..Grant::default() };
    let create = |name: &str| Act::CreateUser { name: name.into(), grant: all_of(&[]) };
    let key = |id: &str| id.to_owned();
    for (act, want) in [
        (Act::CreateKey { owner: bob() }, Denied::NoUser("bob".into())),
        (Act::CreateTemporaryKey { owner: bob(), hours: 1 }, Denied::NoUser("bob".into())),
        (Act::SetOwnerDisabled { owner: bob(), disabled: true }, Denied::NoUser("bob".into())),
        (Act::DeleteUser { name: "bob".into() }, Denied::NoUser("bob".into())),
        (Act::GrantUser { name: "bob".into(), grant: nothing() }, Denied::NoUser("bob".into())),
        (
            Act::GrantUser { name: "ada".into(), grant: nothing() },
            Denied::NoProduct("a1nothing".into()),
        ),
        (
            Act::CreateUser { name: "bob".into(), grant: nothing() },
            Denied::NoProduct("a1nothing".into()),
        ),
        (create("ada"), Denied::UserExists("ada".into())),
        (create(""), Denied::MalformedUser(String::new())),
        (create("a b"), Denied::MalformedUser("a b".into())),
        // The key of another account.
        (Act::DeleteKey { id: key("other") }, Denied::NoKey("other".into())),
        (Act::SetKeyActive { id: key("x"), active: true }, Denied::NoKey("x".into())),
        (Act::RotateKey { id: key("x"), keep_hours: 1 }, Denied::NoKey("x".into())),
        (
            Act::RotateKey { id: temporary.clone(), keep_hours: 1 },
            Denied::TemporaryKey(temporary.clone()),
        ),
        (
            Act::RotateKey { id: key("id"), keep_hours: 8_785 },
            Denied::Hours { hours: 8_785, least: 0, most: 8_784 },
        ),
    ] {
        assert_eq!(world.denied(act.clone()).await, want, "{act:?}");
    }
    assert_eq!((world.done(Act::ListKeys).await, world.done(Act::ListUsers).await), before);
}

/// Two products, each with a device, a package, a job and its task.
struct Two {
    world: World,
    mine: Things,
    theirs: Things,
}

struct Things {
    product: String,
    /// What stands for the parameters of operations.
    named: Vec<(&'static str, String)>,
}

impl Two {
    /// The second product is in `instance`, as parameters say it.
    async fn new(config: &InstanceConfig, instance: &str) -> Self {
        let world = World::new().await.with_instances(config).await;
        let mine = Things::new(&world, "lamp", "2.0", "").await;
        let theirs = Things::new(&world, "door", "3.0", instance).await;
        Self { world, mine, theirs }
    }
}

impl Things {
    async fn new(world: &World, name: &str, dest: &str, instance: &str) -> Self {
        let created =
            world.ok("CreateProduct", &format!("NodeType=0&ProductName={name}&{instance}")).await;
        let product = created["ProductKey"].as_str().unwrap().to_owned();
        let device = format!("{name}-1");
        let registered = world
            .ok("RegisterDevice", &format!("ProductKey={product}&DeviceName={device}&{instance}"))
            .await;
        let package = world.package(&product, dest, instance).await;
        let more = format!("TargetSelection=SPECIFIC&TargetDeviceName.1={device}&{instance}");
        let job = world.static_job(&product, &package, &more).await;
        let tasks = format!("JobId={job}&CurrentPage=1&PageSize=10&{instance}");
        let tasks = world.ok("ListOTATaskByJob", &tasks).await;
        let task = tasks["Data"]["SimpleOTATaskInfo"][0]["TaskId"].as_str().unwrap().to_owned();
        let iot_id = registered["Data"]["IotId"].as_str().unwrap().to_owned();
        let named = vec![
            ("ProductKey", product.clone()),
            ("DeviceName", device),
            ("IotId", iot_id),
            ("FirmwareId", package),
            ("JobId", job),
            ("TaskId", task),
        ];
        Self { product, named }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let named = self.named.iter().find(|(given, _)| *given == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// Parameters that let a call reach its look-ups, as far as their names tell: required ones, and `object` of `things`.
fn params(op: &Op, things: &Things, object: &str) -> String {
    let value = |name: &str, kind: &Kind| match (things.get(name), kind, name) {
        (Some(value), ..) => value.to_owned(),
        (_, _, "MaximumPerMinute") => "100".to_owned(),
        (_, _, "TargetSelection") => "ALL".to_owned(),
        (_, _, "UpgradeType") => "STATIC".to_owned(),
        (_, _, "Props") => "{\"a\":\"b\"}".to_owned(),
        (None, Kind::Boolean, _) => "true".to_owned(),
        (_, Kind::Int32 | Kind::Int64, "PageSize") => "10".to_owned(),
        (_, Kind::Int32 | Kind::Int64, _) => "1".to_owned(),
        _ => "abcd".to_owned(),
    };
    let mut pairs = Vec::new();
    for row in op.params {
        let is_object = row.name == object;
        let is_page = ["CurrentPage", "PageSize"].contains(&row.name);
        let is_name = object == "ProductKey" && row.name == "DeviceName";
        let is_flag = row.name == "CancelQueuedTask";
        if !(row.required || is_object || is_page || is_name || is_flag) {
            continue;
        }
        match row.kind {
            Kind::Texts => pairs.push(format!("{}.1={}", row.name, value(row.name, &row.kind))),
            Kind::Objects(fields) => pairs.extend(fields.iter().map(|field| {
                format!("{}.1.{}={}", row.name, field.name, value(field.name, &field.kind))
            })),
            _ => pairs.push(format!("{}={}", row.name, value(row.name, &row.kind))),
        }
    }
    pairs.join("&")
}

#[tokio::test(start_paused = true)]
pub async fn a_user_calls_only_what_it_may_read_or_write() {
    let two = Two::new(&InstanceConfig::default(), "").await;
    let world = &two.world;
    let may = |read, write| Grant { read, write, all_products: true, products: Vec::new() };
    let nothing = world.user("nothing", may(false, false)).await;
    let reader = world.user("reader", may(true, false)).await;
    let writer = world.user("writer", may(false, true)).await;
    // Parameters are checked before permissions, by their types and being there; then nothing else is.
    assert_eq!(world.code(&nothing, "QueryProduct", "").await, "MissingProductKey");
    let mut seen = (0, 0);
    for op in op::all() {
        let params = params(op, &two.mine, "");
        let denied = async |key: &NewKey| {
            let code = world.code(key, op.action, &params).await;
            assert!(!code.starts_with("Missing"), "{} {params}: {code}", op.action);
            code == DENIED
        };
        assert!(denied(&nothing).await, "{}", op.action);
        let (barred, name) = match op.access() {
            Access::Read => (&writer, "writer"),
            Access::Write => (&reader, "reader"),
        };
        assert!(denied(barred).await, "{name}: {}", op.action);
        if op.access() == Access::Read {
            seen.0 += 1;
            assert!(!denied(&reader).await, "{}", op.action);
        } else {
            seen.1 += 1;
        }
    }
    assert!(seen.0 > 5 && seen.1 > 5, "{seen:?}");
    // What writes changes the scene, so it comes last and only until it is let through.
    for op in op::all().filter(|op| op.access() == Access::Write) {
        let code = world.code(&writer, op.action, &params(op, &two.mine, "")).await;
        assert_ne!(code, DENIED, "{}", op.action);
    }
}

#[test]
fn operations_that_only_read_are_named_so() {
    let writes_by_name = |action: &str| {
        [
            "Create",
            "Update",
            "Delete",
            "Modify",
            "Cancel",
            "Confirm",
            "Reupgrade",
            "Register",
            "Generate",
        ]
        .iter()
        .chain(&["Batch", "Save", "Enable", "Disable", "Reset", "Pub", "RRpc", "Set"])
        .any(|word| action.starts_with(word))
    };
    for op in op::all() {
        let reads = op.access() == Access::Read;
        let by_batch = ["BatchGet", "BatchQuery"].iter().any(|word| op.action.starts_with(word));
        assert_eq!(reads, by_batch || !writes_by_name(op.action), "{}", op.action);
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_touches_only_the_products_of_its_list() {
    let two = Two::new(&InstanceConfig::default(), "").await;
    let world = &two.world;
    let user = world.user("ada", all_of(&[&two.mine.product])).await;
    let mut touched = 0;
    for op in op::all() {
        for (object, _) in &two.theirs.named {
            if *object == "DeviceName" || !op.params.iter().any(|row| row.name == *object) {
                continue;
            }
            touched += 1;
            let params = params(op, &two.theirs, object);
            let code = world.code(&user, op.action, &params).await;
            assert_eq!(code, DENIED, "{} {params}", op.action);
        }
    }
    assert!(touched > 30, "{touched}");
    // Of its own product it may read everything.
    for op in op::all().filter(|op| op.access() == Access::Read) {
        let code = world.code(&user, op.action, &params(op, &two.mine, "ProductKey")).await;
        assert_ne!(code, DENIED, "{}", op.action);
    }
    // Nobody can have put a new product onto the list.
    let new = world.code(&user, "CreateProduct", "NodeType=0&ProductName=window").await;
    assert_eq!(new, DENIED);
    // Whether a product exists is not told to those who may not touch it; a malformed key is none.
    assert_eq!(world.code(&user, "QueryProduct", "ProductKey=a1nothing").await, DENIED);
    let malformed = world.code(&user, "QueryProduct", "ProductKey=a/b").await;
    assert_eq!(malformed, "iot.prod.InvalidFormattedProductkey");

    let grant = all_of(&[&two.mine.product, &two.theirs.product]);
    world.done(Act::GrantUser { name: "ada".into(), grant }).await;
    let query = format!("ProductKey={}", two.theirs.product);
    assert_eq!(world.code(&user, "QueryProduct", &query).await, "ok");
    world.done(Act::GrantUser { name: "ada".into(), grant: Grant::default() }).await;
    assert_eq!(world.code(&user, "QueryProduct", &query).await, DENIED);
}

#[tokio::test(start_paused = true)]
async fn lists_show_a_user_the_products_of_its_list_only() {
    let two = Two::new(&InstanceConfig::default(), "").await;
    let world = &two.world;
    let limited = world.user("ada", all_of(&[&two.mine.product])).await;
    let free = world.user("bob", all_of(&[])).await;
    for things in [&two.mine, &two.theirs] {
        let props = "Props=%7B%22room%22%3A%221%22%7D";
        let iot_id = things.get("IotId").unwrap();
        world.ok("SaveDeviceProp", &format!("IotId={iot_id}&{props}")).await;
    }
    for (key, want) in [(&limited, 1), (&free, 2), (&main_key(), 2)] {
        let reply = world.reply(key, "ListOTAFirmware", "CurrentPage=1&PageSize=10").await;
        assert_eq!(reply["Total"], want, "{reply}");
        let rows = reply["FirmwareInfo"]["SimpleFirmwareInfo"].as_array().unwrap();
        assert_eq!(rows.len(), want);
        assert!(rows.iter().any(|row| row["ProductKey"] == two.mine.product.as_str()));
        let products = world.reply(key, "QueryProductList", "CurrentPage=1&PageSize=10").await;
        assert_eq!(products["Data"]["Total"], want, "{products}");
        let rows = products["Data"]["List"]["ProductInfo"].as_array().unwrap();
        assert_eq!(rows.len(), want);
        assert!(rows.iter().any(|row| row["ProductKey"] == two.mine.product.as_str()));
        let tags = "Tag.1.TagKey=room&Tag.1.TagValue=1&CurrentPage=1&PageSize=10";
        let tagged = world.reply(key, "QueryDeviceByTags", tags).await;
        let rows = tagged["Data"]["SimpleDeviceInfo"].as_array().unwrap();
        assert_eq!(rows.len(), want, "{tagged}");
        let counted = world.reply(key, "QueryDeviceStatistics", "").await;
        assert_eq!(counted["Data"]["deviceCount"], want, "{counted}");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_and_tags_show_a_user_the_devices_of_its_list_only() {
    let two = Two::new(&InstanceConfig::default(), "").await;
    let world = &two.world;
    let limited = world.user("ada", all_of(&[&two.mine.product])).await;
    let id = async |action: &str, params: &str| {
        let reply = world.ok(action, params).await;
        reply["Data"]["GroupId"].as_str().unwrap().to_owned()
    };
    let fixed = id("CreateDeviceGroup", "GroupName=area").await;
    let rule = "GroupName=all_&DynamicGroupExpression=name%20LIKE%20'%25'";
    let dynamic = id("CreateDeviceDynamicGroup", rule).await;
    let into = |things: &Things| {
        let name = things.get("DeviceName").unwrap();
        let key = &things.product;
        format!("GroupId={fixed}&Device.1.ProductKey={key}&Device.1.DeviceName={name}")
    };
    for things in [&two.mine, &two.theirs] {
        let key = &things.product;
        world.ok("BatchAddDeviceGroupRelations", &into(things)).await;
        let name = things.get("DeviceName").unwrap();
        let props = format!("ProductKey={key}&DeviceName={name}&Props={{\"a\":\"b\"}}");
        world.ok("SaveDeviceProp", &props).await;
        let tag = "ProductTag.1.TagKey=a&ProductTag.1.TagValue=b";
        world.ok("CreateProductTags", &format!("ProductKey={key}&{tag}")).await;
    }
    for (action, params, rows) in [
        ("QueryDeviceListByDeviceGroup", format!("GroupId={fixed}"), "/Data/SimpleDeviceInfo"),
        ("QueryDynamicGroupDevices", format!("GroupId={dynamic}"), "/Data/SimpleDeviceInfo"),
        (
            "QueryDeviceByTags",
            "Tag.1.TagKey=a&Tag.1.TagValue=b".to_owned(),
            "/Data/SimpleDeviceInfo",
        ),
        ("ListProductByTags", "ProductTag.1.TagKey=a".to_owned(), "/ProductInfos/ProductInfo"),
    ] {
        for (key, want) in [(&limited, 1), (&main_key(), 2)] {
            let reply = world.reply(key, action, &params).await;
            let rows = reply.pointer(rows).unwrap().as_array().unwrap();
            assert_eq!(rows.len(), want, "{action}: {reply}");
            assert!(rows.iter().any(|row| row["ProductKey"] == two.mine.product.as_str()));
        }
    }
    // Nobody moves what it may not touch.
    let code = world.code(&limited, "BatchDeleteDeviceGroupRelations", &into(&two.theirs)).await;
    assert_eq!(code, DENIED);
    let code = world.code(&limited, "BatchDeleteDeviceGroupRelations", &into(&two.mine)).await;
    assert_eq!(code, "ok");
}

fn config(default_id: Option<&str>, others: &[(&str, InstanceState)]) -> InstanceConfig {
    InstanceConfig {
        default_id: default_id.map(str::to_owned),
        others: others.iter().map(|(id, state)| ((*id).to_owned(), *state)).collect(),
    }
}

#[tokio::test(start_paused = true)]
pub async fn a_call_names_an_instance_that_is_there_and_on() {
    let others = [("iot-b", InstanceState::On), ("iot-c", InstanceState::Off)];
    let world = World::new().await.with_instances(&config(Some("iot-a"), &others)).await;
    let product = world.product("lamp").await;
    for (instance, want) in [
        ("", "ok"),
        ("IotInstanceId=", "ok"),
        ("IotInstanceId=iot-a", "ok"),
        ("IotInstanceId=iot-b", "iot.prod.NotExistedProduct"),
        ("IotInstanceId=iot-c", "iot.Sre.IotInstanceStatusForbidden"),
        ("IotInstanceId=iot-d", "iot.system.InstanceNotFound"),
        ("IotInstanceId=IOT-A", "iot.system.InstanceNotFound"),
    ] {
        let params = format!("ProductKey={product}&{instance}");
        assert_eq!(world.code(&main_key(), "QueryProduct", &params).await, want, "{instance}");
    }
    // The instance comes before the permission.
    let nothing = world.user("nothing", Grant::default()).await;
    let params = "ProductKey=a1nothing&IotInstanceId=iot-c";
    let code = world.code(&nothing, "QueryProduct", params).await;
    assert_eq!(code, "iot.Sre.IotInstanceStatusForbidden");

    // The same name once per instance; what an instance has stays when it gets another name or is switched.
    let lamp = "NodeType=0&ProductName=lamp&IotInstanceId=iot-b";
    assert_eq!(world.code(&main_key(), "CreateProduct", lamp).await, "ok");
    let taken = world.code(&main_key(), "CreateProduct", lamp).await;
    assert_eq!(taken, "iot.prod.AlreadyExistedProductName");
    let world = world.with_instances(&config(Some("iot-z"), &[("iot-c", InstanceState::On)])).await;
    let query = |id: &str| format!("ProductKey={product}&IotInstanceId={id}");
    assert_eq!(world.code(&main_key(), "QueryProduct", &query("iot-z")).await, "ok");
    let gone = world.code(&main_key(), "QueryProduct", &query("iot-a")).await;
    assert_eq!(gone, "iot.system.InstanceNotFound");
}

#[tokio::test(start_paused = true)]
async fn what_another_instance_has_is_unknown() {
    let others = config(None, &[("iot-b", InstanceState::On)]);
    let two = Two::new(&others, "IotInstanceId=iot-b").await;
    let world = &two.world;
    let key = main_key();
    for (action, object, want) in [
        ("QueryProduct", "ProductKey", "iot.prod.NotExistedProduct"),
        ("QueryDeviceDetail", "ProductKey", "iot.prod.NotExistedProduct"),
        ("QueryDeviceDetail", "IotId", "iot.device.NotExistedDevice"),
        ("QueryOTAFirmware", "FirmwareId", "iot.firmware.FirmwareNotFound"),
        ("DeleteOTAFirmware", "FirmwareId", "iot.firmware.FirmwareNotFound"),
        ("QueryOTAJob", "JobId", "iot.firmware.InvalidOTAJobId"),
        ("ListOTATaskByJob", "JobId", "iot.firmware.InvalidOTAJobId"),
        // These two say so.
        ("ModifyOTAFirmware", "FirmwareId", "iot.ota.InstanceIdMisMatch"),
        ("UpdateOTAJob", "JobId", "iot.ota.InstanceIdMisMatch"),
    ] {
        let op = op::find(action).unwrap();
        let params = params(op, &two.theirs, object);
        assert_eq!(world.code(&key, action, &params).await, want, "{params}");
        let there = format!("{params}&IotInstanceId=iot-b");
        assert_ne!(world.code(&key, action, &there).await, want, "{there}");
    }
    for (instance, want) in [("", "2.0"), ("&IotInstanceId=iot-b", "3.0")] {
        let params = format!("CurrentPage=1&PageSize=10{instance}");
        let reply = world.reply(&key, "ListOTAFirmware", &params).await;
        assert_eq!(reply["Total"], 1, "{reply}");
        assert_eq!(reply["FirmwareInfo"]["SimpleFirmwareInfo"][0]["DestVersion"], want);
        let products = world.reply(&key, "QueryProductList", &params).await;
        assert_eq!(products["Data"]["Total"], 1, "{products}");
    }
}

#[tokio::test(start_paused = true)]
async fn users_share_the_quota_of_their_account() {
    let world = World::with_quota("mode = 'original'").await;
    let ada = world.user("ada", all_of(&[])).await;
    let bob = world.user("bob", all_of(&[])).await;
    let temporary = world.temporary(Owner::User("bob".into()), 1).await;
    let keys = [&ada, &bob, &temporary, &main_key()];
    for n in 0..10 {
        let code = world.code(keys[n % 4], "ListOTAJobByDevice", "").await;
        assert_eq!(code, "MissingCurrentPage");
    }
    for key in keys {
        assert_eq!(world.code(key, "ListOTAJobByDevice", "").await, "Throttling.User");
    }
}
