use super::log::checkpoint;
use super::*;
use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    static SEEN: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Every statement that a test runs is asked for its plan, once: none may read a table or an index from end to end.
pub fn assert_walks_indexes(conn: &Connection, sql: &str) {
    if !SEEN.with_borrow_mut(|seen| seen.insert(sql.to_owned())) {
        return;
    }
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().unwrap() {
        let step: String = row.get(3).unwrap();
        let harmless =
            ["SCAN page", "SCAN CONSTANT ROW"].iter().any(|start| step.starts_with(start));
        assert!(harmless || !step.starts_with("SCAN"), "{step}\n{sql}");
        assert!(!step.contains("TEMP B-TREE"), "{step}\n{sql}");
    }
}

/// Tables and columns of a new file, by name.
pub fn columns(path: &Path) -> Vec<(String, String)> {
    let engine = SqliteEngine::open(path, Random::seeded(1)).unwrap();
    let sql = "SELECT t.name, c.name FROM pragma_table_list t JOIN pragma_table_xinfo(t.name) c
         WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite%' ORDER BY 1, 2";
    let mut statement = engine.conn.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

fn open(folder: &tempfile::TempDir, name: &str) -> SqliteEngine {
    SqliteEngine::open(&folder.path().join(name), Random::seeded(1)).unwrap()
}

#[test]
fn the_contract_holds() {
    let folder = tempfile::tempdir().unwrap();
    let n = std::cell::Cell::new(0);
    crate::store::contract::holds_for(|| {
        n.set(n.get() + 1);
        open(&folder, &format!("{}.db", n.get()))
    });
}

#[test]
fn a_store_that_is_opened_again_has_all_that_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let now = otaru_core::time::Timestamp(1);
    let mut engine = open(&folder, "one.db");
    engine.transact(&mut |rows| rows.insert_account("kept", now).map(|_| ())).unwrap();
    drop(engine);
    let mut engine = open(&folder, "one.db");
    let mut next = None;
    engine
        .transact(&mut |rows| {
            next = Some(rows.insert_account("next", now)?);
            Ok(())
        })
        .unwrap();
    assert_eq!(next, Some(otaru_core::id::AccountNo(2)));
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(&folder, "one.db");
    engine.conn.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(engine);
    let refused =
        SqliteEngine::open(&folder.path().join("one.db"), Random::seeded(1)).err().unwrap();
    assert!(refused.to_string().contains("layout 99"), "{refused}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(
        &path,
        "no database, but long enough to have a header of one hundred bytes".repeat(9),
    )
    .unwrap();
    assert!(SqliteEngine::open(&path, Random::seeded(1)).is_err());
}

fn write_many(engine: &mut SqliteEngine) {
    let nonce = |n: u32| crate::store::Nonce {
        access_key: "k".into(),
        nonce: format!("{}{n}", engine.random.hex(500)),
        expires_at: otaru_core::time::Timestamp(i64::from(n)),
    };
    let nonces: Vec<_> = (0..64).map(nonce).collect();
    engine.transact(&mut |rows| rows.insert_nonces(&nonces)).unwrap();
}

#[test]
fn the_log_is_copied_beside_the_writer_once_a_round_of_it_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = open(&folder, "one.db");
    engine.limit_log(i64::MAX, i64::MAX);
    write_many(&mut engine);
    let (pages, copied) = checkpoint(&engine.conn, "NOOP").unwrap();
    assert!(pages > copied, "{pages} {copied}");
    engine.limit_log(1, i64::MAX);
    write_many(&mut engine);
    engine.log.rest();
    let (more, copied) = checkpoint(&engine.conn, "NOOP").unwrap();
    assert!(more > pages && copied == more, "{more} {copied}");
    write_many(&mut engine);
    let (anew, _) = checkpoint(&engine.conn, "NOOP").unwrap();
    assert!(anew < more, "{anew} {more}");
}

#[test]
fn the_log_is_emptied_above_its_cap() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = open(&folder, "one.db");
    let mut reader = engine.reader().unwrap().unwrap();
    engine.limit_log(1, 1);
    write_many(&mut engine);
    reader.view(&mut |view| view.last_device().map(|_| ())).unwrap();
    assert_eq!(checkpoint(&engine.conn, "NOOP").unwrap(), (0, 0));
    let log = folder.path().join("one.db-wal");
    assert_eq!(std::fs::metadata(log).unwrap().len(), 0);
}

/// Lets the file have `more` pages beyond those that it has.
fn leave_room(engine: &SqliteEngine, more: i64) {
    let pages: i64 = engine.conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let set = format!("PRAGMA max_page_count = {}", pages + more);
    engine.conn.query_row(&set, [], |_| Ok(())).unwrap();
}

fn nonces(count: u32) -> Vec<crate::store::Nonce> {
    let nonce = |n| crate::store::Nonce {
        access_key: "key".repeat(300),
        nonce: format!("{n}-{count}"),
        expires_at: otaru_core::time::Timestamp(9),
    };
    (0..count).map(nonce).collect()
}

#[test]
fn a_full_database_refuses_what_needs_room_and_takes_it_once_there_is_some() {
    let folder = tempfile::tempdir().unwrap();
    let now = otaru_core::time::Timestamp(1);
    let mut engine = open(&folder, "one.db");
    engine.transact(&mut |rows| rows.insert_account("kept", now).map(|_| ())).unwrap();
    leave_room(&engine, 2);
    let refused = engine.transact(&mut |rows| rows.insert_nonces(&nonces(64))).unwrap_err();
    assert!(refused.to_string().contains("database or disk is full"), "{refused}");
    let mut found = None;
    engine
        .view(&mut |view| {
            found = Some((view.first_account()?.is_some(), view.nonces(now)?.len()));
            Ok(())
        })
        .unwrap();
    assert_eq!(found, Some((true, 0)), "nothing of it is there");
    leave_room(&engine, 1_000);
    engine.transact(&mut |rows| rows.insert_nonces(&nonces(64))).unwrap();
}

