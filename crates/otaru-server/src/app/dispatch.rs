//! Who is connected, and which tasks wait to be pushed: the part of the node that lives in memory only.
//!
//! Nothing here is kept: a device that connects brings its unfinished tasks back, so a restart rebuilds all of it.

use super::effect::Ready;
use crate::mqtt::Peer;
use crate::planted::{self, Bug};
use otaru_core::hash::Map;
use otaru_core::id::{DeviceNo, JobNo, TaskNo};
use otaru_core::job::Job;
use otaru_core::job::StoredBucket;
use otaru_core::rate::{Bucket, PushRate};
use otaru_core::time::Now;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Pushes handed out at a time.
const BATCH: usize = 1_000;

/// A task that is to be pushed on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub ready: Ready,
    pub peer: Peer,
    /// What the job's rate has left after this push, for keeping with it.
    pub bucket: Option<StoredBucket>,
}

/// What there is to do now.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Devices whose grace time is over: their tasks are to be looked up.
    pub looks: Vec<Peer>,
    /// Jobs whose rate is not known yet.
    pub unknown: Vec<JobNo>,
    pub pushes: Vec<Due>,
    /// When there will be more to do, on the monotonic clock.
    pub next_ms: Option<u64>,
}

pub(super) struct Dispatcher {
    state: Mutex<State>,
    rung: Notify,
    grace_ms: u64,
}

#[derive(Default)]
struct State {
    connected: Map<DeviceNo, Connected>,
    /// Connections by the end of their grace time.
    grace: BTreeMap<(u64, DeviceNo), Peer>,
    looks: Vec<Peer>,
    jobs: BTreeMap<JobNo, Queue>,
    /// The job that was served last, for taking turns.
    last: Option<JobNo>,
    cap: Option<(u32, Bucket)>,
}

struct Connected {
    peer: Peer,
    /// When its grace time ends; 0 once it has.
    until_ms: u64,
    /// Tasks that were pushed, or handed out to be, on this connection, or told in answer to a pull.
    told: Vec<(TaskNo, How)>,
}

/// How a device hears of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Push,
    Pull,
}

#[derive(Default)]
struct Queue {
    rate: Option<(PushRate, Bucket)>,
    tasks: VecDeque<(Ready, Peer)>,
}

