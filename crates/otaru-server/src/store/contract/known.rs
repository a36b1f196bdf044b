//! Rows that an engine may keep in memory are those of its tables, whatever happened before.

use super::*;
use crate::random::Random;
use std::collections::BTreeMap;

const DEVICES: u128 = 12;
const BATCHES: u32 = 60;

pub fn holds_for<E: Engine>(open: impl Fn() -> E) {
    for seed in 1..=4 {
        reads_agree_with_what_was_written(&mut open(), seed);
    }
}

/// Devices with a queued task each, oldest first.
pub struct Known {
    pub devices: Vec<DeviceNo>,
}

/// Such devices, in a store of their own.
pub fn known(engine: &mut dyn Engine) -> Known {
    let world = world(engine, 3);
    let job = add_job(engine, &new_job(&world.package, 1));
    change(engine, |rows| {
        (0..)
            .zip(&world.devices)
            .try_for_each(|(n, &device)| rows.insert_task(&new_task(job, device, n)).map(drop))
    });
    Known { devices: world.devices }
}

/// What the store must hold.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    tasks: BTreeMap<TaskNo, Task>,
    versions: BTreeMap<(DeviceNo, String), Version>,
    devices: BTreeMap<DeviceNo, Device>,
}

struct Chance(Random);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.0.number() % (n as u128)).unwrap()
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

fn reads_agree_with_what_was_written(engine: &mut dyn Engine, seed: u64) {
    let mut chance = Chance(Random::seeded(seed));
    let world = world(engine, DEVICES);
    let jobs = [
        add_job(engine, &new_job(&world.package, 1)),
        add_job(engine, &new_job(&world.package, 2)),
    ];
    let mut kept = Model::default();
    for &no in &world.devices {
        kept.devices.insert(no, look(engine, |view| view.device(no)).unwrap());
    }
    let mut serial = 0;
    for batch in 0..BATCHES {
        let fails = chance.below(4) == 0;
        let mut next = kept.clone();
        let outcome = engine.transact(&mut |rows| {
            next = kept.clone();
            let about: Vec<_> = (0..chance.below(6))
                .map(|_| *chance.pick(&world.devices))
                .map(|device| About { device, whole: device.0 % 2 == 0 })
                .collect();
            rows.prefetch(&about)?;
            for _ in 0..chance.below(12) {
                act(rows, &mut next, &mut chance, &world, &jobs, &mut serial)?;
                check(rows, &next, &mut chance, &world, &jobs)?;
            }
            if fails { Err(StoreError::Engine("as it was told to".into())) } else { Ok(()) }
        });
        assert_eq!(outcome.is_err(), fails, "batch {batch} of seed {seed}: {outcome:?}");
        if !fails {
            kept = next;
        }
        look(engine, |view| {
            check_tasks_of_jobs(view, &kept, &jobs)?;
            check_names(view, &kept, &world)?;
            world.devices.iter().try_for_each(|&device| check_device(view, &kept, device, &jobs))
        });
    }
    assert!(!kept.tasks.is_empty());
}