#[tokio::test]
async fn a_change_that_finds_no_room_takes_no_other_of_its_batch_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let now = otaru_core::time::Timestamp(1);
    let engine = open(&folder, "one.db");
    leave_room(&engine, 2);
    let (store, run) = crate::store::Store::inline(engine);
    let small = store.queue(move |rows| rows.insert_account("small", now)).await.unwrap();
    let large = store.queue(|rows| rows.insert_nonces(&nonces(64))).await.unwrap();
    let last = store.queue(move |rows| rows.insert_account("last", now)).await.unwrap();
    drop(store);
    run.await;
    assert!(small.await.is_ok());
    let refused = large.await.unwrap_err().to_string();
    assert!(refused.contains("database or disk is full"), "{refused}");
    assert!(last.await.is_ok());
}

#[test]
fn the_writer_alone_waits_for_nothing_in_a_file_system_without_shared_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.db");
    let vfs = if cfg!(unix) { "unix-none" } else { "win32-none" };
    let mut engine =
        SqliteEngine::open_with(path.to_str().unwrap(), Some(vfs), Random::seeded(1)).unwrap();
    assert!(engine.reader().unwrap().is_none());
    let now = otaru_core::time::Timestamp(1);
    engine.transact(&mut |rows| rows.insert_account("one", now).map(|_| ())).unwrap();
    assert!(!folder.path().join("one.db-shm").exists());
}

#[test]
fn devices_of_an_older_file_keep_their_numbers_and_are_counted_by_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.db");
    let conn = Connection::open(&path).unwrap();
    schema::migrate_to(&conn, 4).unwrap();
    conn.execute_batch(
        "INSERT INTO account (no, name, devices, created_at) VALUES (1, 'main', 3, 0);
         INSERT INTO product (no, account, key, secret, name, node_type, commodity_code, auth_type, category_key,
                 description, protocol_type, net_type, validate_type, created_at, devices)
             VALUES (1, 1, 'a1', 's', 'lamp', 0, '', 'secret', '', '', '', 3, 1, 0, 3);
         INSERT INTO device (no, product, name, iot_id, secret, nickname, disabled, created_at, activated_at, online_at,
                 address)
             VALUES (5, 1, 'lamp5', 'i5', 's', '', 0, 10, NULL, NULL, ''),
                    (7, 1, 'lamp7', 'i7', 's', '', 0, 10, 20, 30, '10.0.0.1'),
                    (9, 1, 'lamp9', 'i9', 's', '', 1, 10, 20, 30, '10.0.0.1');",
    )
    .unwrap();
    drop(conn);
    let mut engine = open(&folder, "one.db");
    let mut seen = None;
    engine
        .transact(&mut |rows| {
            use crate::store::Tally;
            use otaru_core::id::{AccountNo, DeviceNo, ProductNo};
            use otaru_core::topic_class::TopicClass;
            let want = Tally { devices: 3, unactive: 1, disabled: 1, activated: 2 };
            assert_eq!(rows.tally(ProductNo(1))?, want);
            let classes = rows.topic_classes(ProductNo(1))?.into_iter().map(|(_, class)| class);
            assert!(classes.eq(TopicClass::defaults()), "they are those of a new product");
            let mut last = rows.device(DeviceNo(9))?.unwrap();
            assert_eq!((last.disabled, last.status_at.0), (true, 30));
            rows.delete_device(AccountNo(1), &last)?;
            last.name = "lamp10".parse().unwrap();
            seen = Some(rows.insert_device(AccountNo(1), &last)?);
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, Some(otaru_core::id::DeviceNo(10)));
}

#[tokio::test]
async fn a_change_that_runs_sees_that_others_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (store, run) = crate::store::Store::inline(open(&folder, "one.db"));
    let (waiting, other) = (store.waiting(), store.clone());
    let seen = store.queue(move |_| {
        let before = waiting.any();
        other.change_lazily(|_| Ok(()))?;
        Ok((before, waiting.any()))
    });
    let seen = seen.await.unwrap();
    drop(store);
    run.await;
    assert_eq!(seen.await.unwrap(), (false, true));
}

#[tokio::test]
async fn a_read_that_fails_takes_none_with_it_of_those_that_share_its_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let now = otaru_core::time::Timestamp(1);
    let mut engine = open(&folder, "one.db");
    engine.transact(&mut |rows| rows.insert_account("one", now).map(|_| ())).unwrap();
    let (store, handle) = crate::store::Store::threaded(engine, 1).unwrap();
    // The only reader is held up until all others wait.
    let (go, held) = std::sync::mpsc::channel::<()>();
    let first = tokio::spawn({
        let store = store.clone();
        async move { store.view(move |_| Ok(held.recv().is_ok())).await }
    });
    let reads = (0..50).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .view(move |view| match n % 7 {
                    3 => Err(StoreError::Engine("no".into())),
                    _ => Ok(view.first_account()?.is_some()),
                })
                .await
        })
    });
    let reads: Vec<_> = reads.collect();
    // Each has queued its read once it was given a turn.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    assert!(first.await.unwrap().unwrap());
    for (n, read) in reads.into_iter().enumerate() {
        let found = read.await.unwrap();
        assert_eq!(found.ok(), (n % 7 != 3).then_some(true), "{n}");
    }
    drop(store);
    handle.join();
}
