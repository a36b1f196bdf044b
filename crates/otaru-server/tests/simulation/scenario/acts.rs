//! What operators and back ends do.

use super::{HOUR, Scenario};
use crate::invariants::Deletion;
use crate::node::{Answer, PolicyChange};
use crate::plan::{JobPlan, cancels_everything, draw_cancel, pick};
use crate::terms::Terms;
use crate::witness::JobTag;
use otaru_core::id::JobId;
use otaru_core::task::TaskStatus;
use otaru_server::app::CancelFlags;

impl Scenario {
    pub(super) async fn create_job(&mut self) {
        let plan = JobPlan::draw(&mut self.chance, self.wanted.devices.len());
        let hangs_up = self.chance.percent(10);
        self.create(plan, hangs_up).await;
    }

    pub(super) async fn create(&mut self, plan: JobPlan, hangs_up: bool) {
        let Some(node) = &self.node else { return };
        self.last_tag += 1;
        let tag = self.last_tag;
        self.world.note(&format!("create job {tag}: {plan:?}"));
        if let Some(rate) = plan.per_minute {
            self.world.witness.borrow_mut().job_has_rate(tag, rate);
        }
        let terms = Terms::of(&plan, self.wall());
        self.world.witness.borrow_mut().job_has_terms(tag, terms);
        if plan.is_plain() {
            self.world.witness.borrow_mut().job_is_plain(tag);
        }
        self.settled_at = self.settled_at.max(self.world.now_ms() + plan.settles_after());
        let answer = tokio::select! {
            biased;
            answer = node.create_job(&self.seeded, tag, &plan) => answer,
            // The caller is gone as soon as its call is on the way.
            () = std::future::ready(()), if hangs_up => Answer::Lost,
        };
        self.plans.insert(tag, plan);
        match answer {
            Answer::Done(id) => {
                self.world.note(&format!("job {tag} is {id}"));
                self.wanted.answered.insert(tag);
            }
            Answer::Refused(code) => self.world.note(&format!("job {tag} is refused: {code}")),
            Answer::Lost => self.world.note(&format!("nobody knows what came of job {tag}")),
        }
    }

    pub(super) async fn cancel_job(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let (tag, id) = self.chance.pick(&self.jobs).clone();
        let scheduled = self.plans[&tag].start_after.is_some();
        let flags = draw_cancel(&mut self.chance, scheduled);
        self.cancel(tag, &id, flags).await;
    }

    pub(super) async fn cancel(&mut self, tag: JobTag, id: &JobId, flags: CancelFlags) {
        let Some(node) = &self.node else { return };
        self.world.note(&format!("cancel of job {tag}: {flags:?}"));
        match node.cancel(&self.seeded, id, flags).await {
            Answer::Done(()) if cancels_everything(flags) && !self.plans[&tag].is_dynamic() => {
                self.world.witness.borrow_mut().job_was_canceled(tag, self.world.now_ms());
            }
            Answer::Done(()) => {}
            Answer::Refused(code) => self.world.note(&format!("the cancel is refused: {code}")),
            Answer::Lost => self.world.note("nobody knows what came of the cancel"),
        }
    }

    /// Cancels the tasks that some devices have of one job.
    pub(super) async fn cancel_of_devices(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let (tag, id) = self.chance.pick(&self.jobs).clone();
        let mut picked = pick(&mut self.chance, self.wanted.devices.len(), 200);
        picked.retain(|index| !self.wanted.deleted.contains_key(index));
        let Some(node) = &self.node else { return };
        self.world.note(&format!("cancel of job {tag} on devices {picked:?}"));
        match node.cancel_of_devices(&self.seeded, &id, &self.plans[&tag], &picked).await {
            Answer::Done(()) => {}
            Answer::Refused(code) => {
                return self.world.note(&format!("the cancel is refused: {code}"));
            }
            Answer::Lost => return self.world.note("nobody knows what came of the cancel"),
        }
        let Some(scan) = self.look().await else { return };
        // What a policy told them since is another matter.
        if self.plans[&tag].is_dynamic() {
            return;
        }
        let Some(job) = scan.jobs.iter().find(|job| job.tag == tag) else { return };
        let is_meant = |device| scan.index_of(device).is_some_and(|it| picked.contains(&it));
        let left = job.tasks.iter().find(|it| it.status.is_unfinished() && is_meant(it.device));
        if let Some(task) = left {
            self.accuse(
                "a cancel that is answered ends its tasks",
                &format!("job {tag}: {task:?}"),
            );
        }
    }

    /// Consents to ten tasks that wait for it.
    pub(super) async fn confirm_all(&mut self) {
        let Some(scan) = self.look().await else { return };
        let Some(node) = &self.node else { return };
        let tasks = scan.jobs.iter().flat_map(|job| &job.tasks);
        let waiting = tasks.filter(|task| task.status == TaskStatus::Confirm);
        let waiting: Vec<_> = waiting.take(10).collect();
        let ids: Vec<String> = waiting.iter().map(|task| task.id.to_string()).collect();
        let pairs = waiting.iter().filter_map(|task| {
            let job = scan.jobs.iter().find(|job| job.job.no == task.job)?;
            Some((job.tag, scan.index_of(task.device)?))
        });
        // It may have happened even if nobody hears of it.
        self.world.witness.borrow_mut().consented(pairs);
        self.world.note(&format!("consent to {ids:?}"));
        if let Answer::Refused(code) = node.confirm(&self.seeded, ids).await {
            self.world.note(&format!("the consent is refused: {code}"));
        }
    }

