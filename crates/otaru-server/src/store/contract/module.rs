//! Modules and the versions of a device.

use super::*;
use otaru_core::module::Module;

pub fn holds_for<E: Engine>(open: &impl Fn() -> E) {
    modules_come_back_in_the_order_of_their_names(&mut open());
    a_module_has_packages_until_the_last_is_deleted(&mut open());
    versions_of_a_device_are_listed_by_module(&mut open());
}

fn modules_come_back_in_the_order_of_their_names(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let other = change(engine, |rows| rows.insert_product(&new_product(world.account, 2)));
    let new = |name: &str| Module {
        name: module(name),
        alias: "主控".into(),
        description: "main controller".into(),
        created_at: at(7),
        modified_at: at(8),
    };
    change(engine, |rows| {
        for name in ["wifi", "MCU", "ble"] {
            rows.insert_module(world.product, &new(name))?;
        }
        rows.insert_module(other, &new("mcu"))
    });
    let names = |engine: &mut dyn Engine, product| {
        let modules = look(engine, |view| view.modules(product));
        modules.iter().map(|module| module.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(engine, world.product), ["ble", "default", "MCU", "wifi"]);
    assert_eq!(names(engine, other), ["default", "mcu"]);
    let found = look(engine, |view| view.module(world.product, &module("mcu"))).unwrap();
    assert_eq!((&found, found.name.as_str()), (&new("MCU"), "MCU"));
    let changed = Module { alias: String::new(), modified_at: at(9), ..found };
    change(engine, |rows| rows.update_module(world.product, &changed));
    assert_eq!(
        look(engine, |view| view.module(world.product, &module("MCU"))).as_ref(),
        Some(&changed)
    );
    assert_eq!(look(engine, |view| view.module(other, &module("MCU"))), Some(new("mcu")));
    change(engine, |rows| rows.delete_module(world.product, &module("Mcu")));
    assert_eq!(names(engine, world.product), ["ble", "default", "wifi"]);
}

fn a_module_has_packages_until_the_last_is_deleted(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let package = Package { module: module("MCU"), ..new_package(world.account, world.product, 2) };
    let no = change(engine, |rows| rows.insert_package(&package));
    let has = |engine: &mut dyn Engine, name: &str| {
        look(engine, |view| view.module_has_packages(world.product, &module(name)))
    };
    assert!(has(engine, "mcu") && !has(engine, "wifi"));
    change(engine, |rows| rows.delete_package(no, at(9)));
    assert!(!has(engine, "MCU"));
}

fn versions_of_a_device_are_listed_by_module(engine: &mut dyn Engine) {
    let world = world(engine, 2);
    let device = world.devices[0];
    change(engine, |rows| {
        let known = Module {
            name: module("MCU"),
            alias: String::new(),
            description: String::new(),
            created_at: at(1),
            modified_at: at(1),
        };
        rows.insert_module(world.product, &known)?;
        for (name, text) in [("mcu", "1"), ("Radio", "2"), ("default", "3"), ("RADIO", "4")] {
            rows.put_version(device, &module(name), &version(text), at(2))?;
        }
        rows.put_version(world.devices[1], &module("mcu"), &version("9"), at(2))
    });
    let listed = |engine: &mut dyn Engine, page| {
        let rows = look(engine, |view| view.versions_of_device(world.product, device, page));
        rows.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>()
    };
    assert_eq!(listed(engine, ALL), ["default 3", "MCU 1", "Radio 4"]);
    assert_eq!(listed(engine, Page::new(2, 2)), ["Radio 4"]);
    assert_eq!(look(engine, |view| view.version_count(device)), 3);
}
