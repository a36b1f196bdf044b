//! Jobs.

use super::*;

pub fn holds_for<E: Engine>(open: impl Fn() -> E) {
    jobs_come_back_whatever_they_are(&mut open());
    jobs_are_found_by_package_device_and_deadline(&mut open());
    a_package_is_busy_while_a_job_or_a_task_is(&mut open());
}

fn jobs_come_back_whatever_they_are(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let policy = Policy {
        need_push: false,
        need_confirm: true,
        retry: Some(Retry { interval_minutes: 10, count: 5 }),
        timeout_minutes: Some(60),
        overwrite: OverwriteMode::Replace,
        multi_module: true,
        max_per_minute: None,
        download: DownloadProtocol::Mqtt,
        tags: vec![
            Tag { key: "b".into(), value: "\"灯\"".into() },
            Tag { key: "a".into(), value: String::new() },
        ],
    };
    let selections = [
        Selection::All,
        Selection::Specific,
        Selection::Gray(GrayPercent::from_thousandths(33_333)),
        Selection::Dynamic(DynamicMode::CurrentAndLater),
        Selection::Dynamic(DynamicMode::NewReports),
        Selection::Group,
    ];
    for (n, selection) in (0..).zip(selections) {
        let mut job = Job { selection, ..new_job(&world.package, n) };
        if n > 0 {
            job.kind = JobKind::Verify;
            job.policy = policy.clone();
            job.src_versions = vec![version("1.1"), version("1.0")];
        }
        job.no = add_job(engine, &job);
        assert_eq!(look(engine, |view| view.job(job.no)).as_deref(), Some(&job));
        let causes = [CancelCause::User, CancelCause::ScheduleFinished, CancelCause::DeviceDeleted];
        for (status, cause) in
            JobStatus::ALL.into_iter().zip(causes.into_iter().chain([CancelCause::ProductDeleted]))
        {
            job.status = status;
            job.modified_at = at(101);
            (job.started_at, job.ended_at) = (Some(at(102)), Some(at(103)));
            (job.schedule_at, job.finish_at) = (Some(at(104)), Some(at(105)));
            job.fill = Some(Fill { after: 1, until: 2, rank_max: Some(u64::MAX) });
            job.sweep = Some(Sweep { cancels: StatusSet::PENDING, cause, at: at(106), after: 3 });
            job.bucket = Some(StoredBucket { parts: u64::MAX - 1, at: at(107) });
            change(engine, |rows| rows.update_job(&job));
            assert_eq!(look(engine, |view| view.job_by_id(&job.id)).as_deref(), Some(&job));
        }
        job.policy.max_per_minute = Some(77);
        job.policy.timeout_minutes = Some(7);
        job.policy.tags = vec![Tag { key: "c".into(), value: "v".into() }];
        job.src_versions = vec![version("7.0")];
        change(engine, |rows| rows.update_job_policy(&job));
        assert_eq!(look(engine, |view| view.job(job.no)).as_deref(), Some(&job));
        job.fill = Some(Fill { after: 1, until: 2, rank_max: None });
        (job.sweep, job.bucket, job.started_at, job.ended_at) = (None, None, None, None);
        (job.schedule_at, job.finish_at) = (None, None);
        change(engine, |rows| rows.update_job(&job));
        assert_eq!(look(engine, |view| view.job(job.no)).as_deref(), Some(&job));
    }
    assert_eq!(look(engine, |view| view.job(JobNo(99))), None);
    assert_eq!(look(engine, |view| view.job_by_id(&JobId::generate(99))), None);
}

