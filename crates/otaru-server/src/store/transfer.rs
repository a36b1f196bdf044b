//! All rows of a store as lines of text, and back, whichever engine keeps them.
//!
//! The first line names the format and the layout. Of every table, in a fixed order, come a line with its columns and the highest
//! number that it ever gave, its rows as arrays, and a line with their count and digest. The last line counts all. A digest is
//! the XOR of the SHA-256 of the rows, each as its line without the end: the order of rows doesn't matter, and no two are equal.

use super::sqlite::{Conn, newest_layout};
use super::{Result, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::ToSql;
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{BufRead, Write};

/// The format of the lines; it grows when an older version could not read them.
const FORMAT: u32 = 1;
/// Longest line: the widest rows hold a payload of some hundred KiB.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Values in one statement: below the limit of either engine.
const VALUES_MAX: usize = 8_000;

/// Tables, and the columns that order their rows.
pub(super) const TABLES: &[(&str, &str)] = &[
    ("access_key", "id"),
    ("account", "no"),
    ("apply", "no"),
    ("apply_name", "apply, place"),
    ("consumer_group", "no"),
    ("device", "no"),
    ("device_file", "no"),
    ("device_gone", "no"),
    ("device_group", "no"),
    ("device_tag", "device, key"),
    ("device_tag_count", "account, instance, key, value"),
    ("device_version", "device, module"),
    ("group_member", "grp, device"),
    ("instance", "no"),
    ("job", "no"),
    ("job_count", "job"),
    ("module", "product, key"),
    ("nonce", "no"),
    ("package", "no"),
    ("package_file", "package, place"),
    ("product", "no"),
    ("product_tag", "product, key"),
    ("retained", "kind, owner, topic"),
    ("session", "device"),
    ("session_message", "no"),
    ("session_subscription", "device, filter"),
    ("session_total", "no"),
    ("shadow", "device"),
    ("subscription", "product, kind"),
    ("subscription_group", "product, place"),
    ("task", "no"),
    ("task_detail", "no"),
    ("topic_class", "no"),
    ("topology", "device"),
    ("upload", "key"),
    ("user", "no"),
    ("user_product", "user, product"),
];

/// Numbered by another table, or not at all.
const NOT_NUMBERED: &[&str] = &["device_gone", "session_total", "task_detail"];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    otaru_export: u32,
    layout: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableHead {
    table: String,
    columns: Vec<String>,
    last: i64,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, Debug, Clone)]
#[serde(deny_unknown_fields)]
struct TableEnd {
    rows: u64,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    tables: usize,
    rows: u64,
    digest: String,
}

/// What was written or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub rows: u64,
    /// Over the digests of all tables.
    pub digest: String,
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Engine(error.to_string())
}

#[derive(Default)]
struct Tally {
    rows: u64,
    digest: [u8; 32],
}

impl Tally {
    fn count(&mut self, line: &str) {
        self.rows += 1;
        for (sum, byte) in self.digest.iter_mut().zip(Sha256::digest(line.as_bytes())) {
            *sum ^= byte;
        }
    }

    fn end(&self) -> TableEnd {
        TableEnd { rows: self.rows, digest: hex::encode(self.digest) }
    }
}

fn overall(ends: &[TableEnd]) -> Summary {
    let all: Vec<_> = ends.iter().map(|end| format!("{} {}", end.rows, end.digest)).collect();
    let rows = ends.iter().map(|end| end.rows).sum();
    Summary { rows, digest: hex::encode(Sha256::digest(all.join("\n").as_bytes())) }
}

fn written(row: &[Value]) -> Result<String> {
    let cell = |value: &Value| {
        Ok(match value {
            Value::Null => serde_json::Value::Null,
            Value::Integer(number) => (*number).into(),
            Value::Text(text) => text.as_str().into(),
            Value::Blob(bytes) => serde_json::json!({ "base64": STANDARD.encode(bytes) }),
            Value::Real(_) => return Err(failed("a fraction is never kept")),
        })
    };
    let cells: Vec<_> = row.iter().map(cell).collect::<Result<_>>()?;
    serde_json::to_string(&cells).map_err(failed)
}

