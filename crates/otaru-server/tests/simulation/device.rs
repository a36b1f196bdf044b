//! One simulated device: what it does with its connection, its package and its versions, well or badly.
//!
//! It is a state machine on simulated milliseconds; [`crate::fleet`] carries its acts over a link.

use crate::chance::Chance;
use crate::plan::{MODULES, Part};
use std::collections::BTreeMap;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

/// How a device departs from what the protocol expects of it. Percentages are per occasion.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub struct Habits {
    /// Drops its connection within minutes instead of hours.
    pub restless: bool,
    /// Stays away for up to two hours when it drops.
    pub long_away: bool,
    /// Never reports a version of its own accord, not even after an upgrade.
    pub mute: bool,
    pub ignores_pushes: bool,
    /// Asks for its package now and then.
    pub pulls: bool,
    /// Reports its version again now and then.
    pub chatty: bool,
    pub repeats: u64,
    pub reorders: u64,
    /// Reports a version it does not have.
    pub lies: u64,
    /// Boots into a version nobody told it to.
    pub goes_astray: u64,
    pub fails: u64,
    /// Takes a push and says nothing more in that connection.
    pub falls_silent: u64,
    /// Reports step 100 and never the version.
    pub stops_at_100: u64,
    pub garbage: u64,
    pub unacknowledged: u64,
    /// Does not acknowledge what it is told.
    pub rude: bool,
}

impl Habits {
    pub fn draw(chance: &mut Chance) -> Self {
        let mut habits =
            Self { pulls: chance.percent(15), repeats: 3, unacknowledged: 20, ..Self::default() };
        if chance.percent(40) {
            return habits;
        }
        for _ in 0..chance.between(1, 3) {
            match chance.below(14) {
                0 => habits.restless = true,
                1 => habits.long_away = true,
                2 => habits.mute = true,
                3 => habits.ignores_pushes = true,
                4 => habits.repeats = 40,
                5 => habits.reorders = 40,
                6 => habits.lies = 15,
                7 => habits.goes_astray = 30,
                8 => habits.fails = 25,
                9 => habits.falls_silent = 40,
                10 => habits.stops_at_100 = 50,
                11 => habits.garbage = 50,
                12 => habits.chatty = true,
                _ => habits.rude = true,
            }
        }
        habits
    }
}

/// What happens to a device.
#[derive(Debug, Clone)]
pub enum Input {
    /// The node took its connection.
    Connected,
    /// The node refused it, closed it, or died.
    Lost,
    /// It was told, by push or in answer to its pull, to go to this version.
    Told { part: Part, dest: String },
    /// The moment it asked for with [`Device::wake_at`] has come.
    Woken,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Connect,
    Publish(Publish),
    /// Bytes that are no MQTT.
    Babble(Vec<u8>),
    /// Says goodbye and closes.
    Leave,
    /// Closes without a word.
    Cut,
    /// Loses its network: the node is not even told that the connection is over.
    Vanish,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub topic: String,
    pub payload: String,
    /// QoS 1, else 0.
    pub acknowledged: bool,
    /// The same packet once more, marked as a duplicate.
    pub repeated: bool,
    /// The version that the payload reports, and of what.
    pub version: Option<(Part, String)>,
}

/// What a device means to do later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Todo {
    Connect,
    Inform(Part),
    Pull(Part),
    Step(Part, i32),
    Reboot(Part),
    Drop,
    Babble,
}

#[derive(Debug)]
pub struct Device {
    pub key: String,
    pub name: String,
    pub habits: Habits,
    /// What it really runs.
    pub versions: [String; MODULES.len()],
    chance: Chance,
    connected: bool,
    targets: [Option<String>; MODULES.len()],
    agenda: BTreeMap<(u64, u64), Todo>,
    nth: u64,
    /// A report that was held back, to go out after the next one.
    held: Option<Publish>,
    silent: bool,
}

impl Device {
    pub fn new(key: &str, name: &str, versions: [&str; MODULES.len()], mut chance: Chance) -> Self {
        let habits = Habits::draw(&mut chance);
        let mut device = Self {
            key: key.to_owned(),
            name: name.to_owned(),
            habits,
            versions: versions.map(str::to_owned),
            chance,
            connected: false,
            targets: Default::default(),
            agenda: BTreeMap::new(),
            nth: 0,
            held: None,
            silent: false,
        };
        device.plan(0, 0, 20 * MINUTE, Todo::Connect);
        device
    }

    /// When it wants to be woken, in milliseconds.
    pub fn wake_at(&self) -> Option<u64> {
        self.agenda.keys().next().map(|&(at, _)| at)
    }