    /// Starts some tasks again that have ended badly, all of one job.
    pub(super) async fn reupgrade_some(&mut self) {
        let Some(scan) = self.look().await else { return };
        if scan.jobs.is_empty() {
            return;
        }
        let job = &scan.jobs[self.chance.index(scan.jobs.len())];
        let ended = |status| matches!(status, TaskStatus::Failed | TaskStatus::Canceled);
        let tasks: Vec<_> = job.tasks.iter().filter(|task| ended(task.status)).collect();
        let from = self.chance.index(tasks.len().max(1));
        let most = usize::try_from(self.chance.between(1, 10)).expect("a small number");
        let tasks: Vec<_> = tasks.into_iter().skip(from).take(most).collect();
        let ids: Vec<String> = tasks.iter().map(|task| task.id.to_string()).collect();
        let Some(node) = &self.node else { return };
        self.world.note(&format!("reupgrade of job {}: {ids:?}", job.tag));
        match node.reupgrade(&self.seeded, &job.job.id, ids).await {
            Answer::Refused(code) => {
                self.world.note(&format!("the reupgrade is refused: {code}"));
            }
            Answer::Done(()) | Answer::Lost => {
                self.history.restarted(tasks.iter().map(|task| task.no));
                self.world.witness.borrow_mut().job_was_reopened(job.tag);
                let later = self.world.now_ms() + 3 * HOUR;
                self.settled_at = self.settled_at.max(later);
            }
        }
    }

    pub(super) async fn cancel_strategy(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let (tag, id) = self.chance.pick(&self.jobs).clone();
        self.cancel_strategy_of(tag, &id).await;
    }

    pub(super) async fn cancel_strategy_of(&mut self, tag: JobTag, id: &JobId) {
        let Some(node) = &self.node else { return };
        self.world.note(&format!("cancel of the policy of job {tag}"));
        if let Answer::Refused(code) = node.cancel_strategy(&self.seeded, id).await {
            self.world.note(&format!("it is refused: {code}"));
        }
    }

    /// Sends some messages to devices whose session is kept, connected or not.
    pub(super) async fn publish(&mut self) {
        let devices = self.world.witness.borrow().messages.subscribers();
        for _ in 0..self.chance.between(1, 20) {
            let Some(node) = self.node.as_ref().filter(|_| !devices.is_empty()) else { return };
            let device = *self.chance.pick(&devices);
            let number = self.world.witness.borrow_mut().messages.next();
            let hangs_up = self.chance.percent(5);
            let answer = tokio::select! {
                biased;
                answer = node.publish(&self.seeded, device, number) => answer,
                () = std::future::ready(()), if hangs_up => Answer::Lost,
            };
            match answer {
                Answer::Done(()) => {
                    self.world.note(&format!("message {number} is for device {device}"));
                    self.world.witness.borrow_mut().messages.promised(device, number);
                }
                Answer::Refused(code) => {
                    self.world.note(&format!("message {number} is refused: {code}"));
                }
                Answer::Lost => self.world.note(&format!("nobody knows of message {number}")),
            }
        }
        if let Some(node) = &self.node
            && let Answer::Lost = node.keep_house().await
        {
            self.world.note("nothing is forgotten yet");
        }
    }

    /// Gives a job that has a rate another one.
    pub(super) async fn change_rate(&mut self) {
        let has_rate = |tag: &JobTag| self.plans[tag].per_minute.is_some();
        let jobs: Vec<_> = self.jobs.iter().filter(|(tag, _)| has_rate(tag)).cloned().collect();
        if jobs.is_empty() {
            return;
        }
        let (tag, id) = self.chance.pick(&jobs).clone();
        let per_minute = *self.chance.pick(&[10, 25, 100, 1_000]);
        let Some(node) = &self.node else { return };
        let from = self.world.now_ms();
        self.world.note(&format!("job {tag} is to push {per_minute} a minute"));
        let change = PolicyChange {
            per_minute,
            // Only a policy takes them.
            timeout_minutes: self.chance.percent(30).then(|| *self.chance.pick(&[5, 20, 60])),
            src_versions: self.chance.percent(30),
        };
        let answer = node.update_job(&self.seeded, (tag, &id), &self.plans[&tag], &change).await;
        let until = match answer {
            Answer::Done(()) => Some(self.world.now_ms()),
            Answer::Refused(code) => {
                self.world.note(&format!("the rate is refused: {code}"));
                return;
            }
            Answer::Lost => None,
        };
        self.world.witness.borrow_mut().job_has_new_rate(tag, per_minute, from, until);
    }

    pub(super) async fn delete_device(&mut self) {
        let index = self.chance.index(self.wanted.devices.len());
        let Some(node) = &self.node else { return };
        self.world.note(&format!("device {index} is to be deleted"));
        let deletion = match node.delete_device(&self.seeded, index).await {
            Answer::Done(()) => {
                let now = self.world.now_ms();
                self.world.witness.borrow_mut().device_was_deleted(index, now);
                Deletion::Answered
            }
            Answer::Refused(code) => {
                self.world.note(&format!("the deletion is refused: {code}"));
                return;
            }
            Answer::Lost => {
                self.world.witness.borrow_mut().device_may_be_deleted(index);
                Deletion::Unclear
            }
        };
        self.wanted.deleted.insert(index, deletion);
    }
}
