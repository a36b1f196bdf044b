//! Jobs: creating and showing them.

use super::select::{self, Chosen, READ, SLICE, STEP};
use super::{App, Caller, Result, create, dynamic, listed, lookup, package};
use crate::files::Files;
use crate::store::{About, Listed, Page, Rows, Upload, View};
use otaru_core::block;
use otaru_core::group::{Group, GroupKind};
use otaru_core::id::{JobId, JobNo};
use otaru_core::job::{
    DynamicMode, Fill, GrayPercent, Job, JobGroup, JobKind, JobStatus, Selection,
};
use otaru_core::package::{Package, PackageStatus};
use otaru_core::policy::{DownloadProtocol, Policy};
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::time::{MINUTE_MS, Timestamp};
use otaru_core::version::Version;

/// Which devices a job is to take.
#[derive(Debug, Clone)]
pub enum Target {
    /// Named devices of a verification.
    Verify(Vec<String>),
    All(Vec<Version>),
    Gray(GrayPercent, Vec<Version>),
    Specific(Vec<String>),
    /// A file of names, by its URL.
    List(String),
    /// Members of a static group.
    Group(String),
    Dynamic(DynamicMode, Vec<Version>),
    /// Members of a dynamic group.
    DynamicGroup(DynamicMode, String),
}

/// A job to make; what needs no look-up is checked.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub firmware_id: String,
    pub product_key: String,
    pub target: Target,
    pub policy: Policy,
    pub schedule_at: Option<Timestamp>,
    pub finish_at: Option<Timestamp>,
}

/// A job with its package and product.
#[derive(Debug, Clone)]
pub struct JobView {
    pub job: Job,
    pub package: Package,
    pub product: Product,
}