    /// From now on it does what the protocol expects. It starts over with a new connection.
    pub fn behave(&mut self, now: u64) -> Vec<Act> {
        self.habits = Habits { pulls: true, ..Habits::default() };
        self.held = None;
        self.targets = Default::default();
        self.agenda.clear();
        self.plan(now, SECOND, MINUTE, Todo::Connect);
        if std::mem::take(&mut self.connected) { vec![Act::Cut] } else { Vec::new() }
    }

    pub fn on(&mut self, input: Input, now: u64) -> Vec<Act> {
        match input {
            Input::Connected => {
                self.connected = true;
                self.silent = false;
                self.settle_in(now);
                Vec::new()
            }
            Input::Lost => {
                self.go_offline(now);
                Vec::new()
            }
            Input::Told { part, dest } => {
                self.take_order(part, dest, now);
                Vec::new()
            }
            Input::Woken => {
                let mut acts = Vec::new();
                while let Some((&(at, nth), _)) = self.agenda.first_key_value()
                    && at <= now
                {
                    let todo = self.agenda.remove(&(at, nth)).expect("it was the first");
                    self.act(todo, now, &mut acts);
                }
                acts
            }
        }
    }

    fn plan(&mut self, now: u64, from: u64, to: u64, todo: Todo) {
        let at = now + self.chance.between(from, to);
        self.nth += 1;
        self.agenda.insert((at, self.nth), todo);
    }

    fn settle_in(&mut self, now: u64) {
        for part in 0..MODULES.len() {
            self.settle_part_in(part, now);
        }
        if self.habits.garbage > 0 {
            self.plan(now, 0, 20 * MINUTE, Todo::Babble);
        }
        if self.habits.restless {
            self.plan(now, 0, 5 * MINUTE, Todo::Drop);
        } else {
            self.plan(now, 30 * MINUTE, 360 * MINUTE, Todo::Drop);
        }
    }

    fn settle_part_in(&mut self, part: Part, now: u64) {
        if !self.habits.mute {
            self.plan(now, 0, 1_500, Todo::Inform(part));
        }
        if self.habits.pulls {
            // Some ask at once, before anything could be pushed.
            let until = if self.chance.percent(50) { 3 } else { 90 };
            self.plan(now, 0, until * SECOND, Todo::Pull(part));
        }
        if self.targets[part].is_some() {
            // A device that lost its connection in the middle takes up again where it likes.
            let step = i32::try_from(self.chance.below(90)).expect("a percentage");
            self.plan(now, SECOND, 30 * SECOND, Todo::Step(part, step));
        }
    }

    fn go_offline(&mut self, now: u64) {
        self.connected = false;
        self.held = None;
        self.agenda.clear();
        if self.chance.percent(50) {
            self.targets = Default::default();
        }
        if self.habits.long_away && self.chance.percent(50) {
            self.plan(now, MINUTE, 120 * MINUTE, Todo::Connect);
        } else {
            self.plan(now, SECOND, MINUTE, Todo::Connect);
        }
    }

    fn take_order(&mut self, part: Part, dest: String, now: u64) {
        if self.habits.ignores_pushes || self.silent {
            return;
        }
        if self.chance.percent(self.habits.falls_silent) {
            self.silent = true;
            self.agenda.retain(|_, todo| *todo == Todo::Drop);
            return;
        }
        self.targets[part] = Some(dest);
        let is_done = |todo: &Todo| match *todo {
            Todo::Step(of, _) | Todo::Reboot(of) => of == part,
            _ => false,
        };
        self.agenda.retain(|_, todo| !is_done(todo));
        self.plan(now, 100, 5 * SECOND, Todo::Step(part, 0));
    }

