//! What the writer knows without asking never outlives what makes it true.

use super::*;
use crate::store::contract::{self, Known};
use otaru_core::id::DeviceNo;
use otaru_core::task::Task;

fn open_knowing(bytes: usize) -> PostgresEngine {
    PostgresEngine::open_in(target(), &schema(), Random::seeded(1), bytes).unwrap()
}

/// The one task of a device, as a batch reads it.
fn read(engine: &mut PostgresEngine, device: DeviceNo) -> Result<Task> {
    let mut found = None;
    engine.transact(&mut |rows| {
        found = rows.unfinished_tasks(device)?.pop();
        Ok(())
    })?;
    Ok(found.unwrap())
}

/// Lets the task of a device be at `progress`, in a batch that may fail after that.
fn write(engine: &mut PostgresEngine, device: DeviceNo, progress: u8, fails: bool) -> Result<()> {
    engine.transact(&mut |rows| {
        let before = rows.unfinished_tasks(device)?.pop().unwrap();
        rows.update_task(&before, &Task { progress, ..before.clone() })?;
        assert_eq!(rows.unfinished_tasks(device)?.pop().unwrap().progress, progress);
        if fails { Err(StoreError::Engine("as it was told to".into())) } else { Ok(()) }
    })
}

/// The progress of all tasks, by another connection.
fn kept(schema: &str) -> Vec<i64> {
    let session = Session::new(target(), schema, 0).unwrap();
    session.connect().unwrap();
    let rows = session.query("SELECT progress FROM task ORDER BY no", &[]).unwrap();
    let number = |value: &Value| match value {
        Value::Integer(number) => *number,
        other => panic!("{other:?}"),
    };
    rows.iter().map(|row| number(&row[0])).collect()
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn known_rows_are_those_of_the_tables_however_few_are_known() {
    for bytes in [0, 4_000, 1 << 20] {
        contract::known_rows_are_those_of_the_tables(|| open_knowing(bytes));
    }
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn the_contract_holds_when_nothing_is_known_between_batches() {
    contract::holds_for(|| open_knowing(0));
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_known_row_is_not_asked_for_again() {
    let mut engine = open_knowing(1 << 20);
    let Known { devices, .. } = contract::known(&mut engine);
    let warm = read(&mut engine, devices[0]).unwrap();
    // A row that was changed behind the server's back tells whether it was asked for.
    engine.session.batch("UPDATE task SET progress = 77").unwrap();
    assert_eq!(read(&mut engine, devices[0]).unwrap(), warm);
    assert_eq!(read(&mut engine, devices[1]).unwrap().progress, 77);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn what_a_failed_batch_changed_is_forgotten() {
    let name = schema();
    let mut engine = open_in(&name);
    let Known { devices, .. } = contract::known(&mut engine);
    write(&mut engine, devices[0], 10, false).unwrap();
    write(&mut engine, devices[0], 20, true).unwrap_err();
    assert_eq!(read(&mut engine, devices[0]).unwrap().progress, 10);
    // A statement that the database refuses, among others that it took.
    let refused = engine.transact(&mut |rows| {
        let before = rows.unfinished_tasks(devices[0])?.pop().unwrap();
        rows.update_task(&before, &Task { progress: 30, ..before.clone() })?;
        rows.insert_task(&before).map(drop)
    });
    assert!(refused.unwrap_err().to_string().contains("23505"), "two tasks of one id");
    assert_eq!(read(&mut engine, devices[0]).unwrap().progress, 10);
    assert_eq!(kept(&name)[0], 10);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn what_only_some_changes_of_a_task_touch_is_written_with_all_of_them() {
    let name = schema();
    let mut engine = open_in(&name);
    let Known { devices, .. } = contract::known(&mut engine);
    let mut change = |change: fn(&Task) -> Task, again: fn(&Task) -> Task| {
        let mut after = None;
        let changed = engine.transact(&mut |rows| {
            let before = rows.unfinished_tasks(devices[0])?.pop().unwrap();
            let between = change(&before);
            rows.update_task(&before, &between)?;
            rows.update_task(&between, &again(&between))?;
            after = Some(again(&between));
            Ok(())
        });
        changed.unwrap();
        let mut other = open_in(&name);
        assert_eq!(Some(read(&mut other, devices[0]).unwrap()), after);
        engine = open_in(&name);
    };
    let step = |task: &Task| Task {
        progress: task.progress + 1,
        modified_at: Timestamp(task.modified_at.0 + 1),
        ..task.clone()
    };
    let state = |task: &Task| Task {
        failed_tries: task.failed_tries + 1,
        timeout_at: Some(Timestamp(9)),
        ..task.clone()
    };
    let detail = |task: &Task| Task { description: "slow".into(), ..task.clone() };
    change(step, step);
    change(step, state);
    change(state, step);
    change(detail, step);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_changed_row_finds_room_in_its_page() {
    let engine = open_in(&schema());
    let blocks = || {
        let sql = "SELECT no, CAST(split_part(trim(CAST(ctid AS TEXT), '()'), ',', 1) AS BIGINT) FROM task ORDER BY no";
        engine.session.query(sql, &[]).unwrap()
    };
    let rows =
        "INSERT INTO task (job, device, status, progress, failed_tries, told, reason, modified_at)
         SELECT 1, no, 3, 0, 0, 0, 0, 0 FROM generate_series(1, 1000) no";
    engine.session.batch(rows).unwrap();
    let before = blocks();
    engine.session.batch("UPDATE task SET progress = 1 WHERE no % 3 = 0").unwrap();
    assert_eq!(blocks(), before, "no row has moved, which would cost an entry in each index");
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_batch_goes_on_after_no_error_that_it_does_not_tell() {
    let name = schema();
    let mut engine = open_in(&name);
    let Known { devices, .. } = contract::known(&mut engine);
    let refused = engine.transact(&mut |rows| {
        let device = rows.device(devices[0])?.unwrap();
        assert!(rows.insert_device(AccountNo(1), &device).is_err(), "there is one of its name");
        Ok(())
    });
    assert!(refused.is_err(), "nothing of it is kept, and nobody is told that it was");
    assert_eq!(read(&mut engine, devices[0]).unwrap().progress, 0);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_server_that_lost_its_database_answers_nothing_from_memory() {
    let name = schema();
    let mut before = open_in(&name);
    let Known { devices, .. } = contract::known(&mut before);
    read(&mut before, devices[0]).unwrap();
    let mut next = open_in(&name);
    write(&mut next, devices[0], 50, false).unwrap();
    let refused = read(&mut before, devices[0]).unwrap_err().to_string();
    assert!(refused.contains("another server has taken the database"), "{refused}");
    assert!(write(&mut before, devices[0], 60, false).is_err());
    assert_eq!(kept(&name)[0], 50);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn nothing_is_known_after_a_connection_was_lost() {
    let mut engine = open_knowing(1 << 20);
    let Known { devices, .. } = contract::known(&mut engine);
    read(&mut engine, devices[0]).unwrap();
    engine.session.batch("UPDATE task SET progress = 77").unwrap();
    end_backend(&engine.session);
    assert_eq!(read(&mut engine, devices[0]).unwrap().progress, 77);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_commit_without_an_answer_leaves_what_is_in_the_database() {
    let name = schema();
    let cutter = Cutter::before(&target());
    let mut engine = cutter.engine(&name);
    let Known { devices, .. } = contract::known(&mut engine);
    cutter.is_armed.store(true, Ordering::SeqCst);
    write(&mut engine, devices[0], 40, false).unwrap();
    assert!(!cutter.is_armed.load(Ordering::SeqCst), "the connection was cut");
    assert_eq!(read(&mut engine, devices[0]).unwrap().progress, 40);
    assert_eq!(kept(&name)[0], 40);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_batch_whose_connection_ends_in_commit_is_decided_anew() {
    let name = schema();
    let mut engine = open_in(&name);
    let Known { devices, .. } = contract::known(&mut engine);
    end_first_commit(&engine.session, "UPDATE ON task");
    let mut runs = Vec::new();
    engine
        .transact(&mut |rows| {
            let before = rows.unfinished_tasks(devices[0])?.pop().unwrap();
            runs.push(before.progress);
            rows.update_task(&before, &Task { progress: before.progress + 5, ..before.clone() })
        })
        .unwrap();
    assert_eq!(runs, [0, 0], "the second run starts from what the first did not keep");
    assert_eq!(kept(&name)[0], 5);
    assert_eq!(read(&mut engine, devices[0]).unwrap().progress, 5);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn work_in_bulk_sees_what_was_written_and_leaves_nothing_known() {
    let mut engine = open_knowing(1 << 20);
    let Known { devices, .. } = contract::known(&mut engine);
    write(&mut engine, devices[0], 40, false).unwrap();
    engine
        .in_bulk(|conn| {
            let seen = conn.one("SELECT progress FROM task ORDER BY no LIMIT 1", &[], |cols| {
                cols.take::<i64>()
            })?;
            assert_eq!(seen, Some(40));
            conn.run("UPDATE task SET progress = 90 WHERE no > 0", &[]).map(drop)
        })
        .unwrap();
    assert_eq!(read(&mut engine, devices[0]).unwrap().progress, 90);
}

#[test]
#[ignore = "./test postgres starts a server and runs it"]
fn a_row_that_is_gone_from_the_database_fails_the_batch_that_changes_it() {
    let mut engine = open_knowing(1 << 20);
    let Known { devices, .. } = contract::known(&mut engine);
    read(&mut engine, devices[0]).unwrap();
    engine.session.batch("DELETE FROM task").unwrap();
    let refused = write(&mut engine, devices[0], 1, false).unwrap_err().to_string();
    assert!(refused.contains("a row to change is not there"), "{refused}");
}
