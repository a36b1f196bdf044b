//! Devices that register themselves.

use super::*;
use crate::mqtt::TopoAnswer;
use otaru_core::registration::{Claim, Enrolled, Grant, RegisterError, Registration};
use otaru_core::signature::device::{SignMethod, register_content};
use otaru_core::topology::{SubName, TopoAsk, TopoError};

impl World {
    async fn lets(&self, registration: Registration) {
        let product = self.product.no;
        let set =
            self.app.change(move |rows, _, _| Ok(rows.set_registration(product, registration)?));
        set.await.unwrap();
    }

    fn claim(&self, name: &str, secret: &str) -> Claim {
        let key = self.product.key.as_str();
        let sign = SignMethod::Sha256.sign(secret, &register_content(key, name, "r"));
        Claim::new(key, name, "r", "hmacsha256", &sign).unwrap()
    }

    async fn enrols(
        &self,
        name: &str,
        grant: Grant,
    ) -> std::result::Result<Enrolled, RegisterError> {
        self.app.enrol(self.claim(name, &self.product.secret), grant).await.unwrap()
    }

    async fn secret(&self, name: &str) -> Option<String> {
        let gate = Gatekeeper(self.app.clone());
        let identity = gate.identity(&self.product.key, &name.parse().unwrap()).await.unwrap();
        identity.and_then(|identity| identity.proof.secret().map(str::to_owned))
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_registers_until_it_has_connected_and_once_more_after_a_reset() {
    let world = World::new().await;
    let device = world.device("dev1").await;
    assert_eq!(world.enrols("dev1", Grant::Secret).await, Err(RegisterError::Off));
    world.lets(Registration::Known).await;
    let first = world.enrols("dev1", Grant::Secret).await.unwrap();
    assert_ne!(first.secret, device.secret);
    let second = world.enrols("dev1", Grant::Secret).await.unwrap();
    assert_ne!(first.secret, second.secret);
    assert_eq!(world.secret("dev1").await, Some(second.secret.clone()), "the latest is good");

    world.connects(&device, 1);
    assert_eq!(world.enrols("dev1", Grant::Secret).await, Err(RegisterError::Active));
    assert_eq!(world.secret("dev1").await, Some(second.secret.clone()));

    world.app.reset_device(world.caller, world.device_key("dev1")).await.unwrap();
    // It was not gone yet: that the old secret connects is no registration.
    world.connects(&device, 2);
    let third = world.enrols("dev1", Grant::Secret).await.unwrap();
    let again = world.enrols("dev1", Grant::Secret).await.unwrap();
    assert_ne!(third.secret, again.secret, "the first answer may have been lost");
    world.connects(&device, 3);
    assert_eq!(world.enrols("dev1", Grant::Secret).await, Err(RegisterError::Active));
    assert_eq!(world.secret("dev1").await, Some(again.secret));
}

#[tokio::test(start_paused = true)]
async fn registrations_that_are_refused_change_nothing() {
    let world = World::new().await;
    let device = world.device("dev1").await;
    world.lets(Registration::Known).await;
    let wrong = world.app.enrol(world.claim("dev1", "wrong"), Grant::Secret).await.unwrap();
    assert_eq!(wrong, Err(RegisterError::Sign));
    assert_eq!(world.enrols("dev1", Grant::Token).await, Err(RegisterError::Off));
    assert_eq!(world.enrols("dev2", Grant::Secret).await, Err(RegisterError::NoDevice));
    let elsewhere = Claim::new("a1nowhere", "dev1", "r", "hmacsha256", "00").unwrap();
    let elsewhere = world.app.enrol(elsewhere, Grant::Secret).await.unwrap();
    assert_eq!(elsewhere, Err(RegisterError::NoProduct));
    world.app.set_disabled(world.caller, world.device_key("dev1"), true).await.unwrap();
    assert_eq!(world.enrols("dev1", Grant::Secret).await, Err(RegisterError::Disabled));
    assert_eq!(world.secret("dev1").await, Some(device.secret));
    assert_eq!(world.secret("dev2").await, None);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_device_is_made_for_a_token_as_far_as_the_account_has_room() {
    let world = World::with_limits(Limits { devices_max: Some(2), ..Limits::default() }).await;
    world.lets(Registration::Any).await;
    let first = world.enrols("dev1", Grant::Token).await.unwrap();
    assert_eq!(world.secret("dev1").await, Some(first.secret.clone()));
    let again = world.enrols("dev1", Grant::Token).await.unwrap();
    assert_eq!(first.iot_id, again.iot_id, "it is one device");
    assert_ne!(first.client_id, again.client_id);
    assert!(world.enrols("dev2", Grant::Token).await.is_ok());
    assert_eq!(world.enrols("dev3", Grant::Token).await, Err(RegisterError::TooMany));
    assert_eq!(world.secret("dev3").await, None);
}

#[tokio::test(start_paused = true)]
async fn of_two_registrations_at_once_the_later_one_counts() {
    let world = World::new().await;
    world.device("dev1").await;
    world.lets(Registration::Known).await;
    let both =
        tokio::join!(world.enrols("dev1", Grant::Secret), world.enrols("dev1", Grant::Secret));
    let secrets = [both.0.unwrap().secret, both.1.unwrap().secret];
    assert_ne!(secrets[0], secrets[1]);
    assert_eq!(world.secret("dev1").await.as_ref(), secrets.last());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_registers_all_of_its_sub_devices_or_none_and_with_signatures_each_by_itself() {
    let world = World::new().await;
    let profile = ProductProfile { node_type: 1, ..ProductProfile::default() };
    let new = NewProduct { name: "gates".into(), profile };
    let gates = world.app.create_product(world.caller, new).await.unwrap();
    let of_gates = |name: &str| NewDevice {
        product_key: gates.key.to_string(),
        name: Some(name.parse().unwrap()),
        nickname: String::new(),
    };
    let mut gateways = Vec::new();
    for name in ["gate1", "gate2"] {
        let (_, device) = world.app.register_device(world.caller, of_gates(name)).await.unwrap();
        gateways.push(Peer { device: device.no, epoch: Epoch(1) });
    }
    let subs = [world.device("sub1").await, world.device("sub2").await];
    let name = |name: &str| SubName {
        product_key: world.product.key.clone(),
        device_name: name.parse().unwrap(),
    };
    let asks = async |ask| world.app.topology(gateways[0], ask).await.unwrap();
    let register = |names: &[&str]| TopoAsk::Register(names.iter().map(|it| name(it)).collect());
    let refused = |error: RegisterError| Err(TopoError::Registration(error));

    assert_eq!(asks(register(&["sub1"])).await, refused(RegisterError::Off));
    world.lets(Registration::Known).await;
    world.connects(&subs[1], 4);
    assert_eq!(asks(register(&["sub1", "sub2"])).await, refused(RegisterError::Active));
    assert_eq!(world.secret("sub1").await, Some(subs[0].secret.clone()), "none of them");
    let Ok(TopoAnswer::Registered(enrolled)) = asks(register(&["sub1"])).await else {
        panic!("it may")
    };
    assert_eq!(world.secret("sub1").await.as_ref(), Some(&enrolled[0].secret));

    let (sub, other) = (subs[0].no, gateways[1].device);
    world.app.change(move |rows, _, _| Ok(rows.attach(sub, other)?)).await.unwrap();
    assert_eq!(asks(register(&["sub1"])).await, refused(RegisterError::BoundElsewhere));
    let signed = ["sub1", "sub2", "sub3"].map(|it| Ok(world.claim(it, &world.product.secret)));
    let mut signed = signed.to_vec();
    signed.push(Ok(world.claim("sub2", "wrong")));
    world.app.reset_device(world.caller, world.device_key("sub2")).await.unwrap();
    let answer = asks(TopoAsk::RegisterSigned(signed)).await.unwrap();
    let TopoAnswer::RegisteredSigned { enrolled, refused } = answer else { panic!("{answer:?}") };
    assert_eq!(enrolled.len(), 1);
    assert_eq!(world.secret("sub2").await.as_ref(), Some(&enrolled[0].secret));
    let want = [
        (name("sub1"), RegisterError::BoundElsewhere),
        (name("sub3"), RegisterError::NoDevice),
        (name("sub2"), RegisterError::Sign),
    ];
    assert_eq!(refused, want);
}