impl Dispatcher {
    /// `per_minute`: pushes of the whole server, 0: no cap.
    pub fn new(per_minute: u32, grace_ms: u64) -> Self {
        let cap = (per_minute > 0).then(|| (per_minute, Bucket::with((per_minute / 60).max(1), 0)));
        Self { state: Mutex::new(State { cap, ..State::default() }), rung: Notify::new(), grace_ms }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No step in here can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn rung(&self) {
        self.rung.notified().await;
    }

    pub fn came_online(&self, peer: Peer, now_ms: u64) {
        let mut state = self.lock();
        let until_ms = now_ms + self.grace_ms;
        let known =
            state.connected.insert(peer.device, Connected { peer, until_ms, told: Vec::new() });
        if let Some(known) = known {
            state.grace.remove(&(known.until_ms, peer.device));
        }
        state.grace.insert((until_ms, peer.device), peer);
        drop(state);
        self.rung.notify_one();
    }

    pub fn went_offline(&self, peer: Peer) {
        let mut state = self.lock();
        if state.connected.get(&peer.device).is_some_and(|known| known.peer == peer)
            && let Some(known) = state.connected.remove(&peer.device)
        {
            state.grace.remove(&(known.until_ms, peer.device));
        }
    }

    /// A report of the version came: the device need not be waited for any longer.
    pub fn reported(&self, peer: Peer) {
        let mut state = self.lock();
        let Some(known) = state.connected.get_mut(&peer.device).filter(|known| known.peer == peer)
        else {
            return;
        };
        let until_ms = std::mem::take(&mut known.until_ms);
        if until_ms > 0 && state.grace.remove(&(until_ms, peer.device)).is_some() {
            state.looks.push(peer);
            drop(state);
            self.rung.notify_one();
        }
    }

    /// A task can be pushed: it waits for its job's turn when its device is connected, and for the device otherwise.
    /// A task that became ready by itself (new, confirmed, started, retried) may be pushed again on its connection.
    pub fn ready(&self, ready: Ready) {
        let mut state = self.lock();
        let Some(known) = state.connected.get_mut(&ready.device) else { return };
        if known.until_ms > 0 {
            // The end of the grace time finds it.
            return;
        }
        known.told.retain(|&(task, _)| task != ready.task);
        let peer = known.peer;
        state.enqueue(ready, peer);
        drop(state);
        self.rung.notify_one();
    }

    /// Pushes could not be carried out: they wait again, but what they took from the rates is gone.
    pub fn given_back(&self, pushes: &[Due]) {
        let mut state = self.lock();
        for &Due { ready, peer, .. } in pushes {
            let known = state.connected.get_mut(&peer.device).filter(|known| known.peer == peer);
            if let Some(known) = known {
                // What was pulled meanwhile is not due any more.
                known.told.retain(|&told| told != (ready.task, How::Push));
                state.enqueue(ready, peer);
            }
        }
        drop(state);
        self.rung.notify_one();
    }

    /// The tasks of a device could not be looked up.
    pub fn look_again(&self, peer: Peer) {
        self.lock().looks.push(peer);
        self.rung.notify_one();
    }

    /// The unfinished tasks of a device that can be pushed, found after its grace time.
    pub fn found(&self, peer: Peer, ready: &[Ready]) {
        let mut state = self.lock();
        for &ready in ready {
            state.enqueue(ready, peer);
        }
        drop(state);
        self.rung.notify_one();
    }

    /// A task was told in answer to a pull: no push of it is due on this connection, nor the one that waits for its rate.
    pub fn told(&self, peer: Peer, task: TaskNo) {
        let mut state = self.lock();
        let known = state.connected.get_mut(&peer.device).filter(|known| known.peer == peer);
        if let Some(known) = known {
            known.told.retain(|&(told, _)| told != task);
            known.told.push((task, How::Pull));
        }
    }

    /// What a job may push; asked for once per job while it has tasks in the queue. An answer that comes after a
    /// change of the rate is too late.
    pub fn rate_known(&self, job: &Job, now: Now) {
        let mut state = self.lock();
        let queue = state.jobs.get_mut(&job.no).filter(|queue| queue.rate.is_none());
        let Some(queue) = queue else { return };
        let Some(max_per_minute) = job.policy.max_per_minute else {
            queue.rate =
                Some((PushRate { max_per_minute: u32::MAX }, Bucket::with(u32::MAX, now.mono_ms)));
            return;
        };
        let rate = PushRate { max_per_minute };
        let mut bucket = rate.full(now.mono_ms);
        if let Some(stored) = job.bucket {
            let ago_ms = now.wall.ms_since(stored.at).clamp(0, 60_000).unsigned_abs();
            // Counts from zero: what matters is the time that has passed since it was kept.
            let mut kept = Bucket::from_parts(stored.parts, 0);
            rate.refill(&mut kept, ago_ms);
            bucket = Bucket::from_parts(kept.parts(), now.mono_ms);
        }
        queue.rate = Some((rate, bucket));
    }

    /// The rate of a job was changed: it rules what is pushed from now on. What the bucket holds stays, as far as it
    /// still can.
    pub fn rate_changed(&self, job: &Job, now: Now) {
        let mut state = self.lock();
        let known = state.jobs.get_mut(&job.no).and_then(|queue| queue.rate.as_mut());
        if let (Some((rate, bucket)), Some(max_per_minute)) = (known, job.policy.max_per_minute) {
            rate.refill(bucket, now.mono_ms);
            *rate = PushRate { max_per_minute };
            rate.refill(bucket, now.mono_ms);
            drop(state);
        } else {
            drop(state);
            self.rate_known(job, now);
        }
        self.rung.notify_one();
    }

    /// Takes what can be done now.
    pub fn turn(&self, now: Now) -> Turn {
        let mut state = self.lock();
        let mut turn = Turn { looks: std::mem::take(&mut state.looks), ..Turn::default() };
        while let Some((&(at, device), &peer)) = state.grace.first_key_value() {
            if at > now.mono_ms {
                turn.next_ms = Some(at);
                break;
            }
            state.grace.remove(&(at, device));
            if let Some(known) = state.connected.get_mut(&device) {
                known.until_ms = 0;
            }
            turn.looks.push(peer);
        }
        state.take_pushes(&mut turn, now);
        turn
    }
}

impl Connected {
    /// Whether a push that waits is still to go out: not when its device has gone or come back, whose next look finds
    /// the task again, nor when it has pulled the task.
    fn awaits(&self, ready: &Ready, peer: Peer) -> bool {
        let is_pulled = || self.told.contains(&(ready.task, How::Pull));
        self.peer == peer && (planted::is(Bug::PushedAgain) || !is_pulled())
    }
}

impl State {
    fn enqueue(&mut self, ready: Ready, peer: Peer) {
        let Some(known) = self.connected.get_mut(&peer.device).filter(|known| known.peer == peer)
        else {
            return;
        };
        let is_told = known.told.iter().any(|&(task, _)| task == ready.task);
        if is_told && !planted::is(Bug::PushedAgain) {
            return;
        }
        known.told.push((ready.task, How::Push));
        self.jobs.entry(ready.job).or_default().tasks.push_back((ready, peer));
    }