fn read(line: &str) -> Option<Vec<Value>> {
    let cell = |value: serde_json::Value| {
        Some(match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Number(number) => Value::Integer(number.as_i64()?),
            serde_json::Value::String(text) => Value::Text(text),
            serde_json::Value::Object(blob) => {
                Value::Blob(STANDARD.decode(blob.get("base64")?.as_str()?).ok()?)
            }
            _ => return None,
        })
    };
    serde_json::from_str::<Vec<_>>(line).ok()?.into_iter().map(cell).collect()
}

/// Rows of a table, in their order.
fn each_row(
    conn: Conn<'_>,
    (table, order): (&str, &str),
    columns: &[String],
    each: &mut dyn FnMut(&[Value]) -> Result<()>,
) -> Result<()> {
    let sql = format!("SELECT {} FROM {table} ORDER BY {order}", columns.join(", "));
    conn.each(table, &sql, each)
}

/// Writes all rows of one snapshot.
///
/// # Errors
/// When the store or `out` fails; what was written by then has no last line and is refused by [`import`].
pub fn export(conn: Conn<'_>, out: &mut dyn Write) -> Result<Summary> {
    let mut put = |line: &str| writeln!(out, "{line}").map_err(failed);
    let json = |value: serde_json::Result<String>| value.map_err(failed);
    put(&json(serde_json::to_string(&Head { otaru_export: FORMAT, layout: newest_layout() }))?)?;
    let mut ends = Vec::new();
    for &(table, order) in TABLES {
        let columns = conn.columns(table)?;
        let last = if is_numbered(table, order) { conn.last_number(table)? } else { 0 };
        let head = TableHead { table: table.to_owned(), columns, last };
        put(&json(serde_json::to_string(&head))?)?;
        let mut tally = Tally::default();
        each_row(conn, (table, order), &head.columns, &mut |row| {
            let line = written(row)?;
            tally.count(&line);
            put(&line)
        })?;
        put(&json(serde_json::to_string(&tally.end()))?)?;
        ends.push(tally.end());
    }
    let summary = overall(&ends);
    let end = End { tables: ends.len(), rows: summary.rows, digest: summary.digest.clone() };
    put(&json(serde_json::to_string(&end))?)?;
    out.flush().map_err(failed)?;
    Ok(summary)
}

fn is_numbered(table: &str, order: &str) -> bool {
    order == "no" && !NOT_NUMBERED.contains(&table)
}

/// Lines with their numbers.
struct Lines<'r> {
    from: &'r mut dyn BufRead,
    line: String,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<&str> {
        self.line.clear();
        self.number += 1;
        let read = std::io::Read::take(&mut *self.from, LINE_BYTES_MAX).read_line(&mut self.line);
        read.map_err(|error| self.wrong(&error.to_string()))?;
        match self.line.strip_suffix('\n') {
            Some(line) => Ok(line),
            None if self.line.is_empty() => Err(self.wrong("the file ends too early")),
            None => Err(self.wrong("it is cut off")),
        }
    }

    fn parsed<T: serde::de::DeserializeOwned>(&mut self, what: &str) -> Result<T> {
        let parsed = serde_json::from_str(self.next()?);
        parsed.map_err(|_| self.wrong(&format!("it is not {what}")))
    }

    fn wrong(&self, why: &str) -> StoreError {
        StoreError::Engine(format!("line {} of the export: {why}", self.number))
    }
}

