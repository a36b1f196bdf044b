//! Dynamic groups: who is a member is asked of each device anew.
//!
//! A list is walked product by product and device by device, newest first, in slices between which other reads get
//! their turn. The rule narrows the products when it names them.

use super::group::{GroupView, NewGroup, check_count, check_name, insert};
use super::{App, Caller, Result, lookup};
use crate::mqtt::Registry;
use crate::store::View;
use otaru_core::device::{Device, DeviceStatus};
use otaru_core::group::{Group, GroupKind};
use otaru_core::id::{DeviceName, DeviceNo, ProductNo};
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::rule::{Facts, Field, Rule};
use std::ops::ControlFlow;

/// Devices that one look at the store asks.
const SLICE: u32 = 2_000;
/// Devices that one call asks at most: totals count the members among them, tokens lead beyond.
const WALK: u32 = 100_000;

/// Which members to list.
#[derive(Debug, Clone, Default)]
pub struct MemberFilter {
    pub product_key: Option<String>,
    pub name: Option<NameFilter>,
    pub status: Option<DeviceStatus>,
}

#[derive(Debug, Clone)]
pub enum NameFilter {
    Is(String),
    Holds(String),
}

impl NameFilter {
    fn takes(&self, name: &str) -> bool {
        match self {
            Self::Is(text) => name == text,
            Self::Holds(part) => name.contains(part.as_str()),
        }
    }
}

/// Where a page of members starts.
#[derive(Debug, Clone, Copy)]
pub enum MembersFrom {
    /// After this many.
    Skip(u64),
    /// Behind this device.
    Behind(ProductNo, DeviceNo),
}

/// A member as it was seen.
#[derive(Debug, Clone)]
pub struct Member {
    pub product: Product,
    pub device: Device,
    pub status: DeviceStatus,
}

/// A page of members.
#[derive(Debug, Clone)]
pub struct MemberPage {
    pub members: Vec<Member>,
    /// Of the group, as far as it was walked.
    pub total: u64,
    /// Behind which device there may be more.
    pub next: Option<(ProductNo, DeviceNo)>,
}

/// Whether a device is in a dynamic group now.
pub(super) fn contains(
    view: &mut dyn View,
    group: &Group,
    product: &Product,
    device: &Device,
    registry: &Registry,
) -> crate::store::Result<bool> {
    let Some(rule) = &group.rule else { return Ok(false) };
    let mut groups = Vec::new();
    if rule.asks(&[Field::GroupId]) {
        groups.extend(view.groups_of_device(device.no)?.iter().map(|group| group.id.to_string()));
    }
    let mut tags = Vec::new();
    if rule.asks(&[Field::TagName, Field::TagValue]) {
        tags = view.device_tags(device.no)?;
    }
    let mut versions = Vec::new();
    if rule.asks(&[Field::ModuleName, Field::ModuleVersion]) {
        versions = view.versions(device.no)?;
    }
    let connected = rule.asks(&[Field::Status]) && registry.peer(device.no).is_some();
    Ok(rule.matches(&Facts {
        product_key: product.key.as_str(),
        iot_id: device.iot_id.as_str(),
        name: device.name.as_str(),
        nickname: &device.nickname,
        activated_at: device.activated_at,
        created_at: device.created_at,
        modified_at: device.activated_at.unwrap_or(device.created_at),
        status: DeviceStatus::of(device, connected).as_wire(),
        groups: &groups,
        tags: &tags,
        versions: &versions,
    }))
}

/// A walk over the devices that may be members.
#[derive(Debug, Clone)]
struct Walk {
    group: Group,
    filter: MemberFilter,
    /// Newest first.
    products: Vec<ProductNo>,
    /// Devices below this number are still to be asked in the first of `products`.
    before: DeviceNo,
}

const TOP: DeviceNo = DeviceNo(i64::MAX);

impl Walk {
    fn is_over(&self) -> bool {
        self.products.is_empty()
    }

