//! Products and devices.

use super::*;

pub fn holds_for<E: Engine>(open: impl Fn() -> E) {
    products_come_back_and_names_are_taken_per_instance(&mut open());
    devices_come_back_and_are_counted(&mut open());
    devices_are_listed_newest_first_and_walked_in_order(&mut open());
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