/// Changes something, here and there.
fn act(
    rows: &mut dyn Rows,
    model: &mut Model,
    chance: &mut Chance,
    world: &World,
    jobs: &[JobNo],
    serial: &mut u128,
) -> Result<()> {
    let device = *chance.pick(&world.devices);
    let numbers: Vec<_> = model.tasks.keys().copied().collect();
    *serial += 1;
    let now = at(10_000 + i64::try_from(*serial).unwrap());
    match chance.below(10) {
        0..=1 if model.devices.contains_key(&device) => {
            let mut new = new_task(*chance.pick(jobs), device, *serial);
            new.status = *chance.pick(&TaskStatus::ALL);
            new.no = rows.insert_task(&new)?;
            assert!(numbers.iter().all(|&no| no < new.no), "numbers rise");
            model.tasks.insert(new.no, new);
        }
        2..=5 if !numbers.is_empty() => {
            let before = &model.tasks[chance.pick(&numbers)];
            let mut after = before.clone();
            after.progress = u8::try_from(chance.below(101)).unwrap();
            after.modified_at = now;
            if chance.below(3) == 0 {
                after.status = *chance.pick(&TaskStatus::ALL);
            }
            if chance.below(3) == 0 {
                after.timeout_at = Some(now);
            }
            if chance.below(3) == 0 {
                after.description = format!("it's\0{serial}");
            }
            rows.update_task(before, &after)?;
            model.tasks.insert(after.no, after);
        }
        6 if model.devices.contains_key(&device) => {
            let (key, version) =
                (*chance.pick(&["default", "mcu", "Esp"]), version(&format!("1.{serial}")));
            rows.put_version(device, &module(key), &version, now)?;
            model.versions.insert((device, module(key).key()), version);
        }
        7 => {
            rows.note_online(device, now, "192.0.2.1")?;
            if let Some(device) = model.devices.get_mut(&device) {
                device.activated_at = device.activated_at.or(Some(now));
                (device.online_at, device.status_at) = (Some(now), now);
                device.address = "192.0.2.1".into();
            }
        }
        8 => rows.set_disabled(device, true, now).map(|()| {
            if let Some(device) = model.devices.get_mut(&device).filter(|device| !device.disabled) {
                (device.disabled, device.status_at) = (true, now);
            }
        })?,
        9 if model.devices.len() > 6 && chance.below(6) == 0 => {
            if let Some(gone) = model.devices.remove(&device) {
                rows.delete_device(world.account, &gone)?;
                model.versions.retain(|(of, _), _| *of != device);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Reads something, by this way or that.
fn check(
    rows: &mut dyn Rows,
    model: &Model,
    chance: &mut Chance,
    world: &World,
    jobs: &[JobNo],
) -> Result<()> {
    if chance.below(3) == 0 {
        check_names(rows, model, world)?;
        return check_tasks_of_jobs(rows, model, jobs);
    }
    check_device(rows, model, *chance.pick(&world.devices), jobs)
}

/// All devices by their names, those that are gone too.
fn check_names(view: &mut (impl View + ?Sized), model: &Model, world: &World) -> Result<()> {
    let names = (0..=DEVICES).map(|n| new_device(world.product, n).name);
    let names: Vec<_> = names.collect();
    let found = view.named_versions(world.product, &module("MCU"), &names)?;
    let expected = names.iter().map(|name| {
        let device = model.devices.values().find(|device| device.name == *name)?;
        Some((device.no, model.versions.get(&(device.no, "mcu".into())).cloned()))
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
    Ok(())
}

fn check_tasks_of_jobs(
    view: &mut (impl View + ?Sized),
    model: &Model,
    jobs: &[JobNo],
) -> Result<()> {
    for &job in jobs {
        let of_job: Vec<_> = model.tasks.values().filter(|task| task.job == job).cloned().collect();
        let mut counts = Counts::default();
        for task in &of_job {
            counts.add(task.status, 1);
        }
        assert_eq!(view.counts(job)?, counts);
        let mut listed = view.tasks(job, None, ALL)?;
        listed.reverse();
        assert_eq!(listed, of_job);
        let queued = |task: &&Task| task.status == TaskStatus::Queued;
        let after =
            view.tasks_after(job, StatusSet::of(&[TaskStatus::Queued]), TaskNo(0), 1_000)?;
        assert_eq!(after, of_job.iter().filter(queued).cloned().collect::<Vec<_>>());
    }
    let due = model.tasks.values().filter_map(Task::due_at).min();
    assert_eq!(view.next_due()?, due);
    Ok(())
}

fn check_device(
    view: &mut (impl View + ?Sized),
    model: &Model,
    device: DeviceNo,
    jobs: &[JobNo],
) -> Result<()> {
    assert_eq!(view.device(device)?.as_ref(), model.devices.get(&device));
    let of_device = || model.tasks.values().filter(|task| task.device == device);
    let unfinished: Vec<_> =
        of_device().filter(|task| task.status.is_unfinished()).cloned().collect();
    assert_eq!(view.unfinished_tasks(device)?, unfinished);
    for task in of_device() {
        assert_eq!(view.task(task.no)?.as_ref(), Some(task));
        assert_eq!(view.task_of(device, task.no)?.as_ref(), Some(task));
        assert_eq!(view.task_by_id(&task.id)?.as_ref(), Some(task));
    }
    let mut listed = view.tasks_of_device(jobs[0], device)?;
    listed.reverse();
    assert_eq!(listed, of_device().filter(|t| t.job == jobs[0]).cloned().collect::<Vec<_>>());
    for key in ["default", "mcu", "esp", "none"] {
        let version = model.versions.get(&(device, key.to_owned()));
        assert_eq!(view.version(device, &module(key))?.as_ref(), version);
    }
    let versions = model.versions.keys().filter(|(of, _)| *of == device).count();
    assert_eq!(view.version_count(device)?, versions as u64);
    Ok(())
}