impl App {
    /// Makes a job and, when there are at most 10,000, all its tasks. The rest of a larger one follows in slices.
    pub async fn create_job(&self, caller: Caller, new: NewJob) -> Result<(JobId, Timestamp)> {
        let (urls, files) = (self.urls.clone(), self.files.clone());
        let (devices_max, minute_max) =
            (self.limits.job_devices_max, self.limits.minute_devices_max);
        let list = match &new.target {
            Target::List(url) => Some(self.check_list(caller, &new, url.clone()).await?),
            _ => None,
        };
        // The choice of a gray job hangs on its id.
        let id = JobId::generate(self.random.number());
        let survey = match &new.target {
            Target::All(versions) => Some(self.survey(caller, &new, &id, versions, None).await?),
            Target::Gray(share, versions) => {
                Some(self.survey(caller, &new, &id, versions, Some(*share)).await?)
            }
            _ => None,
        };
        self.change(move |rows, now, effects| {
            let NewJob { policy, schedule_at, finish_at, .. } = new.clone();
            let (product, package) = package_of(rows, caller, &new)?;
            let id = id.clone();
            let (kind, selection, src_versions) = selection_of(&new.target);
            check_src_versions(&package, &new.target, &src_versions)?;
            let (mut used, mut group): (_, Option<std::rc::Rc<Group>>) = (None, None);
            let mut count = 0;
            let chosen = match &new.target {
                Target::Verify(names) | Target::Specific(names) => {
                    Chosen::Whole(select::named(rows, &product, &package, names)?)
                }
                Target::All(_) | Target::Gray(..) => {
                    let survey = survey.as_ref().expect("the product was looked over");
                    check_count(survey.count, devices_max)?;
                    count = survey.count;
                    survey.chosen(rows, &package, &src_versions)?
                }
                Target::List(url) => {
                    // Once more, since the check of the list ran by itself.
                    let upload = listed::usable(rows, &urls, caller, url, now)?;
                    let list = list.as_ref().expect("the list was checked");
                    count = list.count as u64;
                    let chosen = if list.is_small() {
                        Chosen::Whole(list.devices(rows, &package)?)
                    } else {
                        Chosen::Sliced(list.fill())
                    };
                    used = Some(Upload { used: true, ..upload });
                    chosen
                }
                Target::Group(id) => {
                    let found = lookup::group(rows, caller, id, GroupKind::Static)?;
                    let most = devices_max.or(schedule_at.and(minute_max));
                    let (chosen, members) = select::of_group(rows, found.no, &package, most)?;
                    check_count(members, devices_max)?;
                    count = members;
                    group = Some(found);
                    chosen
                }
                Target::Dynamic(..) | Target::DynamicGroup(..) => {
                    if let Target::DynamicGroup(_, id) = &new.target {
                        group = Some(lookup::group(rows, caller, id, GroupKind::Dynamic)?);
                    }
                    if rows.running_dynamic_job(package.no)?.is_some() {
                        return Err(refusal::DYNAMIC_JOB_RUNNING.into());
                    }
                    if let Some(group) = &group {
                        check_modes(rows, group, &policy)?;
                    }
                    let until = rows.last_device()?.0;
                    Chosen::Sliced(Fill { after: 0, until, rank_max: None })
                }
            };
            if let Chosen::Whole(devices) = &chosen {
                if devices.is_empty() {
                    return Err(refusal::NO_DEVICE_CAN_UPGRADE.into());
                }
                count = devices.len() as u64;
                check_count(count, devices_max)?;
            }
            if let (Some(at), Some(most)) = (schedule_at, minute_max) {
                check_minute(rows, at, count, most)?;
            }
            let current = !matches!(selection, Selection::Dynamic(DynamicMode::NewReports));
            let fill = match &chosen {
                Chosen::Sliced(fill) if current => Some(*fill),
                Chosen::Sliced(_) | Chosen::Whole(_) => None,
            };
            let mut job = Job {
                no: JobNo(0),
                account: caller.account,
                product: product.no,
                package: package.no,
                id,
                kind,
                selection,
                group: group.map(|group| JobGroup {
                    no: group.no,
                    id: group.id.clone(),
                    name: group.name.clone(),
                }),
                src_versions,
                policy,
                status: if schedule_at.is_some() {
                    JobStatus::Planned
                } else {
                    JobStatus::InProgress
                },
                created_at: now,
                modified_at: now,
                started_at: schedule_at.is_none().then_some(now),
                ended_at: None,
                schedule_at,
                finish_at,
                finish_played: false,
                fill,
                list: list.as_ref().filter(|_| fill.is_some()).map(|list| list.sha256.clone()),
                sweep: None,
                bucket: None,
            };
            job.no = rows.insert_job(&job)?;
            effects.due(job.due_at());
            if let Some(used) = used {
                rows.update_upload(&used)?;
            }
            if kind == JobKind::Verify {
                package::verify_started(rows, &package, now)?;
            }
            match chosen {
                Chosen::Whole(devices) => {
                    rows.prefetch(&about(&devices, false))?;
                    for (device, version) in devices {
                        create::task(
                            rows,
                            &job,
                            &package,
                            device,
                            version.as_ref(),
                            None,
                            now,
                            effects,
                        )?;
                    }
                    // Every device may have been busy: then all has ended already.
                    super::task::settle(rows, &job, package.no, false, now)?;
                    dynamic::look_at_freed(rows, now, effects)?;
                }
                Chosen::Sliced(_) if job.fill.is_some() => {
                    // A static job that comes here is too large for one change anyway.
                    let most = if job.is_dynamic() { READ } else { STEP };
                    fill_slice(rows, &files, &job, most, now, effects)?;
                }
                Chosen::Sliced(_) => {}
            }
            Ok((job.id, now))
        })
        .await
    }

    pub async fn job(&self, caller: Caller, id: String) -> Result<JobView> {
        self.view(move |view| {
            let job = lookup::job(view, caller, &id)?;
            show(view, &job)
        })
        .await
    }

    pub async fn jobs_of_package(
        &self,
        caller: Caller,
        id: String,
        page: Page,
    ) -> Result<Listed<JobView>> {
        self.view(move |view| {
            let package = lookup::package(view, caller, &id)?;
            let listed = view.jobs_of_package(package.no, page)?;
            show_all(view, &listed)
        })
        .await
    }

