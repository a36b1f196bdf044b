use super::*;
use crate::policy::Retry;

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn task(status: TaskStatus) -> Task {
    Task {
        no: TaskNo(1),
        job: JobNo(1),
        device: DeviceNo(1),
        status,
        progress: 0,
        failed_tries: 0,
        told: matches!(status, TaskStatus::Notified | TaskStatus::InProgress),
        retry_at: None,
        timeout_at: None,
        reason: Reason::None,
        modified_at: Timestamp(0),
        id: TaskId::generate(1),
        src: Some(version("1.0")),
        description: String::new(),
        timeout_minutes: Some(60),
        created_at: Timestamp(0),
        ended_at: None,
    }
}

/// Decides with a full package to 2.0 and, when `retries` is above 0, retries every 10 minutes.
fn on(task: &Task, event: Event<'_>, retries: u32, now: i64) -> Verdict {
    let retry = (retries > 0).then_some(Retry { interval_minutes: 10, count: retries });
    let policy = Policy { retry, ..Policy::default() };
    let plan = Plan { policy: &policy, dest: &version("2.0"), delta_src: None, src_versions: &[] };
    decide(task, event, plan, Timestamp(now))
}

fn changed(verdict: Verdict) -> Task {
    match verdict {
        Verdict::Changed(task) | Verdict::Tell(task) | Verdict::Ready(task) => task,
        Verdict::Ignored(why) => panic!("ignored: {why}"),
    }
}

#[test]
fn each_move_leads_only_from_the_statuses_listed() {
    use {TaskMove as E, TaskStatus as S};
    let unfinished: &[S] = &[S::Confirm, S::Queued, S::Notified, S::InProgress];
    let moves: [(E, &[S], S); 11] = [
        (E::Confirmed, &[S::Confirm], S::Queued),
        (E::Told, &[S::Queued], S::Notified),
        (E::Untold, &[S::Notified], S::Queued),
        (E::Progressed, &[S::Queued, S::Notified], S::InProgress),
        (E::AtDest, unfinished, S::Succeeded),
        (E::TriesSpent, &[S::Queued, S::Notified, S::InProgress], S::Failed),
        (E::SourceMismatch, &[S::Queued, S::Notified, S::InProgress], S::Failed),
        (E::TimedOut, &[S::InProgress], S::Failed),
        (E::Canceled, unfinished, S::Canceled),
        (E::Reupgraded, &[S::Failed, S::Canceled], S::Queued),
        (E::ReupgradedToConfirm, &[S::Failed, S::Canceled], S::Confirm),
    ];
    assert_eq!(moves.map(|(event, ..)| event), TaskMove::ALL);
    for (event, from, to) in moves {
        for status in S::ALL {
            let want = from.contains(&status).then_some(to);
            assert_eq!(status.next(event), want, "{status:?} on {event:?}");
        }
    }
}

