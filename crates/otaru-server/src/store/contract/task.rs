//! Tasks and their counts.

use super::*;

pub fn holds_for<E: Engine>(open: impl Fn() -> E) {
    tasks_come_back_and_each_change_is_kept(&mut open());
    tasks_are_found_by_device_job_status_and_deadline(&mut open());
    counts_equal_the_tasks_after_any_changes(&mut open());
}

fn tasks_come_back_and_each_change_is_kept(engine: &mut dyn Engine) {
    let world = world(engine, 1);
    let job = add_job(engine, &new_job(&world.package, 1));
    let mut task = new_task(job, world.devices[0], 1);
    task.no = change(engine, |rows| rows.insert_task(&task));
    assert_eq!(look(engine, |view| view.task(task.no)).as_ref(), Some(&task));
    let mut changes: Vec<Box<dyn Fn(&mut Task)>> = vec![
        Box::new(|task| task.progress = 100),
        Box::new(|task| task.failed_tries = 3),
        Box::new(|task| task.told = true),
        Box::new(|task| task.retry_at = Some(at(70))),
        Box::new(|task| task.timeout_at = Some(at(60))),
        Box::new(|task| task.retry_at = None),
        Box::new(|task| task.modified_at = at(6_000)),
        Box::new(|task| task.src = None),
        Box::new(|task| task.src = Version::reported("β 1")),
        Box::new(|task| task.description = "it's \"broken\"".into()),
        Box::new(|task| task.timeout_minutes = Some(9)),
        Box::new(|task| task.ended_at = Some(at(7_000))),
        Box::new(|task| (task.status, task.timeout_at) = (TaskStatus::Failed, None)),
        Box::new(|_| {}),
    ];
    changes.extend(
        Reason::ALL.map(|reason| Box::new(move |task: &mut Task| task.reason = reason) as Box<_>),
    );
    changes.extend(
        TaskStatus::ALL
            .map(|status| Box::new(move |task: &mut Task| task.status = status) as Box<_>),
    );
    for edit in changes {
        let mut after = task.clone();
        edit(&mut after);
        change(engine, |rows| rows.update_task(&task, &after));
        assert_eq!(look(engine, |view| view.task(task.no)).as_ref(), Some(&after));
        assert_eq!(look(engine, |view| view.next_due()), after.due_at());
        task = after;
    }
    let full = Task {
        status: TaskStatus::InProgress,
        progress: 5,
        failed_tries: 1,
        told: true,
        retry_at: Some(at(11)),
        timeout_at: Some(at(12)),
        reason: Reason::DeviceFlash,
        src: None,
        description: "x".into(),
        timeout_minutes: Some(3),
        ended_at: Some(at(13)),
        ..new_task(job, world.devices[0], 2)
    };
    let no = change(engine, |rows| rows.insert_task(&full));
    let full = Task { no, ..full };
    assert_eq!(look(engine, |view| view.task_by_id(&full.id)).as_ref(), Some(&full));
    assert_eq!(look(engine, |view| view.task(no)), Some(full));
    assert_eq!(look(engine, |view| view.task(TaskNo(99))), None);
}