    fn start_behind(&mut self, product: ProductNo, device: DeviceNo) {
        self.products.retain(|&no| no <= product);
        self.before = if self.products.first() == Some(&product) { device } else { TOP };
    }

    /// Where the walk stands.
    fn place(&self) -> Option<(ProductNo, DeviceNo)> {
        self.products.first().map(|&product| (product, self.before))
    }

    /// Asks up to a slice of devices and moves on.
    fn slice(
        &mut self,
        view: &mut dyn View,
        registry: &Registry,
    ) -> crate::store::Result<(Vec<Member>, u32)> {
        let (mut members, mut asked) = (Vec::new(), 0);
        while asked < SLICE
            && let Some(&no) = self.products.first()
        {
            let limit = SLICE - asked;
            // A product without devices costs a look too.
            asked += 1;
            let Some(product) = view.product(no)? else {
                self.next_product();
                continue;
            };
            let (devices, is_last) = if let Some(NameFilter::Is(name)) = &self.filter.name {
                let device = match name.parse::<DeviceName>() {
                    Ok(name) => view.device_by_name(no, &name)?,
                    Err(_) => None,
                };
                (device.filter(|d| d.no < self.before).into_iter().collect(), true)
            } else {
                let devices = view.devices_before(no, self.before, limit)?;
                let is_last = devices.len() < limit as usize;
                (devices, is_last)
            };
            for device in devices {
                asked += 1;
                self.before = device.no;
                let name = device.name.as_str();
                let takes = self.filter.name.as_ref().is_none_or(|filter| filter.takes(name));
                let status = DeviceStatus::of(&device, registry.peer(device.no).is_some());
                let fits = takes && self.filter.status.is_none_or(|want| want == status);
                if fits && contains(view, &self.group, &product, &device, registry)? {
                    members.push(Member { product: (*product).clone(), device, status });
                }
            }
            if is_last {
                self.next_product();
            }
        }
        Ok((members, asked))
    }

    fn next_product(&mut self) {
        self.products.remove(0);
        self.before = TOP;
    }
}

impl App {
    pub async fn create_dynamic_group(
        &self,
        caller: Caller,
        new: NewGroup,
        rule: Rule,
    ) -> Result<Group> {
        if let Some(most) = self.limits.group_devices_max {
            self.check_members(caller, &new, &rule, most).await?;
        }
        self.change(move |rows, now, _| {
            check_name(rows, caller, &new.name)?;
            check_count(rows, caller, GroupKind::Dynamic)?;
            insert(rows, caller, &new, None, Some(rule.clone()), now)
        })
        .await
    }