    /// Jobs of a package that have a task of the device, newest first.
    pub async fn jobs_of_device(
        &self,
        caller: Caller,
        product_key: String,
        device_name: String,
        firmware_id: String,
        page: Page,
    ) -> Result<Listed<JobView>> {
        self.view(move |view| {
            let product = lookup::product(view, caller, &product_key)?;
            let device = lookup::device(view, &product, &device_name)?;
            let package = lookup::package(view, caller, &firmware_id)?;
            if package.product != product.no {
                return Err(refusal::PACKAGE_OF_OTHER_PRODUCT.with(&product_key).into());
            }
            let listed = view.jobs_of_device(package.no, device.no, page)?;
            show_all(view, &listed)
        })
        .await
    }
}

fn show(view: &mut dyn View, job: &Job) -> Result<JobView> {
    let package = view.package(job.package)?.expect("a job has a package");
    let product = view.product(job.product)?.expect("a job has a product");
    Ok(JobView { job: job.clone(), package: (*package).clone(), product: (*product).clone() })
}

fn show_all(view: &mut dyn View, listed: &Listed<std::rc::Rc<Job>>) -> Result<Listed<JobView>> {
    let rows = listed.rows.iter().map(|job| show(view, job)).collect::<Result<_>>()?;
    Ok(Listed { rows, total: listed.total })
}

/// Whom the tasks of a job are made for.
fn about(devices: &[select::Candidate], whole: bool) -> Vec<About> {
    devices.iter().map(|&(device, _)| About { device, whole }).collect()
}

/// Makes the tasks of the next slice of a job, and notes how far it came.
pub(super) fn fill_slice(
    rows: &mut dyn Rows,
    files: &Files,
    job: &Job,
    most: u32,
    now: Timestamp,
    effects: &mut super::effect::Effects,
) -> Result<()> {
    let Some(fill) = job.fill else { return Ok(()) };
    let package = rows.package(job.package)?.expect("a job has a package");
    let (devices, rest) = if job.list.is_some() {
        listed::slice(rows, files, job, &package, fill)?
    } else if let (Selection::Group, Some(group)) = (job.selection, &job.group) {
        select::group_slice(rows, group.no, &package, fill, most)?
    } else {
        select::slice(rows, &job.id, &package, &job.src_versions, fill, most)?
    };
    debug_assert!(devices.len() <= SLICE);
    let current = rows.job(job.no)?.expect("it was read before");
    // A list is kept as long as a job names it.
    let list = current.list.clone().filter(|_| rest.is_some());
    let job = Job { fill: rest, list, ..(*current).clone() };
    rows.update_job(&job)?;
    rows.prefetch(&about(&devices, job.is_dynamic()))?;
    for (no, version) in devices {
        if job.is_dynamic() {
            let Some(device) = rows.device(no)? else { continue };
            dynamic::look(rows, &device, &package.module, dynamic::Sight::Current, now, effects)?;
        } else {
            create::task(rows, &job, &package, no, version.as_ref(), None, now, effects)?;
        }
    }
    effects.due(job.due_at());
    if rest.is_none() {
        super::task::settle(rows, &job, package.no, false, now)?;
    }
    Ok(dynamic::look_at_freed(rows, now, effects)?)
}

/// Refuses a job of more devices than the operator allows.
pub(super) fn check_count(devices: u64, devices_max: Option<u64>) -> Result<()> {
    match devices_max {
        Some(most) if devices > most => Err(refusal::TOO_MANY_DEVICES_IN_JOB.with(most).into()),
        _ => Ok(()),
    }
}

/// Refuses a job when the minute of its start would have more devices than the operator allows. A job that is still
/// being filled counts with the tasks it has by now.
fn check_minute(rows: &mut dyn View, at: Timestamp, devices: u64, most: u64) -> Result<()> {
    let from = at.0.div_euclid(MINUTE_MS) * MINUTE_MS;
    let planned = rows.planned_tasks(Timestamp(from), Timestamp(from + MINUTE_MS))?;
    if planned.saturating_add(devices) > most {
        return Err(refusal::TOO_MANY_DEVICES_AT_TIME.with(most).into());
    }
    Ok(())
}