fn tasks_are_found_by_device_job_status_and_deadline(engine: &mut dyn Engine) {
    use TaskStatus as S;
    let world = world(engine, 2);
    let (a, b) = (world.devices[0], world.devices[1]);
    let first = add_job(engine, &new_job(&world.package, 1));
    let second = add_job(engine, &new_job(&world.package, 2));
    let t: Vec<TaskNo> = change(engine, |rows| {
        let tasks = [
            (first, a, S::Failed, None),
            (first, a, S::InProgress, Some(at(30))),
            (first, b, S::Queued, None),
            (second, a, S::Confirm, None),
            (second, b, S::Succeeded, None),
            (first, b, S::InProgress, Some(at(20))),
        ];
        (0..)
            .zip(tasks)
            .map(|(n, (job, device, status, timeout_at))| {
                rows.insert_task(&Task { status, timeout_at, ..new_task(job, device, n) })
            })
            .collect()
    });
    let numbers = |tasks: Vec<Task>| tasks.into_iter().map(|task| task.no).collect::<Vec<_>>();
    look(engine, |view| {
        assert_eq!(numbers(view.unfinished_tasks(a)?), [t[1], t[3]]);
        assert_eq!(numbers(view.tasks_of_device(first, a)?), [t[1], t[0]]);
        assert_eq!(numbers(view.tasks_of_device(second, b)?), [t[4]]);
        assert!(view.has_task_of_package(world.package.no, b)?);
        assert!(!view.has_task_of_package(PackageNo(99), b)?);
        assert!(!view.has_task_of_package(world.package.no, DeviceNo(99))?);
        assert_eq!(numbers(view.tasks(first, None, Page::new(1, 3))?), [t[5], t[2], t[1]]);
        assert_eq!(numbers(view.tasks(first, None, Page::new(2, 3))?), [t[0]]);
        assert_eq!(numbers(view.tasks(first, Some(S::InProgress), Page::new(1, 1))?), [t[5]]);
        assert_eq!(numbers(view.tasks(first, Some(S::InProgress), Page::new(2, 1))?), [t[1]]);
        assert_eq!(numbers(view.tasks(first, Some(S::Canceled), ALL)?), []);
        let unfinished = StatusSet::UNFINISHED;
        assert_eq!(numbers(view.tasks_after(first, unfinished, TaskNo(0), 2)?), [t[1], t[2]]);
        assert_eq!(numbers(view.tasks_after(first, unfinished, t[2], 9)?), [t[5]]);
        assert_eq!(numbers(view.tasks_after(first, StatusSet::default(), TaskNo(0), 9)?), []);
        assert_eq!(view.due_tasks(at(19), 9)?, []);
        assert_eq!(view.due_tasks(at(30), 9)?, [t[5], t[1]]);
        assert_eq!(view.due_tasks(at(30), 1)?, [t[5]]);
        assert_eq!(view.next_due()?, Some(at(20)));
        Ok(())
    });
}

fn counts_equal_the_tasks_after_any_changes(engine: &mut dyn Engine) {
    let world = world(engine, 8);
    let jobs = [1, 2].map(|n| add_job(engine, &new_job(&world.package, n)));
    let random = crate::random::Random::seeded(7);
    let draw = |below: u128| usize::try_from(random.number() % below).unwrap();
    let mut model = Vec::<Task>::new();
    for _ in 0..60 {
        let mut next = model.clone();
        change(engine, |rows| {
            for _ in 0..draw(6) {
                let status = TaskStatus::ALL[draw(7)];
                if next.is_empty() || draw(3) == 0 {
                    let (job, device) = (jobs[draw(2)], world.devices[draw(8)]);
                    let mut task = Task { status, ..new_task(job, device, random.number()) };
                    task.no = rows.insert_task(&task)?;
                    next.push(task);
                } else {
                    let n = draw(next.len() as u128);
                    let after = Task { status, progress: 9, ..next[n].clone() };
                    rows.update_task(&next[n], &after)?;
                    next[n] = after;
                }
                assert_counts(rows, &jobs, &next);
            }
            Ok(())
        });
        model = next;
        look(engine, |view| {
            assert_counts(view, &jobs, &model);
            for job in jobs {
                let mut tasks = view.tasks(job, None, ALL)?;
                tasks.reverse();
                assert_eq!(
                    tasks,
                    model.iter().filter(|task| task.job == job).cloned().collect::<Vec<_>>()
                );
            }
            Ok(())
        });
    }
}

fn assert_counts(view: &mut (impl View + ?Sized), jobs: &[JobNo], tasks: &[Task]) {
    for &job in jobs {
        let mut counts = Counts::default();
        tasks.iter().filter(|task| task.job == job).for_each(|task| counts.add(task.status, 1));
        assert_eq!(view.counts(job).unwrap(), counts);
    }
}
