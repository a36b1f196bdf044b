//! Changing packages and jobs that are there already.

use super::select::READ;
use super::{App, Caller, Result, job, lookup};
use otaru_core::job::{DynamicMode, Fill, Job, JobEvent, Selection};
use otaru_core::package::Package;
use otaru_core::refusal;
use otaru_core::update::JobUpdate;

/// A change of a package; its values are checked, `None` leaves one as it is.
#[derive(Debug, Clone)]
pub struct PackageChange {
    pub firmware_id: String,
    pub product_key: String,
    pub name: Option<String>,
    pub description: Option<String>,
    pub udi: Option<String>,
}

impl App {
    pub async fn update_package(&self, caller: Caller, change: PackageChange) -> Result<()> {
        self.change(move |rows, now, _| {
            let PackageChange { firmware_id, product_key, name, description, udi } = change.clone();
            let package = lookup::changed_package(rows, caller, &firmware_id)?;
            let product = rows.product(package.product)?.expect("a package has a product");
            if product.key.as_str() != product_key {
                return Err(refusal::FIRMWARE_OF_OTHER_PRODUCT.with(&product_key).into());
            }
            if let Some(name) = &name
                && *name != package.name
                && rows.package_name_exists(caller.account, name)?
            {
                return Err(refusal::PACKAGE_NAME_TAKEN.with(name).into());
            }
            let changed = Package {
                name: name.unwrap_or_else(|| package.name.clone()),
                description: description.unwrap_or_else(|| package.description.clone()),
                udi: udi.unwrap_or_else(|| package.udi.clone()),
                ..(*package).clone()
            };
            if changed != *package {
                rows.update_package(&Package { modified_at: now, ..changed })?;
            }
            Ok(())
        })
        .await
    }

    /// Changes a job that has not ended. A new rate rules the pushes that follow, a new timeout the tasks that are made
    /// later; new source versions let a dynamic job for current devices look at all of them again.
    pub async fn update_job(
        &self,
        caller: Caller,
        job_id: String,
        update: JobUpdate,
    ) -> Result<()> {
        let files = self.files.clone();
        self.change(move |rows, now, effects| {
            let before = lookup::changed_job(rows, caller, &job_id)?;
            let package = rows.package(before.package)?.expect("a job has a package");
            let mut job = update.apply(&before, package.delta_src(), now)?;
            let looks_again = job.selection == Selection::Dynamic(DynamicMode::CurrentAndLater)
                && job.src_versions != before.src_versions;
            if looks_again {
                let until = rows.last_device()?.0;
                job.fill = Some(Fill { after: 0, until, rank_max: None });
            }
            rows.update_job_policy(&job)?;
            rows.update_job(&job)?;
            if looks_again {
                job::fill_slice(rows, &files, &job, READ, now, effects)?;
            }
            effects.rates.push(job);
            Ok(())
        })
        .await
    }

    /// Ends the policy of a dynamic job; the tasks that it has made go on.
    pub async fn cancel_strategy(&self, caller: Caller, job_id: String) -> Result<()> {
        self.change(move |rows, now, _| {
            let job = lookup::job(rows, caller, &job_id)?;
            if !job.is_dynamic() {
                return Err(refusal::NOT_DYNAMIC.with(&job_id).into());
            }
            let Some(status) = job.status.next(JobEvent::PolicyCanceled) else {
                return Err(refusal::JOB_ALREADY_CANCELED.with(&job_id).into());
            };
            let ended = Job {
                status,
                modified_at: now,
                ended_at: Some(now),
                // Nothing more is to be made of it.
                fill: None,
                ..(*job).clone()
            };
            Ok(rows.update_job(&ended)?)
        })
        .await
    }
}