    fn act(&mut self, todo: Todo, now: u64, acts: &mut Vec<Act>) {
        match todo {
            Todo::Connect => acts.push(Act::Connect),
            _ if !self.connected => {}
            Todo::Inform(part) => {
                let version = if self.chance.percent(self.habits.lies) {
                    self.chance.pick(&["0.0.1", "1.0.0", "2.0.0", "9.9.9", "odd one"]).to_string()
                } else {
                    self.versions[part].clone()
                };
                let topic = format!("/ota/device/inform/{}/{}", self.key, self.name);
                let payload = format!(
                    r#"{{"id":"{now}","params":{{{}"version":"{version}"}}}}"#,
                    module_member(part)
                );
                self.publish(topic, payload, Some((part, version)), acts);
                if self.habits.chatty {
                    self.plan(now, 5 * SECOND, 20 * MINUTE, Todo::Inform(part));
                }
            }
            Todo::Pull(part) => {
                let topic = format!("/sys/{}/{}/thing/ota/firmware/get", self.key, self.name);
                let params = if part == 0 {
                    String::new()
                } else {
                    format!(r#""module":"{}""#, MODULES[part])
                };
                let payload = format!(
                    r#"{{"id":"7","version":"1.0","params":{{{params}}},"method":"thing.ota.firmware.get"}}"#
                );
                self.publish(topic, payload, None, acts);
                self.plan(now, 10 * MINUTE, 40 * MINUTE, Todo::Pull(part));
            }
            Todo::Step(part, step) => self.step(part, step, now, acts),
            Todo::Reboot(part) => {
                if let Some(dest) = self.targets[part].take() {
                    let astray = self.chance.percent(self.habits.goes_astray);
                    self.versions[part] = if astray { "9.9.9".to_owned() } else { dest };
                }
                self.close(now, acts);
            }
            Todo::Drop => self.close(now, acts),
            Todo::Babble => {
                self.babble(acts);
                self.plan(now, MINUTE, 30 * MINUTE, Todo::Babble);
            }
        }
    }

    fn step(&mut self, part: Part, step: i32, now: u64, acts: &mut Vec<Act>) {
        if self.targets[part].is_none() {
            return;
        }
        let failed = self.chance.percent(self.habits.fails);
        let shown =
            if failed { -1 - i32::try_from(self.chance.below(4)).expect("small") } else { step };
        let topic = format!("/ota/device/progress/{}/{}", self.key, self.name);
        // Some never say of which module they speak.
        let module = if self.chance.percent(20) { String::new() } else { module_member(part) };
        let payload = format!(
            r#"{{"id":"{now}","params":{{{module}"step":"{shown}","desc":"step {shown}"}}}}"#
        );
        self.publish(topic, payload, None, acts);
        if failed {
            self.targets[part] = None;
        } else if step < 100 {
            let next = (step + 25).min(100);
            self.plan(now, SECOND, 60 * SECOND, Todo::Step(part, next));
        } else if !self.chance.percent(self.habits.stops_at_100) {
            self.plan(now, SECOND, 10 * SECOND, Todo::Reboot(part));
        }
    }

    fn close(&mut self, now: u64, acts: &mut Vec<Act>) {
        if let Some(held) = self.held.take() {
            acts.push(Act::Publish(held));
        }
        acts.push(match self.chance.below(5) {
            0 | 1 => Act::Leave,
            2 | 3 => Act::Cut,
            _ => Act::Vanish,
        });
        let targets = std::mem::take(&mut self.targets);
        self.go_offline(now);
        self.targets = targets;
    }

    fn publish(
        &mut self,
        topic: String,
        payload: String,
        version: Option<(Part, String)>,
        acts: &mut Vec<Act>,
    ) {
        let publish = Publish {
            topic,
            payload,
            acknowledged: !self.chance.percent(self.habits.unacknowledged),
            repeated: self.chance.percent(self.habits.repeats),
            version,
        };
        if self.held.is_none() && self.chance.percent(self.habits.reorders) {
            self.held = Some(publish);
            return;
        }
        acts.push(Act::Publish(publish));
        acts.extend(self.held.take().map(Act::Publish));
    }

    fn babble(&mut self, acts: &mut Vec<Act>) {
        let (key, name) = (self.key.clone(), self.name.clone());
        let inform = format!("/ota/device/inform/{key}/{name}");
        let progress = format!("/ota/device/progress/{key}/{name}");
        let other = if name == "device-0000" { "device-0001" } else { "device-0000" };
        let (topic, payload) = match self.chance.below(9) {
            0 => (inform, "not json".to_owned()),
            1 => (inform, r#"{"params":{"version":""}}"#.to_owned()),
            2 => (progress, r#"{"id":1,"params":{"step":"101"}}"#.to_owned()),
            3 => (progress, r#"{"id":1,"params":[[[[{"step":5}]]]]}"#.to_owned()),
            4 => (inform, r#"{"id":1,"params":{"version":"3","module":"gps"}}"#.to_owned()),
            // Speaks for somebody else.
            5 => (
                format!("/ota/device/inform/{key}/{other}"),
                r#"{"id":1,"params":{"version":"2.0.0"}}"#.to_owned(),
            ),
            6 => (format!("/sys/{key}/{name}/thing/event/property/post"), "{}".to_owned()),
            7 => (format!("/{key}/{name}/user/update"), "x".repeat(1_000)),
            _ => {
                let bytes =
                    (0..self.chance.between(1, 5)).flat_map(|_| self.chance.draw().to_le_bytes());
                acts.push(Act::Babble(bytes.collect()));
                return;
            }
        };
        let acknowledged = self.chance.percent(50);
        acts.push(Act::Publish(Publish {
            topic,
            payload,
            acknowledged,
            repeated: false,
            version: None,
        }));
    }
}

/// How a payload names a module, the default one by not naming it.
fn module_member(part: Part) -> String {
    if part == 0 { String::new() } else { format!(r#""module":"{}","#, MODULES[part]) }
}
