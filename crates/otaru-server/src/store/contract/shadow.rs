//! Shadows of devices.

use super::*;
use otaru_core::shadow::{Shadow, ShadowLimits, ShadowOrder};

fn wanted(text: &str) -> Shadow {
    let order = ShadowOrder::parse(text, false).unwrap();
    order.apply(&Shadow::default(), ShadowLimits::default(), at(1)).unwrap()
}

pub fn a_shadow_comes_back_as_it_was_kept_and_goes_with_its_device(engine: &mut dyn Engine) {
    let world = world(engine, 2);
    let [device, other] = [world.devices[0], world.devices[1]];
    let read = |engine: &mut dyn Engine, device| look(engine, |view| view.shadow(device));
    assert_eq!(read(engine, device), Shadow::default());
    let first =
        wanted(r#"{"method":"update","state":{"desired":{"a":"é","b":{"c":[1.5]}}},"version":3}"#);
    let second = wanted(r#"{"method":"update","state":{"desired":{"a":null,"d":1}},"version":4}"#);
    for (no, shadow) in [(device, &first), (other, &first), (device, &second)] {
        change(engine, |rows| rows.put_shadow(no, shadow));
    }
    assert_eq!((read(engine, device), read(engine, other)), (second, first.clone()));
    change(engine, |rows| {
        let gone = rows.device(device)?.unwrap();
        rows.delete_device(world.account, &gone)
    });
    assert_eq!((read(engine, device), read(engine, other)), (Shadow::default(), first));
}
