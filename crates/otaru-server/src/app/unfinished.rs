//! The unfinished tasks of devices: showing and canceling them.

use super::task::{Judged, TaskView};
use super::{App, Caller, DeviceKey, Result, dynamic, job, lookup};
use otaru_core::id::DeviceNo;
use otaru_core::job::StatusSet;
use otaru_core::refusal;
use otaru_core::task::{CancelCause, Event};
use otaru_core::version::ModuleName;

/// Which unfinished tasks of a device to list.
#[derive(Debug, Clone)]
pub struct Unfinished {
    pub key: DeviceKey,
    /// `None`: of all modules.
    pub module: Option<ModuleName>,
    pub statuses: StatusSet,
}

/// Devices whose tasks of a package, or of one of its jobs, are meant. The names are checked.
#[derive(Debug, Clone)]
pub struct DevicesOfPackage {
    pub firmware_id: String,
    pub product_key: String,
    pub job_id: Option<String>,
    pub names: Vec<String>,
}

impl App {
    /// Unfinished tasks of a device, newest first.
    pub async fn unfinished_tasks(
        &self,
        caller: Caller,
        wanted: Unfinished,
    ) -> Result<Vec<TaskView>> {
        let now = self.clock.now().wall;
        self.view(move |view| {
            let (product, device) = lookup::device_by_key(view, caller, &wanted.key)?;
            let mut rows = Vec::new();
            for task in view.unfinished_tasks(device.no)?.into_iter().rev() {
                let judged = Judged::load(view, task)?;
                let Judged { task, job, package, .. } = &judged;
                let is_meant = wanted.statuses.contains(judged.status(now))
                    && wanted.module.as_ref().is_none_or(|module| *module == package.module);
                if is_meant {
                    rows.push(TaskView {
                        task: task.clone(),
                        device: device.clone(),
                        package: (**package).clone(),
                        product: (*product).clone(),
                        job: (**job).clone(),
                    });
                }
            }
            Ok(rows)
        })
        .await
    }

    /// Cancels the unfinished tasks that devices have of a package.
    pub async fn cancel_tasks_of_devices(
        &self,
        caller: Caller,
        wanted: DevicesOfPackage,
    ) -> Result<()> {
        self.change(move |rows, now, effects| {
            let DevicesOfPackage { firmware_id, product_key, job_id, names } = &wanted;
            let (product, package) =
                job::package_and_product(rows, caller, firmware_id, product_key)?;
            let job = match job_id {
                None => None,
                Some(id) => {
                    let job = lookup::job(rows, caller, id)?;
                    if job.package != package.no {
                        return Err(refusal::NO_JOB.with(id).into());
                    }
                    Some(job.no)
                }
            };
            let mut devices = Vec::with_capacity(names.len());
            for name in names {
                devices.push(lookup::device(rows, &product, name)?.no);
            }
            let mut meant = Vec::new();
            for &device in &devices {
                for task in rows.unfinished_tasks(device)? {
                    let judged = Judged::load(rows, task)?;
                    let is_meant = judged.package.no == package.no
                        && job.is_none_or(|job| job == judged.job.no)
                        && judged.status(now).is_unfinished();
                    meant.extend(is_meant.then_some(judged));
                }
            }
            if meant.is_empty() {
                let any = |device: DeviceNo| match job {
                    Some(job) => Ok(!rows.tasks_of_device(job, device)?.is_empty()),
                    None => rows.has_task_of_package(package.no, device),
                };
                let found: Vec<bool> =
                    devices.into_iter().map(any).collect::<crate::store::Result<_>>()?;
                let code = if found.contains(&true) {
                    refusal::TASKS_HAVE_ENDED
                } else {
                    refusal::NO_TASK_OF_DEVICES
                };
                return Err(code.into());
            }
            for judged in meant {
                judged.meet(rows, Event::Canceled(CancelCause::User), now, effects)?;
            }
            Ok(dynamic::look_at_freed(rows, now, effects)?)
        })
        .await
    }
}
