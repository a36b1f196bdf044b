//! Rows that the writer knows without asking, and rows that it has changed and not written yet.
//!
//! What is known holds across batches, since only the server of the newest epoch writes. It is dropped whenever that is
//! in doubt: with a batch that fails, with a connection. What waits to be written is written before any statement that
//! names its table, and with the COMMIT at the latest.

use super::names::{Names, Tables};
use super::value::Param;
use super::waiting::{
    COUNTS, ChangedTask, ChangedVersion, DEVICES, Differs, ROW_TABLES, TASKS, VERSIONS, Waiting,
};
use otaru_core::device::Device;
use otaru_core::hash::Map;
use otaru_core::id::{DeviceNo, JobNo, TaskNo};
use otaru_core::job::Counts;
use otaru_core::task::{Task, TaskStatus};
use otaru_core::version::Version;
use rusqlite::types::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one batch may add to what is known, beyond what is kept between batches.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// Changed rows that wait at most.
const WAITING_MAX: usize = 10_000;
/// Rows and bytes of a result that is worth keeping.
const RESULT_ROWS_MAX: usize = 64;
const RESULT_BYTES_MAX: usize = 16_384;
/// What an entry takes beside what is in it.
const ENTRY_BYTES: usize = 96;

/// A statement with its parameters.
pub type Question = (u32, Vec<Param>);
/// The rows of a result.
pub type Answer = Arc<Vec<Vec<Value>>>;

/// What is known of rows.
#[derive(Default)]
struct Known {
    bytes: usize,
    /// Unfinished tasks of a device, oldest first.
    tasks: Map<DeviceNo, Vec<Task>>,
    /// All versions of a device by the key of their module.
    versions: Map<DeviceNo, Vec<(String, Version)>>,
    devices: Map<DeviceNo, Option<Device>>,
    results: Map<Question, (Tables, Answer)>,
    /// Tables that a result was read from.
    result_tables: Tables,
}

/// The rows of a writer.
#[derive(Default)]
pub struct Hot {
    bytes_max: usize,
    /// Used since the older ones were set aside.
    young: Known,
    old: Known,
    counts: BTreeMap<JobNo, Counts>,
    waiting: Waiting,
    /// Numbers for new tasks that nobody else has, the next one last.
    numbers: Vec<i64>,
}

