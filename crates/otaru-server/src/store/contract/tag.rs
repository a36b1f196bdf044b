//! Tags of devices and products.

use super::*;

fn here_of(world: &World) -> Realm {
    Realm { account: world.account, instance: otaru_core::id::InstanceNo(0) }
}

fn pair(key: &str, value: &str) -> TagPair {
    (key.to_owned(), value.to_owned())
}

pub fn devices_are_found_by_all_of_their_tags(engine: &mut dyn Engine) {
    let world = world(engine, 4);
    let (here, d) = (here_of(&world), &world.devices);
    let other = Realm { instance: otaru_core::id::InstanceNo(1), ..here };
    change(engine, |rows| {
        for device in [d[0], d[1], d[2]] {
            rows.put_device_tag(here, device, "room", "101")?;
        }
        rows.put_device_tag(here, d[1], "floor", "2")?;
        rows.put_device_tag(here, d[0], "floor", "1")?;
        rows.put_device_tag(here, d[2], "floor", "1")?;
        // The value is replaced and counted once.
        rows.put_device_tag(here, d[2], "floor", "2")?;
        rows.put_device_tag(here, d[2], "floor", "2")?;
        rows.put_device_tag(other, d[3], "room", "101")
    });
    let found = |engine: &mut dyn Engine, tags: &[TagPair], page| {
        let listed = look(engine, |view| view.devices_by_tags(here, tags, page));
        (listed.rows.iter().map(|device| device.no).collect::<Vec<_>>(), listed.total)
    };
    let (room, floor) = (pair("room", "101"), pair("floor", "2"));
    assert_eq!(look(engine, |view| view.device_tags(d[2])), [floor.clone(), room.clone()]);
    let one = [room.clone()];
    assert_eq!(found(engine, &one, ALL), (vec![d[2], d[1], d[0]], 3));
    assert_eq!(found(engine, &one, Page::new(2, 2)), (vec![d[0]], 3));
    let both = [room, floor];
    assert_eq!(found(engine, &both, ALL), (vec![d[2], d[1]], 2));
    assert_eq!(found(engine, &both, Page::new(2, 1)), (vec![d[1]], 2));
    assert_eq!(found(engine, &[pair("room", "102")], ALL), (vec![], 0));
    let ten: Vec<_> = (0..10).map(|n| pair("room", &n.to_string())).collect();
    assert_eq!(found(engine, &ten, ALL), (vec![], 0));
    change(engine, |rows| {
        rows.delete_device_tag(d[2], "floor")?;
        rows.delete_device_tag(d[2], "nothing")?;
        rows.delete_device_tags(d[1])
    });
    assert_eq!(found(engine, &both, ALL), (vec![], 0));
    assert_eq!(found(engine, &one, ALL), (vec![d[2], d[0]], 2));
}

pub fn products_are_found_by_key_or_tag(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let here = here_of(&world);
    let there = Realm { account: AccountNo(99), ..here };
    let second = change(engine, |rows| rows.insert_product(&new_product(here.account, 2)));
    change(engine, |rows| {
        rows.put_product_tag(here, world.product, "room", "1")?;
        rows.put_product_tag(here, world.product, "room", "2")?;
        rows.put_product_tag(here, world.product, "area", "北")?;
        rows.put_product_tag(here, second, "room", "1")
    });
    look(engine, |view| {
        let tags = [pair("area", "北"), pair("room", "2")];
        assert_eq!(view.product_tags(world.product)?, tags);
        let mut both = view.products_by_tag(here, "room", None)?;
        both.sort_unstable();
        assert_eq!(both, [world.product, second]);
        assert_eq!(view.products_by_tag(here, "room", Some("1"))?, [second]);
        assert!(view.products_by_tag(there, "room", None)?.is_empty());
        Ok(())
    });
    change(engine, |rows| {
        rows.delete_product_tag(world.product, "room")?;
        rows.delete_product_tag(world.product, "nothing")
    });
    assert_eq!(look(engine, |view| view.product_tags(world.product)), [pair("area", "北")]);
}