/// The table "event × state" of the behaviour reference: event, then the status after it from CONFIRM, QUEUED,
/// NOTIFIED, `IN_PROGRESS`, SUCCEEDED, FAILED, CANCELED, without retry.
#[test]
fn each_event_has_its_documented_effect_in_each_status() {
    use TaskStatus::{
        Canceled as C, Confirm as W, Failed as F, InProgress as I, Notified as N, Queued as Q,
        Succeeded as S,
    };
    let (dest, src, other) = (version("2.0"), version("1.0"), version("1.5"));
    let job = JobId::generate(2);
    let table: &[(Event<'_>, [TaskStatus; 7])] = &[
        (Event::Confirmed, [Q, Q, N, I, S, F, C]),
        (Event::Push { version: Some(&src) }, [W, N, N, I, S, F, C]),
        (Event::Pull { version: Some(&src) }, [W, N, N, I, S, F, C]),
        (Event::Pull { version: None }, [W, N, N, I, S, F, C]),
        (Event::Push { version: Some(&dest) }, [W, S, S, S, S, F, C]),
        (Event::PushLost, [W, Q, Q, I, S, F, C]),
        (Event::Progress { step: 0, description: "" }, [W, I, I, I, S, F, C]),
        (Event::Progress { step: 50, description: "" }, [W, I, I, I, S, F, C]),
        (Event::Progress { step: 100, description: "" }, [W, I, I, I, S, F, C]),
        (Event::Progress { step: -1, description: "" }, [W, F, F, F, S, F, C]),
        (Event::Progress { step: -9, description: "" }, [W, F, F, F, S, F, C]),
        (Event::Reported { version: &dest }, [S, S, S, S, S, F, C]),
        (Event::Reported { version: &src }, [W, Q, N, I, S, F, C]),
        (Event::Reported { version: &other }, [W, Q, N, F, S, F, C]),
        (Event::Due, [W, Q, N, I, S, F, C]),
        (Event::Canceled(CancelCause::User), [C, C, C, C, S, F, C]),
        (Event::Overwritten { by: &job }, [C, C, C, C, S, F, C]),
        (Event::Reupgraded { version: Some(&src) }, [W, Q, N, I, S, Q, Q]),
    ];
    for (event, after) in table {
        for (status, want) in TaskStatus::ALL.into_iter().zip(after) {
            let before = task(status);
            let got = match on(&before, *event, 0, 1_000) {
                Verdict::Ignored(_) => status,
                verdict => changed(verdict).status,
            };
            assert_eq!(got, *want, "{status:?} on {event:?}");
        }
    }
}

#[test]
fn the_timeout_starts_at_the_first_progress_and_never_moves() {
    let started = changed(on(
        &task(TaskStatus::Notified),
        Event::Progress { step: 0, description: "" },
        1,
        1_000,
    ));
    let due_at = Timestamp(1_000 + 60 * 60_000);
    let due = Some(due_at);
    assert_eq!(started.timeout_at, due);
    let later = changed(on(&started, Event::Progress { step: 40, description: "" }, 1, 500_000));
    assert_eq!(later.timeout_at, due);
    let retried = changed(on(&later, Event::Progress { step: -2, description: "" }, 1, 600_000));
    assert_eq!(retried.timeout_at, due);
    assert_eq!(on(&later, Event::Due, 1, due_at.0 - 1), Verdict::Ignored("nothing is due"));
    let failed = changed(on(&later, Event::Due, 1, due_at.0));
    assert_eq!(
        (failed.status, &*failed.description),
        (TaskStatus::Failed, "timeout"),
        "never retried"
    );
    assert_eq!(failed.due_at(), None);
}

#[test]
fn a_negative_step_alone_does_not_start_the_timeout() {
    let failed_once = changed(on(
        &task(TaskStatus::Notified),
        Event::Progress { step: -2, description: "" },
        1,
        5,
    ));
    assert_eq!((failed_once.status, failed_once.timeout_at), (TaskStatus::Notified, None));
}

#[test]
fn a_failed_try_waits_counts_once_and_fails_for_good_when_none_is_left() {
    let step = |step| Event::Progress { step, description: "flash bad" };
    let first = changed(on(&task(TaskStatus::InProgress), step(-2), 1, 0));
    assert_eq!((first.status, first.retry_at), (TaskStatus::InProgress, Some(Timestamp(600_000))));
    assert_eq!(&*first.description, "flash bad");
    assert!(
        matches!(on(&first, step(-2), 1, 1_000), Verdict::Ignored(_)),
        "one failed try counts once"
    );
    assert!(!first.is_pushable(&Policy::default()), "no push while a retry waits");
    let v = version("1.0");
    assert!(matches!(on(&first, Event::Push { version: Some(&v) }, 1, 1_000), Verdict::Ignored(_)));
    let Verdict::Ready(again) = on(&first, Event::Due, 1, 600_000) else {
        panic!("the retry is due")
    };
    assert_eq!((again.progress, again.retry_at, &*again.description), (0, None, ""));
    let last = changed(on(&again, step(-2), 1, 700_000));
    assert_eq!(
        (last.status, last.reason, last.failed_tries),
        (TaskStatus::Failed, Reason::DeviceDownload, 2)
    );
}

#[test]
fn progress_or_a_pull_ends_the_wait_for_a_retry_but_the_try_stays_counted() {
    let waiting = changed(on(
        &task(TaskStatus::InProgress),
        Event::Progress { step: -1, description: "" },
        2,
        0,
    ));
    let v = version("1.0");
    for event in [Event::Progress { step: 3, description: "" }, Event::Pull { version: Some(&v) }] {
        let task = changed(on(&waiting, event, 2, 1_000));
        assert_eq!(
            (task.retry_at, task.failed_tries, task.status),
            (None, 1, TaskStatus::InProgress)
        );
    }
}

#[test]
fn a_foreign_version_fails_a_try_only_in_progress() {
    let foreign = version("1.5");
    let event = Event::Reported { version: &foreign };
    let pending = changed(on(&task(TaskStatus::Notified), event, 0, 1));
    assert_eq!((pending.status, pending.src), (TaskStatus::Notified, Some(foreign.clone())));
    let failed = changed(on(&task(TaskStatus::InProgress), event, 0, 1));
    assert_eq!(
        (failed.status, &*failed.description),
        (TaskStatus::Failed, "report version is not conform")
    );
    assert_eq!(failed.src, Some(version("1.0")), "the version that it did not get away from");
    let waiting = changed(on(&task(TaskStatus::InProgress), event, 1, 1));
    assert_eq!(waiting.retry_at, Some(Timestamp(600_001)));
    let again = changed(on(&waiting, Event::Due, 1, 600_001));
    assert!(
        matches!(on(&again, event, 1, 600_002), Verdict::Ignored(_)),
        "the next try starts from there"
    );
    let never = Task { src: None, ..task(TaskStatus::InProgress) };
    assert_eq!(changed(on(&never, event, 0, 1)).status, TaskStatus::InProgress);
}

#[test]
fn a_device_at_another_version_than_the_package_starts_from_is_not_told() {
    let (one, five, dest) = (version("1.0"), version("1.5"), version("2.0"));
    let policy = Policy::default();
    let delta = Plan { policy: &policy, dest: &dest, delta_src: Some(&one), src_versions: &[] };
    let listed_versions = [one.clone()];
    let listed =
        Plan { policy: &policy, dest: &dest, delta_src: None, src_versions: &listed_versions };
    let told = |status, plan, version: Option<&Version>| {
        let verdict = decide(&task(status), Event::Push { version }, plan, Timestamp(1));
        let tells = matches!(verdict, Verdict::Tell(_));
        (tells, changed(verdict).status)
    };
    assert_eq!(told(TaskStatus::Queued, delta, Some(&one)), (true, TaskStatus::Notified));
    for status in [TaskStatus::Queued, TaskStatus::Notified, TaskStatus::InProgress] {
        assert_eq!(told(status, delta, Some(&five)), (false, TaskStatus::Failed), "at any push");
        assert_eq!(told(status, delta, None), (false, TaskStatus::Failed));
        assert_eq!(told(status, delta, Some(&dest)), (false, TaskStatus::Succeeded));
    }
    assert_eq!(told(TaskStatus::Queued, listed, Some(&five)), (false, TaskStatus::Failed));
    assert_eq!(
        told(TaskStatus::Notified, listed, Some(&five)),
        (true, TaskStatus::Notified),
        "first push only"
    );
}

#[test]
fn success_shows_100_and_clears_what_was_said_before() {
    let waiting = changed(on(
        &task(TaskStatus::InProgress),
        Event::Progress { step: -1, description: "x" },
        1,
        0,
    ));
    let dest = version("2.0");
    let done = changed(on(&waiting, Event::Reported { version: &dest }, 1, 9));
    assert_eq!((done.status, done.progress, &*done.description), (TaskStatus::Succeeded, 100, ""));
    assert_eq!(
        (done.due_at(), done.ended_at, done.reason),
        (None, Some(Timestamp(9)), Reason::None)
    );
}

#[test]
fn a_description_of_the_device_is_cut_at_128_characters() {
    let long = "错".repeat(200);
    let failed = changed(on(
        &task(TaskStatus::InProgress),
        Event::Progress { step: -3, description: &long },
        0,
        0,
    ));
    assert_eq!(failed.description.chars().count(), 128);
    let silent = changed(on(
        &task(TaskStatus::InProgress),
        Event::Progress { step: -3, description: "" },
        0,
        0,
    ));
    assert_eq!(silent.description, "verify failed");
}

#[test]
fn a_task_started_again_has_forgotten_its_tries() {
    let failed = Task {
        failed_tries: 3,
        progress: 80,
        told: true,
        ended_at: Some(Timestamp(1)),
        ..task(TaskStatus::Failed)
    };
    let now_at = version("1.1");
    let again = changed(on(&failed, Event::Reupgraded { version: Some(&now_at) }, 1, 7));
    assert_eq!(
        (again.status, again.progress, again.failed_tries, again.told),
        (TaskStatus::Queued, 0, 0, false)
    );
    assert_eq!((again.id, again.src, again.ended_at), (failed.id, Some(now_at), None));
}
