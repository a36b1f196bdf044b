//! What has changed and is not written yet.

use super::names::Tables;
use otaru_core::id::{DeviceNo, JobNo, TaskNo};
use otaru_core::job::Counts;
use otaru_core::task::Task;
use otaru_core::time::Timestamp;
use otaru_core::version::Version;
use std::collections::BTreeMap;
use std::ops::BitOrAssign;
use std::sync::LazyLock;

/// The tables that rows of a kind stand in.
macro_rules! tables {
    ($($name:ident = $list:expr;)+) => {
        $( pub static $name: LazyLock<Tables> = LazyLock::new(|| Tables::named(&$list)); )+
    };
}
tables! {
    TASKS = ["task", "task_detail"];
    COUNTS = ["job_count"];
    VERSIONS = ["device_version"];
    DEVICES = ["device"];
}

/// Tables whose rows are kept one by one, never as results of statements.
pub static ROW_TABLES: LazyLock<Tables> = LazyLock::new(|| *TASKS | *COUNTS | *VERSIONS);

/// A task that differs from its row.
pub struct ChangedTask {
    pub task: Task,
    pub is_new: bool,
    /// What of it differs, when it is not new.
    pub differs: Differs,
}

/// What of a task differs from its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Differs {
    /// Its progress, or when it changed last: of most reports nothing else.
    pub progress: bool,
    /// Anything else of the narrow row.
    pub state: bool,
    /// Anything of the wide row.
    pub detail: bool,
}

impl Differs {
    /// Whether the narrow row differs.
    pub fn row(self) -> bool {
        self.progress || self.state
    }
}

impl BitOrAssign for Differs {
    fn bitor_assign(&mut self, other: Self) {
        self.progress |= other.progress;
        self.state |= other.state;
        self.detail |= other.detail;
    }
}

/// A version that differs from its row, or has none.
pub struct ChangedVersion {
    pub version: Version,
    pub at: Timestamp,
    pub spelling: Option<String>,
}

/// What waits to be written.
#[derive(Default)]
pub struct Waiting {
    pub tasks: BTreeMap<TaskNo, ChangedTask>,
    /// What is to be added.
    pub counts: BTreeMap<JobNo, Counts>,
    pub versions: BTreeMap<(DeviceNo, String), ChangedVersion>,
}

impl Waiting {
    /// The tables that it is to be written to.
    pub fn tables(&self) -> Tables {
        let some = |is_empty: bool, tables: Tables| if is_empty { Tables::NONE } else { tables };
        some(self.tasks.is_empty(), *TASKS)
            | some(self.counts.is_empty(), *COUNTS)
            | some(self.versions.is_empty(), *VERSIONS)
    }
}