impl Hot {
    /// Keeps about `bytes_max` between batches.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Nothing is known any more, and nothing waits.
    pub fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }

    /// Whether rows wait that a statement could miss.
    pub fn must_write_before(&self, names: Names) -> bool {
        self.waiting.tables().meets(names.all)
    }

    pub fn is_full(&self) -> bool {
        self.waiting.tasks.len() + self.waiting.versions.len() >= WAITING_MAX
    }

    /// What waits, to be written now.
    pub fn take_waiting(&mut self) -> Waiting {
        std::mem::take(&mut self.waiting)
    }

    /// Forgets what a statement is about to change.
    pub fn forget(&mut self, written: Tables) {
        if written.meets(*COUNTS) {
            self.counts.clear();
        }
        self.young.forget(written);
        self.old.forget(written);
    }

    /// A batch is over: sets aside what was not used for long.
    pub fn settle(&mut self) {
        if self.counts.len() > WAITING_MAX {
            self.counts.clear();
        }
        if self.young.bytes > self.bytes_max / 2 {
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
        if self.old.bytes > self.bytes_max / 2 {
            self.old = Known::default();
        }
    }

    fn grow(&mut self, bytes: usize) {
        self.young.bytes += bytes + ENTRY_BYTES;
    }

    /// Makes room in the middle of a batch that reads more than others.
    fn make_room(&mut self) {
        if self.young.bytes > BATCH_BYTES_MAX.max(self.bytes_max / 2) {
            self.turn();
        }
    }

    /// Those of `devices` whose tasks are not known.
    pub fn without_tasks(&mut self, devices: impl Iterator<Item = DeviceNo>) -> Vec<i64> {
        missing(devices, |device| self.tasks(device).is_some())
    }

    /// Those of `devices` whose row or versions are not known.
    pub fn without_row(&mut self, devices: impl Iterator<Item = DeviceNo>) -> Vec<i64> {
        missing(devices, |device| self.device(device).is_some() && self.versions(device).is_some())
    }

    /// The unfinished tasks of a device, when they are known.
    pub fn tasks(&mut self, device: DeviceNo) -> Option<&mut Vec<Task>> {
        if !self.young.tasks.contains_key(&device) {
            let tasks = self.old.tasks.remove(&device)?;
            self.learn_tasks(device, tasks);
        }
        self.young.tasks.get_mut(&device)
    }

    pub fn learn_tasks(&mut self, device: DeviceNo, tasks: Vec<Task>) {
        self.make_room();
        self.grow(tasks.iter().map(task_bytes).sum());
        self.young.tasks.insert(device, tasks);
    }

    /// A task that waits to be written.
    pub fn waiting_task(&self, no: TaskNo) -> Option<&Task> {
        self.waiting.tasks.get(&no).map(|changed| &changed.task)
    }

    /// Writes later what a task has become.
    pub fn change_task(&mut self, after: &Task, differs: Differs) {
        if let Some(tasks) = self.tasks(after.device) {
            tasks.retain(|task| task.no != after.no || after.status.is_unfinished());
            match tasks.binary_search_by_key(&after.no, |task| task.no) {
                Ok(at) => tasks[at] = after.clone(),
                Err(at) if after.status.is_unfinished() => tasks.insert(at, after.clone()),
                Err(_) => {}
            }
        }
        let new =
            || ChangedTask { task: after.clone(), is_new: false, differs: Differs::default() };
        let changed = self.waiting.tasks.entry(after.no).or_insert_with(new);
        changed.task.clone_from(after);
        changed.differs |= differs;
    }

    /// Writes a new task later.
    pub fn add_task(&mut self, new: Task) {
        if new.status.is_unfinished()
            && let Some(tasks) = self.tasks(new.device)
        {
            tasks.push(new.clone());
            self.grow(task_bytes(&new));
        }
        let changed = ChangedTask { task: new, is_new: true, differs: Differs::default() };
        self.waiting.tasks.insert(changed.task.no, changed);
    }

    pub fn next_number(&mut self) -> Option<i64> {
        self.numbers.pop()
    }

    /// `numbers` fall.
    pub fn learn_numbers(&mut self, numbers: Vec<i64>) {
        self.numbers = numbers;
    }

    /// The counts of a job, with what waits.
    pub fn counts(&self, job: JobNo) -> Option<Counts> {
        self.counts.get(&job).copied()
    }

    pub fn learn_counts(&mut self, job: JobNo, counts: Counts) {
        self.counts.insert(job, counts);
    }

    /// Adds to the counts of a job later.
    pub fn add_counts(&mut self, job: JobNo, more: Counts) {
        let known = self.counts.get_mut(&job);
        for counts in
            [Some(self.waiting.counts.entry(job).or_default()), known].into_iter().flatten()
        {
            for status in TaskStatus::ALL {
                counts.add(status, more.get(status));
            }
        }
    }

    /// All versions of a device, when they are known.
    pub fn versions(&mut self, device: DeviceNo) -> Option<&mut Vec<(String, Version)>> {
        if !self.young.versions.contains_key(&device) {
            let versions = self.old.versions.remove(&device)?;
            self.learn_versions(device, versions);
        }
        self.young.versions.get_mut(&device)
    }

    pub fn learn_versions(&mut self, device: DeviceNo, versions: Vec<(String, Version)>) {
        self.make_room();
        self.grow(versions.iter().map(|(key, version)| version_bytes(key, version)).sum());
        self.young.versions.insert(device, versions);
    }

    /// Writes the version of a module later.
    pub fn change_version(&mut self, device: DeviceNo, key: &str, changed: ChangedVersion) {
        let bytes = version_bytes(key, &changed.version);
        if let Some(versions) = self.versions(device) {
            if let Some((_, version)) = versions.iter_mut().find(|(known, _)| known == key) {
                version.clone_from(&changed.version);
            } else {
                versions.push((key.to_owned(), changed.version.clone()));
                self.grow(bytes);
            }
        }
        // The spelling is that of the first report.
        let entry = self.waiting.versions.entry((device, key.to_owned()));
        entry
            .and_modify(|waiting| {
                waiting.version.clone_from(&changed.version);
                waiting.at = changed.at;
            })
            .or_insert(changed);
    }

    /// The row of a device, `None` in it when there is none, when that is known.
    pub fn device(&mut self, device: DeviceNo) -> Option<&Option<Device>> {
        if !self.young.devices.contains_key(&device) {
            let row = self.old.devices.remove(&device)?;
            self.learn_device(device, row);
        }
        self.young.devices.get(&device)
    }

    pub fn learn_device(&mut self, device: DeviceNo, row: Option<Device>) {
        self.make_room();
        let texts = |row: &Device| row.secret.len() + row.nickname.len() + row.address.len() + 64;
        self.grow(size_of::<Device>() + row.as_ref().map_or(0, texts));
        self.young.devices.insert(device, row);
    }

    /// What a statement answered to the same parameters, when nothing has changed since.
    pub fn result(&mut self, question: &Question) -> Option<Answer> {
        if let Some((_, answer)) = self.young.results.get(question) {
            return Some(answer.clone());
        }
        let (question, (tables, answer)) = self.old.results.remove_entry(question)?;
        self.keep_result(question, tables, answer.clone());
        Some(answer)
    }

    /// Keeps a result, when it is small and of tables that are not kept row by row.
    pub fn learn_result(&mut self, question: Question, names: Names, answer: &Answer) {
        let is_worth = names.written.is_empty()
            && !names.all.is_empty()
            && !names.all.meets(*ROW_TABLES)
            && answer.len() <= RESULT_ROWS_MAX
            && answer_bytes(answer) <= RESULT_BYTES_MAX;
        if is_worth {
            self.make_room();
            self.keep_result(question, names.all, answer.clone());
        }
    }

    fn keep_result(&mut self, question: Question, tables: Tables, answer: Answer) {
        self.grow(answer_bytes(&answer) + question.1.iter().map(Param::bytes).sum::<usize>());
        self.young.result_tables |= tables;
        self.young.results.insert(question, (tables, answer));
    }
}

