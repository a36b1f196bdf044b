//! Gateways and their sub-devices.

use super::*;

pub fn a_sub_device_has_one_gateway_until_either_is_deleted(engine: &mut dyn Engine) {
    let world = world(engine, 6);
    let d = &world.devices;
    change(engine, |rows| {
        for (sub, gateway) in [(2, 0), (3, 0), (4, 1), (3, 1), (5, 0)] {
            rows.attach(d[sub], d[gateway])?;
        }
        Ok(())
    });
    let subs = |engine: &mut dyn Engine, gateway: usize| {
        let found = look(engine, |view| view.sub_devices(d[gateway], 10));
        let count = look(engine, |view| view.sub_device_count(d[gateway]));
        assert_eq!(found.len() as u64, count);
        found.iter().map(|device| device.no).collect::<Vec<_>>()
    };
    assert_eq!((subs(engine, 0), subs(engine, 1)), (vec![d[2], d[5]], vec![d[3], d[4]]));
    assert_eq!(look(engine, |view| view.sub_devices(d[0], 1)).len(), 1);
    assert_eq!(look(engine, |view| view.gateway_of(d[3])), Some(d[1]));
    change(engine, |rows| {
        rows.detach(d[2])?;
        rows.detach(d[2])?;
        for gone in [d[1], d[5]] {
            let device = rows.device(gone)?.unwrap();
            rows.delete_device(world.account, &device)?;
        }
        Ok(())
    });
    assert_eq!((subs(engine, 0), subs(engine, 1)), (vec![], vec![]));
    assert_eq!(look(engine, |view| view.gateway_of(d[3])), None);
}