    /// Goes round the jobs, one push each, until rates or queues are spent.
    fn take_pushes(&mut self, turn: &mut Turn, now: Now) {
        if let Some((per_minute, bucket)) = &mut self.cap {
            bucket.refill(*per_minute, (*per_minute / 60).max(1), now.mono_ms);
        }
        let start = self.last;
        let order: Vec<JobNo> = self
            .jobs
            .keys()
            .copied()
            .filter(|&job| start.is_none_or(|last| job > last))
            .chain(self.jobs.keys().copied().filter(|&job| start.is_some_and(|last| job <= last)))
            .collect();
        let mut blocked = vec![false; order.len()];
        let mut wait_ms = None::<u64>;
        while turn.pushes.len() < BATCH && blocked.iter().any(|&b| !b) {
            for (job, blocked) in order.iter().zip(&mut blocked).filter(|(_, blocked)| !**blocked) {
                let queue = self.jobs.get_mut(job).expect("it is in the order");
                while let Some((ready, peer)) = queue.tasks.front()
                    && self
                        .connected
                        .get(&peer.device)
                        .is_none_or(|known| !known.awaits(ready, *peer))
                {
                    queue.tasks.pop_front();
                }
                let Some(&(ready, peer)) = queue.tasks.front() else {
                    *blocked = true;
                    continue;
                };
                let Some((rate, bucket)) = &mut queue.rate else {
                    turn.unknown.push(*job);
                    *blocked = true;
                    continue;
                };
                if let Some((per_minute, cap)) = &mut self.cap
                    && !cap.take()
                {
                    let wait = cap.wait_ms(*per_minute).unwrap_or(60_000);
                    wait_ms = Some(wait_ms.map_or(wait, |w| w.min(wait)));
                    *blocked = true;
                    continue;
                }
                let mut left = None;
                if ready.first {
                    rate.refill(bucket, now.mono_ms);
                    if !bucket.take() && !planted::is(Bug::RateIgnored) {
                        let wait = rate.wait_ms(*bucket);
                        wait_ms = Some(wait_ms.map_or(wait, |w| w.min(wait)));
                        *blocked = true;
                        continue;
                    }
                    left = Some(StoredBucket { parts: bucket.parts(), at: now.wall });
                }
                queue.tasks.pop_front();
                self.last = Some(*job);
                turn.pushes.push(Due { ready, peer, bucket: left });
            }
        }
        // A queue that is empty keeps its bucket until that is full again: what the store has may be a push behind.
        self.jobs.retain(|_, queue| {
            let is_full = queue.rate.as_mut().is_none_or(|(rate, bucket)| {
                rate.refill(bucket, now.mono_ms);
                bucket.tokens() >= u64::from(rate.capacity())
            });
            !queue.tasks.is_empty() || !is_full
        });
        let again = if turn.pushes.len() >= BATCH { Some(0) } else { wait_ms };
        if let Some(wait) = again {
            // A wait is rounded up to 20 ms, so that a fast job is drained in small batches.
            let at = now.mono_ms + if wait == 0 { 0 } else { wait.max(20) };
            turn.next_ms = Some(turn.next_ms.map_or(at, |next| next.min(at)));
        }
    }
}
