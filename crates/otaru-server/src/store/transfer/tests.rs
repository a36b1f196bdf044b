use super::*;
use crate::random::Random;
use crate::store::contract::furnish;
use crate::store::sqlite::SqliteEngine;
use crate::store::{Engine, View};
use otaru_core::id::DeviceNo;

fn open(folder: &tempfile::TempDir, name: &str) -> SqliteEngine {
    SqliteEngine::open(&folder.path().join(name), Random::seeded(1)).unwrap()
}

fn exported(engine: &mut SqliteEngine) -> Vec<u8> {
    let mut out = Vec::new();
    engine.in_bulk(|conn| export(conn, &mut out)).unwrap();
    out
}

fn imported(engine: &mut SqliteEngine, mut lines: &[u8]) -> Result<Summary> {
    engine.in_bulk(|conn| import(conn, &mut lines))
}

fn look<T>(engine: &mut SqliteEngine, read: impl Fn(&mut dyn View) -> Result<T>) -> T {
    let mut value = None;
    engine
        .view(&mut |view| {
            value = Some(read(view)?);
            Ok(())
        })
        .unwrap();
    value.unwrap()
}

#[test]
fn every_table_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let mut tables: Vec<_> = crate::store::sqlite::columns(&folder.path().join("one.db"))
        .into_iter()
        .map(|(table, _)| table)
        .collect();
    tables.dedup();
    assert_eq!(tables, TABLES.iter().map(|(table, _)| *table).collect::<Vec<_>>());
}

#[test]
fn what_was_exported_comes_back_whole_and_numbers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut one = open(&folder, "one.db");
    furnish(&mut one);
    let lines = exported(&mut one);
    let mut two = open(&folder, "two.db");
    let summary = imported(&mut two, &lines).unwrap();
    assert!(summary.rows > 100, "{summary:?}");
    assert_eq!(exported(&mut two), lines);
    for engine in [&mut one, &mut two] {
        let mut made = None;
        engine
            .transact(&mut |rows| {
                let device = rows.device(DeviceNo(1))?.unwrap();
                let account = rows.first_account()?.unwrap().no;
                let name = "lamp-next".parse().unwrap();
                let iot_id = otaru_core::id::IotId::generate(77);
                made = Some(rows.insert_device(
                    account,
                    &otaru_core::device::Device { name, iot_id, ..device },
                )?);
                Ok(())
            })
            .unwrap();
        assert_eq!(
            made,
            Some(DeviceNo(26)),
            "the 25th was deleted, and its number is not given again"
        );
    }
}

#[test]
fn an_export_that_is_cut_off_or_changed_is_refused_and_nothing_is_kept_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut one = open(&folder, "one.db");
    furnish(&mut one);
    let lines = exported(&mut one);
    let mut two = open(&folder, "two.db");
    let text = std::str::from_utf8(&lines).unwrap();
    let ends: Vec<_> = text.match_indices('\n').map(|(at, _)| at).collect();
    for cut in ends.iter().rev().skip(1).step_by(7) {
        let refused = imported(&mut two, &lines[..=*cut]).unwrap_err().to_string();
        assert!(refused.contains("ends too early"), "{refused}");
        let refused = imported(&mut two, &lines[..*cut]).unwrap_err().to_string();
        assert!(refused.contains("cut off") || refused.contains("ends too early"), "{refused}");
    }
    let row = text.lines().find(|line| line.starts_with('[')).unwrap();
    let without_a_row = text.replacen(&format!("{row}\n"), "", 1);
    for (changed, why) in [
        (text.replacen("secret-3", "secret-4", 1), "table device"),
        (text.replacen("灯具", "灯", 1), "table device"),
        (without_a_row, "are not those that were exported"),
        (text.replacen("\"otaru_export\":1", "\"otaru_export\":2", 1), "format 2"),
        (text.replacen("\"layout\":", "\"layout\":9", 1), "use the version that wrote it"),
        (format!("{text}more\n"), "something follows the end"),
    ] {
        let refused = imported(&mut two, changed.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(look(&mut two, |view| view.first_account()), None);
    imported(&mut two, &lines).unwrap();
}

#[test]
fn a_store_that_has_rows_takes_no_import() {
    let folder = tempfile::tempdir().unwrap();
    let mut one = open(&folder, "one.db");
    furnish(&mut one);
    let lines = exported(&mut one);
    let refused = imported(&mut one, &lines).unwrap_err().to_string();
    assert!(refused.contains("not empty"), "{refused}");
    assert_eq!(exported(&mut one), lines);
}