/// A package and the product that it must belong to (rows F1 to F3 of the refusals).
pub(super) fn package_and_product(
    rows: &mut dyn View,
    caller: Caller,
    firmware_id: &str,
    product_key: &str,
) -> Result<(std::rc::Rc<Product>, std::rc::Rc<Package>)> {
    let package = lookup::package(rows, caller, firmware_id)?;
    let product = lookup::product(rows, caller, product_key)?;
    if package.product != product.no {
        return Err(refusal::PACKAGE_OF_OTHER_PRODUCT.with(product_key).into());
    }
    Ok((product, package))
}

/// The package and product of a new job (rows F1 to F5 of the refusals, then those of a verification).
pub(super) fn package_of(
    rows: &mut dyn View,
    caller: Caller,
    new: &NewJob,
) -> Result<(std::rc::Rc<Product>, std::rc::Rc<Package>)> {
    let (product, package) = package_and_product(rows, caller, &new.firmware_id, &new.product_key)?;
    let is_verify = matches!(new.target, Target::Verify(_));
    if !is_verify && !package.status.is_released() {
        return Err(refusal::PACKAGE_NOT_VERIFIED.with(&new.firmware_id).into());
    }
    if new.policy.download == DownloadProtocol::Mqtt
        && (package.files.len() > 1 || package.size_bytes() > block::FILE_BYTES_MAX)
    {
        return Err(refusal::PACKAGE_DOES_NOT_FIT
            .with("MQTT takes one file of at most 16 MB")
            .into());
    }
    match package.status {
        PackageStatus::Verifying if is_verify => Err(refusal::VERIFY_JOB_RUNNING.into()),
        PackageStatus::Verified if is_verify => Err(refusal::ALREADY_VERIFIED.into()),
        _ => Ok((product, package)),
    }
}

/// Jobs that watch one group treat its devices alike.
fn check_modes(rows: &mut dyn View, group: &Group, policy: &Policy) -> Result<()> {
    for no in rows.jobs_of_dynamic_group(group.no)? {
        let other = rows.job(no)?.expect("it was found");
        if other.policy.overwrite != policy.overwrite
            || other.policy.multi_module != policy.multi_module
        {
            let detail = format!("job {} of the group has other modes", other.id);
            return Err(refusal::INVALID_OVERWRITE_MODE.with(detail).into());
        }
    }
    Ok(())
}

fn selection_of(target: &Target) -> (JobKind, Selection, Vec<Version>) {
    match target {
        Target::Verify(_) => (JobKind::Verify, Selection::Specific, Vec::new()),
        Target::All(versions) => (JobKind::Upgrade, Selection::All, versions.clone()),
        Target::Gray(share, versions) => {
            (JobKind::Upgrade, Selection::Gray(*share), versions.clone())
        }
        Target::Specific(_) | Target::List(_) => {
            (JobKind::Upgrade, Selection::Specific, Vec::new())
        }
        Target::Group(_) => (JobKind::Upgrade, Selection::Group, Vec::new()),
        Target::Dynamic(mode, versions) => {
            (JobKind::Upgrade, Selection::Dynamic(*mode), versions.clone())
        }
        Target::DynamicGroup(mode, _) => (JobKind::Upgrade, Selection::Dynamic(*mode), Vec::new()),
    }
}

/// A delta package takes exactly its own source version where versions are given.
fn check_src_versions(package: &Package, target: &Target, versions: &[Version]) -> Result<()> {
    let Some(src) = package.delta_src() else { return Ok(()) };
    let by_version = matches!(target, Target::All(_) | Target::Gray(..) | Target::Dynamic(..));
    match versions {
        _ if !by_version => Ok(()),
        [] => Err(refusal::NULL_SRC_VERSIONS.into()),
        [one] if one == src => Ok(()),
        [one] => Err(refusal::SRC_VERSION_NOT_OF_PACKAGE.with(one).into()),
        _ => Err(refusal::MORE_THAN_ONE_SRC_VERSION.with(versions.len()).into()),
    }
}