fn jobs_are_found_by_package_device_and_deadline(engine: &mut dyn Engine) {
    let world = world(engine, 2);
    let mcu = change(engine, |rows| {
        let package =
            Package { module: module("MCU"), ..new_package(world.account, world.product, 2) };
        let no = rows.insert_package(&package)?;
        Ok(rows.package(no)?.unwrap())
    });
    let dynamic = Selection::Dynamic(DynamicMode::NewReports);
    let j: Vec<JobNo> = [
        Job { kind: JobKind::Verify, ..new_job(&world.package, 0) },
        Job { kind: JobKind::Verify, finish_at: Some(at(900)), ..new_job(&world.package, 1) },
        Job {
            status: JobStatus::Planned,
            schedule_at: Some(at(800)),
            ..new_job(&world.package, 2)
        },
        Job { selection: dynamic, ..new_job(&mcu, 3) },
        Job { selection: dynamic, status: JobStatus::Canceled, ..new_job(&mcu, 4) },
        Job { fill: Some(Fill { after: 0, until: 9, rank_max: None }), ..new_job(&mcu, 5) },
    ]
    .iter()
    .map(|job| add_job(engine, job))
    .collect();
    change(engine, |rows| {
        for (n, (job, device)) in [(0, 0), (2, 0), (0, 1), (2, 0), (3, 0)].into_iter().enumerate() {
            rows.insert_task(&new_task(j[job], world.devices[device], n as u128))?;
        }
        Ok(())
    });
    let numbers = |listed: Listed<Rc<Job>>| {
        (listed.rows.iter().map(|job| job.no).collect::<Vec<_>>(), listed.total)
    };
    look(engine, |view| {
        assert_eq!(
            numbers(view.jobs_of_package(world.package.no, Page::new(1, 2))?),
            (vec![j[2], j[1]], 3)
        );
        assert_eq!(
            numbers(view.jobs_of_package(world.package.no, Page::new(2, 2))?),
            (vec![j[0]], 3)
        );
        let (first, second) = (world.devices[0], world.devices[1]);
        assert_eq!(
            numbers(view.jobs_of_device(world.package.no, first, ALL)?),
            (vec![j[2], j[0]], 2)
        );
        assert_eq!(
            numbers(view.jobs_of_device(world.package.no, first, Page::new(2, 1))?),
            (vec![j[0]], 2)
        );
        assert_eq!(numbers(view.jobs_of_device(world.package.no, second, ALL)?), (vec![j[0]], 1));
        assert_eq!(numbers(view.jobs_of_device(mcu.no, second, ALL)?), (vec![], 0));

        assert_eq!(view.running_dynamic_job(mcu.no)?, Some(j[3]));
        assert_eq!(view.running_dynamic_job(world.package.no)?, None);
        let dynamic = view.dynamic_jobs(world.product, &module("mcu"))?;
        assert_eq!(dynamic.iter().map(|job| job.no).collect::<Vec<_>>(), [j[3]]);
        assert!(view.dynamic_jobs(world.product, &ModuleName::default())?.is_empty());
        assert_eq!(view.last_verify_job(world.package.no)?, Some(j[1]));
        assert_eq!(view.last_verify_job(mcu.no)?, None);

        assert_eq!(view.due_jobs(at(799), 9)?, [j[5]]);
        assert_eq!(view.due_jobs(at(900), 9)?, [j[5], j[2], j[1]]);
        assert_eq!(view.due_jobs(at(900), 2)?, [j[5], j[2]]);
        assert_eq!(view.next_due()?, Some(at(0)));
        Ok(())
    });
    change(engine, |rows| {
        let filled = Job { fill: None, ..(*rows.job(j[5])?.unwrap()).clone() };
        rows.update_job(&filled)
    });
    assert_eq!(look(engine, |view| view.next_due()), Some(at(800)));
}

fn a_package_is_busy_while_a_job_or_a_task_is(engine: &mut dyn Engine) {
    let world = world(engine, 1);
    let busy =
        |engine: &mut dyn Engine| look(engine, |view| view.package_is_busy(world.package.no));
    assert!(!busy(engine));
    let mut job = new_job(&world.package, 1);
    job.no = add_job(engine, &job);
    for (status, is_busy) in JobStatus::ALL.into_iter().zip([true, true, false, false]) {
        job.status = status;
        change(engine, |rows| rows.update_job(&job));
        assert_eq!(busy(engine), is_busy, "{status:?}");
    }
    let mut task = new_task(job.no, world.devices[0], 1);
    task.no = change(engine, |rows| {
        let no = rows.insert_task(&task)?;
        assert!(rows.package_is_busy(world.package.no)?, "in the transaction that made the task");
        Ok(no)
    });
    assert!(busy(engine));
    let ended = Task { status: TaskStatus::Succeeded, ..task.clone() };
    change(engine, |rows| rows.update_task(&task, &ended));
    assert!(!busy(engine));
}
