//! The disk itself: SQLite on it keeps what it committed, and nothing else, through every crash.

use crate::chance::Chance;
use crate::disk::{Disk, Loss};
use crate::vfs;
use rusqlite::{Connection, OpenFlags, params};

fn open(disk: &Disk) -> Connection {
    let path = format!("{}/test.db", disk.root());
    let db = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), vfs::NAME)
        .expect("the database opens");
    let mode: String = db
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .expect("the journal mode is answered");
    assert_eq!(mode, "wal");
    db.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 20; PRAGMA journal_size_limit = 65536;
         CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, body BLOB NOT NULL);",
    )
    .expect("the schema is there or made");
    db
}

fn rows(db: &Connection) -> Vec<(i64, i64)> {
    let mut statement = db.prepare("SELECT id, length(body) FROM t ORDER BY id").expect("a query");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

fn put(db: &Connection, id: i64, bytes: i64) {
    db.execute("INSERT OR REPLACE INTO t VALUES (?1, zeroblob(?2))", params![id, bytes])
        .expect("the row is written");
}

fn number(chance: &mut Chance, below: u64) -> i64 {
    i64::try_from(chance.below(below)).expect("a small number")
}

/// Commits, leaves a transaction open, crashes, opens again; many times over on one disk.
pub fn a_table_survives_a_crash_exactly_as_committed() {
    let mut losses = Vec::new();
    for seed in 0..60 {
        let mut chance = Chance::new(seed);
        let disk = Disk::new();
        let mut want = std::collections::BTreeMap::new();
        for crash in 0..8 {
            let db = open(&disk);
            let reader = open(&disk);
            let found: Vec<_> = want.iter().map(|(&id, &bytes)| (id, bytes)).collect();
            assert_eq!(rows(&db), found, "seed {seed}, before crash {crash}");
            let check: String =
                db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
            assert_eq!(check, "ok", "seed {seed}, before crash {crash}");
            for _ in 0..chance.between(0, 30) {
                db.execute_batch("BEGIN IMMEDIATE").expect("the writer is alone");
                for _ in 0..chance.between(1, 5) {
                    let id = number(&mut chance, 50);
                    let bytes = number(&mut chance, 6_000);
                    put(&db, id, bytes);
                    want.insert(id, bytes);
                }
                db.execute_batch("COMMIT").expect("it commits");
                if chance.percent(20) {
                    assert_eq!(rows(&reader).len(), want.len(), "readers see each commit");
                }
            }
            db.execute_batch("BEGIN IMMEDIATE").expect("the writer is alone");
            for id in 0..number(&mut chance, 60) {
                put(&db, id, 7_000);
            }
            losses.push(disk.crash(&mut chance));
            drop((db, reader));
        }
    }
    for loss in [Loss::All, Loss::Nothing, Loss::Tail, Loss::Sectors] {
        assert!(losses.contains(&loss), "{loss:?} was never drawn");
    }
}

/// The disk does lose what nobody synced: otherwise the test above would prove nothing.
pub fn without_syncs_a_crash_loses_what_was_committed() {
    let mut lost = 0;
    for seed in 0..20 {
        let mut chance = Chance::new(seed);
        let disk = Disk::new();
        let db = open(&disk);
        db.execute_batch("PRAGMA synchronous = OFF").expect("a setting");
        put(&db, 1, 100);
        disk.crash(&mut chance);
        drop(db);
        lost += u32::from(rows(&open(&disk)).is_empty());
    }
    assert!((1..20).contains(&lost), "{lost} of 20");
}

pub fn a_reader_keeps_its_snapshot_and_a_second_writer_waits() {
    let disk = Disk::new();
    let (one, two) = (open(&disk), open(&disk));
    put(&one, 1, 1);
    two.execute_batch("BEGIN").expect("a read transaction");
    assert_eq!(rows(&two).len(), 1);
    put(&one, 2, 1);
    assert_eq!((rows(&one).len(), rows(&two).len()), (2, 1));
    two.execute_batch("COMMIT").expect("it ends");
    assert_eq!(rows(&two).len(), 2);
    one.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
    two.busy_timeout(std::time::Duration::ZERO).expect("a setting");
    assert!(two.execute_batch("BEGIN IMMEDIATE").is_err(), "one writer at a time");
    one.execute_batch("COMMIT").expect("it ends");
    two.execute_batch("BEGIN IMMEDIATE; COMMIT").expect("now it can");
    drop((one, two));
    assert_eq!(rows(&open(&disk)).len(), 2, "a clean end keeps everything");
}

pub fn a_connection_from_before_the_crash_can_do_nothing() {
    let mut chance = Chance::new(1);
    let disk = Disk::new();
    let old = open(&disk);
    put(&old, 1, 1);
    disk.crash(&mut chance);
    assert!(old.execute("DELETE FROM t", []).is_err());
    let new = open(&disk);
    put(&new, 2, 1);
    drop(old);
    assert_eq!(rows(&new), [(1, 1), (2, 1)]);
}

/// Commits one row after the other until the power fails somewhere in one of them.
pub fn power_that_fails_during_a_commit_loses_that_one_at_most() {
    let mut kept = 0;
    for seed in 0..300 {
        let mut chance = Chance::new(seed);
        let disk = Disk::new();
        let db = open(&disk);
        disk.fail_after(chance.between(1, 200));
        let mut committed = 0;
        while db.execute("INSERT INTO t VALUES (?1, zeroblob(3000))", [committed + 1]).is_ok() {
            committed += 1;
        }
        disk.crash(&mut chance);
        drop(db);
        let found = i64::try_from(rows(&open(&disk)).len()).expect("a small number");
        assert!(
            (committed..=committed + 1).contains(&found),
            "seed {seed}: {found} of {committed}"
        );
        kept += found - committed;
    }
    assert!(kept > 0, "a commit that failed may have reached the disk");
}