/// Reads all rows into a store that has none, and then reads them back: nothing may be committed unless this succeeds.
///
/// # Errors
/// When the store is not empty, and when the lines are of another version, damaged or not all there.
pub fn import(conn: Conn<'_>, from: &mut dyn BufRead) -> Result<Summary> {
    refuse_unless_empty(conn)?;
    let mut lines = Lines { from, line: String::new(), number: 0 };
    let Head { otaru_export, layout } = lines.parsed("the beginning of an export")?;
    let newest = newest_layout();
    if otaru_export != FORMAT || layout != newest {
        return Err(lines.wrong(&format!(
            "it is of format {otaru_export} and layout {layout}, and this version of otaru reads format {FORMAT} and layout \
             {newest}: use the version that wrote it"
        )));
    }
    let mut ends = Vec::new();
    for &(table, order) in TABLES {
        ends.push(import_table(conn, &mut lines, (table, order))?);
    }
    let End { tables, rows, digest } = lines.parsed("the end of an export")?;
    let summary = overall(&ends);
    if (tables, rows, &digest) != (ends.len(), summary.rows, &summary.digest) {
        return Err(lines.wrong("the tables are not those that were exported"));
    }
    if std::io::Read::read(lines.from, &mut [0]).map_err(failed)? > 0 {
        return Err(lines.wrong("something follows the end"));
    }
    Ok(summary)
}

fn refuse_unless_empty(conn: Conn<'_>) -> Result<()> {
    for (table, _) in TABLES.iter().filter(|(table, _)| *table != "session_total") {
        let mut is_empty = true;
        conn.each(table, &format!("SELECT 1 FROM {table} LIMIT 1"), &mut |_| {
            is_empty = false;
            Ok(())
        })?;
        if !is_empty {
            return Err(StoreError::Engine(format!(
                "the store is not empty: there are rows in {table}; import into a new one"
            )));
        }
    }
    Ok(())
}

fn import_table(
    conn: Conn<'_>,
    lines: &mut Lines<'_>,
    (table, order): (&str, &str),
) -> Result<TableEnd> {
    let head: TableHead = lines.parsed("the beginning of a table")?;
    let columns = conn.columns(table)?;
    if head.table != table || head.columns != columns {
        return Err(lines.wrong(&format!("it is not the beginning of table {table}")));
    }
    // The one table that is never without a row.
    if table == "session_total" {
        conn.put("DELETE FROM session_total", &[])?;
    }
    let mut tally = Tally::default();
    let mut waiting = Vec::new();
    let end = loop {
        let line = lines.next()?;
        if !line.starts_with('[') {
            break serde_json::from_str::<TableEnd>(line).ok();
        }
        tally.count(line);
        let row = read(line).filter(|row| row.len() == columns.len());
        waiting.extend(row.ok_or_else(|| lines.wrong("it is no row"))?);
        if waiting.len() + columns.len() > VALUES_MAX {
            insert(conn, table, &columns, &mut waiting)?;
        }
    };
    insert(conn, table, &columns, &mut waiting)?;
    if end.as_ref() != Some(&tally.end()) {
        return Err(
            lines.wrong(&format!("the rows of table {table} are not those that were exported"))
        );
    }
    if is_numbered(table, order) && head.last > 0 {
        conn.set_last_number(table, head.last)?;
    }
    let mut kept = Tally::default();
    each_row(conn, (table, order), &columns, &mut |row| {
        kept.count(&written(row)?);
        Ok(())
    })?;
    if kept.end() != tally.end() {
        return Err(StoreError::Engine(format!(
            "table {table} does not come back as it was put in"
        )));
    }
    Ok(tally.end())
}

fn insert(conn: Conn<'_>, table: &str, columns: &[String], values: &mut Vec<Value>) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    let mut numbers = 1..=values.len();
    let row = |_| {
        let cells: Vec<_> = numbers.by_ref().take(columns.len()).map(|n| format!("?{n}")).collect();
        format!("({})", cells.join(", "))
    };
    let rows: Vec<_> = (0..values.len() / columns.len()).map(row).collect();
    let sql = format!("INSERT INTO {table} ({}) VALUES {}", columns.join(", "), rows.join(", "));
    let params: Vec<_> = values.iter().map(|value| value as &dyn ToSql).collect();
    conn.put(&sql, &params)?;
    values.clear();
    Ok(())
}

#[cfg(test)]
mod tests;