impl Known {
    fn forget(&mut self, written: Tables) {
        if written.meets(*TASKS) {
            self.tasks.clear();
        }
        if written.meets(*VERSIONS) {
            self.versions.clear();
        }
        if written.meets(*DEVICES) {
            self.devices.clear();
        }
        if written.meets(self.result_tables) {
            self.results.retain(|_, (tables, _)| !tables.meets(written));
            let left = self.results.values();
            self.result_tables = left.fold(Tables::NONE, |all, (tables, _)| all | *tables);
        }
        if self.tasks.is_empty()
            && self.versions.is_empty()
            && self.devices.is_empty()
            && self.results.is_empty()
        {
            self.bytes = 0;
        }
    }
}

fn missing(
    devices: impl Iterator<Item = DeviceNo>,
    mut is_known: impl FnMut(DeviceNo) -> bool,
) -> Vec<i64> {
    let mut missing: Vec<_> = devices.filter(|&device| !is_known(device)).map(|d| d.0).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

fn task_bytes(task: &Task) -> usize {
    size_of::<Task>() + task.description.len() + 96
}

fn version_bytes(key: &str, version: &Version) -> usize {
    key.len() + version.as_str().len() + 48
}

fn answer_bytes(answer: &Answer) -> usize {
    let text = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        Value::Null | Value::Integer(_) | Value::Real(_) => 0,
    };
    answer.iter().flatten().map(|value| text(value) + size_of::<Value>()).sum()
}
