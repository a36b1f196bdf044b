//! Packages.

use super::*;

pub fn holds_for<E: Engine>(open: impl Fn() -> E) {
    packages_come_back(&mut open());
    a_deleted_package_is_found_by_number_only(&mut open());
    packages_are_listed_by_filter_with_their_total(&mut open());
    a_version_is_taken_within_product_module_and_kind(&mut open());
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