    /// Refuses a rule with more members than the operator allows.
    async fn check_members(
        &self,
        caller: Caller,
        new: &NewGroup,
        rule: &Rule,
        most: u64,
    ) -> Result<()> {
        let (new, rule) = (new.clone(), rule.clone());
        let walk = self.view(move |view| {
            check_name(view, caller, &new.name)?;
            check_count(view, caller, GroupKind::Dynamic)?;
            let group = Group {
                no: otaru_core::id::GroupNo(0),
                account: caller.account,
                instance: caller.instance,
                id: otaru_core::id::GroupId::generate(0),
                name: String::new(),
                description: String::new(),
                parent: None,
                level: 1,
                rule: Some(rule.clone()),
                children: 0,
                devices: 0,
                created_at: otaru_core::time::Timestamp(0),
            };
            start(view, caller, &group, MemberFilter::default())
        });
        let mut count = 0;
        self.walk(walk.await?, u32::MAX, |_, _| {
            count += 1;
            if count > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await?;
        if count > most {
            return Err(refusal::TOO_MANY_DEVICES_IN_DYNAMIC_GROUP.with(most).into());
        }
        Ok(())
    }

    pub(super) async fn dynamic_group(&self, caller: Caller, id: String) -> Result<GroupView> {
        let walk = self.view(move |view| {
            let group = lookup::group(view, caller, &id, GroupKind::Dynamic)?;
            start(view, caller, &group, MemberFilter::default())
        });
        let walk = walk.await?;
        let mut counted = GroupView { group: walk.group.clone(), devices: 0, active: 0, online: 0 };
        self.walk(walk, WALK, |member, _| {
            counted.devices += 1;
            counted.active += u64::from(member.device.activated_at.is_some());
            counted.online += u64::from(member.status == DeviceStatus::Online);
            ControlFlow::Continue(())
        })
        .await?;
        Ok(counted)
    }

    /// Members of a dynamic group, those of newer products first, then newer devices.
    pub async fn dynamic_group_devices(
        &self,
        caller: Caller,
        id: String,
        filter: MemberFilter,
        from: MembersFrom,
        take: u32,
    ) -> Result<MemberPage> {
        let walk = self.view(move |view| {
            let key = filter.product_key.as_deref();
            key.map(|key| lookup::product(view, caller, key)).transpose()?;
            let group = lookup::group(view, caller, &id, GroupKind::Dynamic)?;
            start(view, caller, &group, filter.clone())
        });
        let walk = walk.await?;
        let (mut members, mut total, mut more) = (Vec::new(), 0, false);
        let take = take as usize;
        let skip = match from {
            MembersFrom::Skip(skip) => skip,
            MembersFrom::Behind(..) => u64::MAX,
        };
        let rest = self.walk(walk.clone(), WALK, |member, _| {
            total += 1;
            if total > skip && members.len() < take {
                members.push(member);
            } else if total > skip {
                more = true;
            }
            ControlFlow::Continue(())
        });
        let mut rest = rest.await?;
        if let MembersFrom::Behind(product, device) = from {
            let mut behind = walk;
            behind.start_behind(product, device);
            rest = self
                .walk(behind, WALK, |member, _| {
                    if members.len() == take {
                        more = true;
                        return ControlFlow::Break(());
                    }
                    members.push(member);
                    ControlFlow::Continue(())
                })
                .await?;
        } else if members.is_empty() && skip > 0 && !rest.is_over() {
            let detail = format!("beyond {WALK} devices NextToken is needed");
            return Err(refusal::INVALID_PAGE.with(detail).into());
        }
        let last = members.last().map(|member| (member.device.product, member.device.no));
        let next = match last {
            Some(last) if more || (members.len() == take && !rest.is_over()) => Some(last),
            _ => rest.place(),
        };
        Ok(MemberPage { members, total, next })
    }

    /// Walks on until all devices, or `most` of them, are asked, or `see` has seen enough; the walk that remains.
    async fn walk(
        &self,
        mut walk: Walk,
        most: u32,
        mut see: impl FnMut(Member, &Walk) -> ControlFlow<()>,
    ) -> Result<Walk> {
        let mut left = most;
        while !walk.is_over() && left > 0 {
            let (registry, here) = (self.registry.clone(), walk);
            let (members, asked, next) = self
                .view(move |view| {
                    let mut walk = here.clone();
                    let (members, asked) = walk.slice(view, &registry)?;
                    Ok((members, asked, walk))
                })
                .await?;
            walk = next;
            left = left.saturating_sub(asked);
            for member in members {
                if see(member, &walk).is_break() {
                    return Ok(walk);
                }
            }
        }
        Ok(walk)
    }
}

/// A walk over all devices that may be members and pass the filter.
fn start(view: &mut dyn View, caller: Caller, group: &Group, filter: MemberFilter) -> Result<Walk> {
    let named = group.rule.as_ref().and_then(Rule::product_keys);
    let mut products = Vec::new();
    for no in view.products_of(caller.realm())? {
        let Some(product) = view.product(no)? else { continue };
        let key = product.key.as_str();
        let is_named = named.as_ref().is_none_or(|keys| keys.contains(&key));
        let is_wanted = filter.product_key.as_deref().is_none_or(|want| want == key);
        if is_named && is_wanted && lookup::may_see(view, caller, &product)? {
            products.push(no);
        }
    }
    Ok(Walk { group: group.clone(), filter, products, before: TOP })
}
