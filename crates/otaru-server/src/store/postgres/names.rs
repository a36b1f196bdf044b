//! Which tables a statement names, and which of them it writes: what is kept in memory beside the database follows from
//! it for every statement, whoever runs it.
//!
//! A word that is the name of a table counts as one wherever it stands: a column of that name costs a little speed and
//! hides nothing.

use std::ops::{BitAnd, BitOr, BitOrAssign};
use std::sync::LazyLock;

/// Tables at most, as many as [`Tables`] has bits.
const TABLES_MAX: usize = 128;

/// The names of all tables, as the steps of the layout make them.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let made = super::schema::STEPS.iter().flat_map(|step| step.split("CREATE TABLE ").skip(1));
    let names: Vec<_> = made
        .map(|rest| rest.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or(""))
        .map(|name| name.trim_matches('"'))
        .collect();
    assert!(names.len() <= TABLES_MAX, "{} tables are more than {TABLES_MAX}", names.len());
    names
});

/// A set of tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tables(u128);

impl Tables {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(u128::MAX);

    /// Tables by their names; a name that no table has is left out.
    pub fn named(names: &[&str]) -> Self {
        names.iter().fold(Self::NONE, |all, name| all | Self::of(name))
    }

    fn of(word: &str) -> Self {
        NAMES.iter().position(|name| *name == word).map_or(Self::NONE, |at| Self(1 << at))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn meets(self, other: Self) -> bool {
        !(self & other).is_empty()
    }
}

impl BitAnd for Tables {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Tables {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Tables {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What a statement has to do with tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// All that it names.
    pub all: Tables,
    /// Those that it changes: all there are, when that can't be told.
    pub written: Tables,
}

impl Names {
    pub fn of(sql: &str) -> Self {
        let words: Vec<&str> = words(sql);
        let all = words.iter().fold(Tables::NONE, |all, word| all | Tables::of(word));
        let is =
            |at: usize, word: &str| words.get(at).is_some_and(|w| w.eq_ignore_ascii_case(word));
        let writes = ["INSERT", "UPDATE", "DELETE"];
        let reads_only = ["SELECT", "WITH"].iter().any(|first| is(0, first))
            && !words.iter().any(|word| writes.iter().any(|w| w.eq_ignore_ascii_case(word)));
        if reads_only {
            return Self { all, written: Tables::NONE };
        }
        let mut written = Tables::NONE;
        for (at, word) in words.iter().enumerate().skip(1) {
            let after_from = at > 1 && is(at - 1, "FROM") && is(at - 2, "DELETE");
            if after_from || is(at - 1, "INTO") || is(at - 1, "UPDATE") {
                written |= Tables::of(word);
            }
        }
        let is_known =
            ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].iter().any(|first| is(0, first));
        if written.is_empty() || !is_known {
            return Self { all: Tables::ALL, written: Tables::ALL };
        }
        Self { all, written }
    }
}

/// Words outside of texts, without the quotes that names may stand in.
fn words(sql: &str) -> Vec<&str> {
    let outside = sql.split('\'').step_by(2);
    outside
        .flat_map(|part| part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
        .filter(|word| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_what_it_reads_and_what_it_writes() {
        let none: &[&str] = &[];
        for (sql, all, written) in [
            ("SELECT no FROM task WHERE no = ?1", &["task"][..], none),
            ("SELECT 'task', 'UPDATE job' FROM shadow", &["shadow"], none),
            ("UPDATE task_detail SET src = ?2 WHERE no = ?1", &["task_detail"], &["task_detail"]),
            (
                "INSERT INTO task (job, device) VALUES (?1, ?2)",
                &["task", "job", "device"],
                &["task"],
            ),
            (
                "INSERT INTO device_version (device) VALUES (?1) ON CONFLICT (device) DO UPDATE SET version = 1",
                &["device_version", "device"],
                &["device_version"],
            ),
            (
                "INSERT INTO device_gone SELECT no FROM device WHERE EXISTS (SELECT 1 FROM task)",
                &["device_gone", "device", "task"],
                &["device_gone"],
            ),
            ("DELETE FROM \"user\" WHERE no = ?1", &["user"], &["user"]),
            ("DELETE FROM user WHERE no = ?1", &["user"], &["user"]),
            (
                "WITH gone AS (DELETE FROM upload RETURNING 1) SELECT count(*) FROM gone, task",
                &["upload", "task"],
                &["upload"],
            ),
        ] {
            let names = Names::of(sql);
            assert_eq!(names.all, Tables::named(all), "{sql}");
            assert_eq!(names.written, Tables::named(written), "{sql}");
        }
    }

    #[test]
    fn a_statement_that_is_not_understood_may_write_everything() {
        for sql in [
            "TRUNCATE task",
            "CREATE TABLE t (no BIGINT)",
            "UPDATE other SET a = 1",
            "",
            "CALL task()",
        ] {
            assert_eq!(Names::of(sql), Names { all: Tables::ALL, written: Tables::ALL }, "{sql}");
        }
    }

    #[test]
    fn every_table_of_the_layout_is_known() {
        for table in ["account", "task", "user", "session_total", "shadow"] {
            assert!(!Tables::named(&[table]).is_empty(), "{table}");
        }
        assert!(NAMES.iter().all(|name| !name.is_empty()));
    }
}
