//! Every statement that a test runs on PostgreSQL is asked for its plan, once: none may read a table from end to end.

use super::super::names::Names;
use std::cell::RefCell;
use std::collections::BTreeSet;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, SimpleQueryMessage, Statement};

thread_local! {
    static SEEN: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Tables of one row, and those of PostgreSQL itself.
const SMALL: [&str; 3] = ["engine", "session_total", "pg_"];

/// What of a plan reads a table from end to end.
fn whole_reads(plan: &str) -> Vec<&str> {
    let after = plan.lines().filter_map(|line| line.split_once("Seq Scan on "));
    after
        .map(|(_, table)| table)
        .filter(|table| !SMALL.iter().any(|s| table.starts_with(s)))
        .collect()
}

/// Asks for the plan that is good for all parameters.
pub fn assert_walks_indexes(runtime: &Runtime, client: &Client, text: &str, statement: &Statement) {
    // What names no table of ours, and what a test runs on purpose over all of one.
    let is_ours = !Names::of(text).all.is_empty() && !text.contains("count(*) FROM account");
    let is_planned =
        ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].iter().any(|w| text.starts_with(w));
    let is_of_tests = text.starts_with("SELECT progress FROM task ORDER BY no");
    if !is_ours
        || !is_planned
        || is_of_tests
        || !SEEN.with_borrow_mut(|seen| seen.insert(text.to_owned()))
    {
        return;
    }
    let kinds: Vec<_> = statement.params().iter().map(tokio_postgres::types::Type::name).collect();
    let (kinds, nothing) = match kinds.len() {
        0 => (String::new(), String::new()),
        n => (format!("({})", kinds.join(", ")), format!("({})", vec!["NULL"; n].join(", "))),
    };
    let script = format!(
        "PREPARE asked {kinds} AS {text}; SET plan_cache_mode = force_generic_plan; EXPLAIN EXECUTE asked {nothing};
         RESET plan_cache_mode; DEALLOCATE asked"
    );
    let answer = runtime.block_on(client.simple_query(&script)).expect("a plan");
    let lines = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan = lines.collect::<Vec<_>>().join("\n");
    assert!(!plan.is_empty(), "{text}");
    assert!(whole_reads(&plan).is_empty(), "{:?} of\n{text}\n{plan}", whole_reads(&plan));
}

#[test]
fn a_plan_that_reads_a_whole_table_is_told_from_others() {
    let walks = "Limit  (cost=0.1)\n  ->  Index Scan using task_due on task\n  ->  Seq Scan on engine  (cost=1)";
    assert!(whole_reads(walks).is_empty());
    assert_eq!(whole_reads("Update on task\n  ->  Seq Scan on task  (cost=1)"), ["task  (cost=1)"]);
}
