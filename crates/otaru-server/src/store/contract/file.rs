//! Files of devices.

use super::*;
use otaru_core::file::DeviceFile;
use otaru_core::id::FileId;

pub fn files_of_a_device_come_back_and_go_with_it(engine: &mut dyn Engine) {
    let world = world(engine, 2);
    let (device, other) = (world.devices[0], world.devices[1]);
    let file = |n: u64, device| DeviceFile {
        id: FileId::generate(u128::from(n)),
        device,
        name: format!("log-{n}.txt"),
        blob: blob(1_000 + n),
        created_at: at(9),
    };
    let files = [file(1, device), file(2, other), file(3, device), file(4, device)];
    change(engine, |rows| files.iter().try_for_each(|file| rows.insert_device_file(file)));
    let list = |engine: &mut dyn Engine, page| {
        let listed = look(engine, |view| view.device_files(device, page));
        (listed.rows, listed.total)
    };
    let [one, theirs, three, four] = files;
    assert_eq!(list(engine, ALL), (vec![four.clone(), three.clone(), one.clone()], 3));
    assert_eq!(list(engine, Page::new(2, 2)), (vec![one.clone()], 3));
    look(engine, |view| {
        assert_eq!(view.device_file(device, &one.id)?.as_ref(), Some(&one));
        assert_eq!(view.device_file(device, &theirs.id)?, None, "it is another device's");
        assert!(view.blob_is_used(&one.blob.sha256)?);
        Ok(())
    });
    change(engine, |rows| rows.delete_device_file(device, &one.id));
    assert_eq!(list(engine, ALL), (vec![four, three.clone()], 2));
    assert!(!look(engine, |view| view.blob_is_used(&one.blob.sha256)));
    change(engine, |rows| {
        let gone = rows.device(device)?.unwrap();
        rows.delete_device(world.account, &gone)
    });
    assert_eq!(list(engine, ALL), (vec![], 0));
    assert!(!look(engine, |view| view.blob_is_used(&three.blob.sha256)));
    assert!(look(engine, |view| view.device_file(other, &theirs.id)).is_some());
}
