//! Gateways and their sub-devices: who is attached to whom, and who may go online through whom.

use super::effect::Effects;
use super::{App, Limits, registration, topic_class};
use crate::mqtt::{Peer, RuleBook, TopoAnswer};
use crate::store::{Result, Rows, View};
use otaru_core::device::Device;
use otaru_core::hash::Map;
use otaru_core::id::DeviceNo;
use otaru_core::product::Product;
use otaru_core::registration::{Claim, RegisterError};
use otaru_core::time::Timestamp;
use otaru_core::topology::{SubName, SubProof, TopoAsk, TopoError};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

/// What the API calls a product of gateways.
pub(super) const GATEWAY: i32 = 1;
const MINUTE_MS: u64 = 60_000;
/// Sub-devices whose logins are remembered before those of the last minute alone are.
const LOGINS_KEPT: usize = 65_536;

type Outcome<T> = Result<std::result::Result<T, TopoError>>;

macro_rules! passed {
    ($outcome:expr) => {
        match $outcome? {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        }
    };
}

/// Logins of sub-devices in the last minute.
pub(super) struct Logins {
    per_minute: u32,
    /// Since when, by the monotonic clock, and how many.
    counts: Mutex<Map<DeviceNo, (u64, u32)>>,
}

impl Logins {
    pub fn new(limits: &Limits) -> Self {
        Self { per_minute: limits.sub_logins_per_minute, counts: Mutex::default() }
    }

    /// Counts a login of each; `false` when one of them has logged in too often.
    fn count(&self, devices: impl Iterator<Item = DeviceNo>, now_ms: u64) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= LOGINS_KEPT {
            counts.retain(|_, (since, _)| now_ms < *since + MINUTE_MS);
        }
        let mut all_may = true;
        for device in devices {
            let (since, count) = counts.entry(device).or_insert((now_ms, 0));
            if now_ms >= *since + MINUTE_MS {
                (*since, *count) = (now_ms, 0);
            }
            *count = count.saturating_add(1);
            all_may &= self.per_minute == 0 || *count <= self.per_minute;
        }
        all_may
    }
}

/// A gateway that asks, and the product it is of.
fn gateway(view: &mut dyn View, peer: Peer) -> Outcome<Rc<Product>> {
    let Some(device) = view.device(peer.device)? else { return Ok(Err(TopoError::NotFound)) };
    let product = view.product(device.product)?.expect("a device has a product");
    let is_gateway = product.profile.node_type == GATEWAY;
    Ok(if is_gateway { Ok(product) } else { Err(TopoError::Parameter) })
}

/// A device that could be a sub-device of a gateway of this product: one of the same account and instance.
fn sub_device(view: &mut dyn View, of: &Product, name: &SubName) -> Outcome<Device> {
    let Some(product) = view.product_by_key(&name.product_key)? else {
        return Ok(Err(TopoError::NotFound));
    };
    if (product.account, product.instance) != (of.account, of.instance) {
        return Ok(Err(TopoError::NotFound));
    }
    if product.profile.node_type == GATEWAY {
        return Ok(Err(TopoError::Gateway));
    }
    let device = view.device_by_name(product.no, &name.device_name)?;
    Ok(device.ok_or(TopoError::NotFound))
}

/// Attaches all of them or none. The proof of a device's secret takes it from another gateway.
fn add(
    rows: &mut dyn Rows,
    peer: Peer,
    proofs: &[SubProof],
    most: u64,
    effects: &mut Effects,
) -> Outcome<TopoAnswer> {
    let product = passed!(gateway(rows, peer));
    let mut moves = Vec::new();
    for proof in proofs {
        let device = passed!(sub_device(rows, &product, &proof.name));
        if device.disabled {
            return Ok(Err(TopoError::Disabled));
        }
        if !proof.proves(&device.secret) {
            return Ok(Err(TopoError::Sign));
        }
        let had = rows.gateway_of(device.no)?;
        if had != Some(peer.device) {
            moves.push((device.no, had.is_some()));
        }
    }
    if rows.sub_device_count(peer.device)? + moves.len() as u64 > most {
        return Ok(Err(TopoError::TooMany));
    }
    for (device, had_another) in moves {
        rows.attach(device, peer.device)?;
        if had_another {
            effects.logged_out.push(device);
        }
    }
    Ok(Ok(TopoAnswer::List(proofs.iter().map(|proof| proof.name.clone()).collect())))
}

fn delete(rows: &mut dyn Rows, peer: Peer, names: &[SubName]) -> Outcome<TopoAnswer> {
    let product = passed!(gateway(rows, peer));
    let mut devices = Vec::new();
    for name in names {
        let device = passed!(sub_device(rows, &product, name));
        if rows.gateway_of(device.no)? != Some(peer.device) {
            return Ok(Err(TopoError::NoRelation));
        }
        devices.push(device.no);
    }
    devices.into_iter().try_for_each(|device| rows.detach(device))?;
    Ok(Ok(TopoAnswer::Detached(names.to_vec())))
}

fn list(view: &mut dyn View, peer: Peer, most: u64) -> Outcome<TopoAnswer> {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let mut names = Vec::new();
    for device in view.sub_devices(peer.device, most)? {
        let product = view.product(device.product)?.expect("a device has a product");
        let (product_key, device_name) = (product.key.clone(), device.name);
        names.push(SubName { product_key, device_name });
    }
    Ok(Ok(TopoAnswer::List(names)))
}

/// Whether all of them may log in through the gateway.
fn log_in(
    view: &mut dyn View,
    peer: Peer,
    proofs: &[SubProof],
    book: &RuleBook,
) -> Outcome<Vec<(SubName, otaru_core::id::ProductNo, DeviceNo)>> {
    let product = passed!(gateway(view, peer));
    let mut devices = Vec::new();
    for SubProofOf { proof, device } in passed!(claims(view, &product, proofs)) {
        if !proof.proves(&device.secret) {
            return Ok(Err(TopoError::LoginSign));
        }
        if device.disabled {
            return Ok(Err(TopoError::LoginDisabled));
        }
        if view.gateway_of(device.no)? != Some(peer.device) {
            return Ok(Err(TopoError::NoRelation));
        }
        topic_class::learn(view, book, device.product)?;
        devices.push((proof.name.clone(), device.product, device.no));
    }
    Ok(Ok(devices))
}

struct SubProofOf<'p> {
    proof: &'p SubProof,
    device: Device,
}

fn claims<'p>(
    view: &mut dyn View,
    product: &Product,
    proofs: &'p [SubProof],
) -> Outcome<Vec<SubProofOf<'p>>> {
    let mut claims = Vec::with_capacity(proofs.len());
    for proof in proofs {
        let device = passed!(sub_device(view, product, &proof.name));
        claims.push(SubProofOf { proof, device });
    }
    Ok(Ok(claims))
}

/// Gives all of them a secret, or none.
fn register(
    rows: &mut dyn Rows,
    peer: Peer,
    names: &[SubName],
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome<TopoAnswer> {
    let product = passed!(gateway(rows, peer));
    // Looked through before anything is changed, so that a later one that is refused leaves the others alone.
    for name in names {
        let device = passed!(sub_device(rows, &product, name));
        let of = rows.product(device.product)?.expect("a device has a product");
        if let Err(error) = registration::may_enrol(rows, peer, &of, Some(&device))? {
            return Ok(Err(error.into()));
        }
    }
    let mut enrolled = Vec::with_capacity(names.len());
    for name in names {
        let device = passed!(sub_device(rows, &product, name));
        enrolled.push(registration::renew(rows, name, device, now, effects)?);
    }
    Ok(Ok(TopoAnswer::Registered(enrolled)))
}

/// Gives each a secret whose claim holds.
fn register_signed(
    rows: &mut dyn Rows,
    peer: Peer,
    claims: &[std::result::Result<Claim, (SubName, RegisterError)>],
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome<TopoAnswer> {
    let product = passed!(gateway(rows, peer));
    let (mut enrolled, mut refused) = (Vec::new(), Vec::new());
    for claim in claims {
        let claim = match claim {
            Ok(claim) => claim,
            Err((name, error)) => {
                refused.push((name.clone(), *error));
                continue;
            }
        };
        let name = SubName {
            product_key: claim.product_key.clone(),
            device_name: claim.device_name.clone(),
        };
        match signed(rows, peer, &product, claim, &name)? {
            Ok(device) => enrolled.push(registration::renew(rows, &name, device, now, effects)?),
            Err(error) => refused.push((name, error)),
        }
    }
    Ok(Ok(TopoAnswer::RegisteredSigned { enrolled, refused }))
}

/// The sub-device of a claim that holds.
fn signed(
    rows: &mut dyn Rows,
    peer: Peer,
    gateways: &Product,
    claim: &Claim,
    name: &SubName,
) -> Result<std::result::Result<Device, RegisterError>> {
    let of = rows.product_by_key(&claim.product_key)?;
    let Some(of) =
        of.filter(|of| (of.account, of.instance) == (gateways.account, gateways.instance))
    else {
        return Ok(Err(RegisterError::NoProduct));
    };
    if !claim.proves(&of.secret) {
        return Ok(Err(RegisterError::Sign));
    }
    let device = rows.device_by_name(of.no, &name.device_name)?;
    Ok(match registration::may_enrol(rows, peer, &of, device.as_ref())? {
        Ok(()) => device.ok_or(RegisterError::NoDevice),
        Err(error) => Err(error),
    })
}

impl App {
    /// One change whose effects follow its commit.
    async fn change_topology(
        &self,
        mut work: impl FnMut(&mut dyn Rows, Timestamp, &mut Effects) -> Outcome<TopoAnswer>
        + Send
        + 'static,
    ) -> Outcome<TopoAnswer> {
        let now = self.clock.now().wall;
        let (follower, registry) = (self.follower.clone(), self.registry.clone());
        let change = self.store.queue_then(
            move |rows| {
                let mut effects = Effects::seeing(&registry);
                Ok((work(rows, now, &mut effects)?, effects))
            },
            move |(answer, effects)| {
                follower.follow(effects);
                answer
            },
        );
        change.await?.await
    }

    /// Carries out what a gateway asks for, all of it or nothing.
    pub(super) async fn topology(
        &self,
        peer: Peer,
        ask: TopoAsk,
    ) -> Result<std::result::Result<TopoAnswer, TopoError>> {
        let most = u64::from(self.limits.sub_devices_max);
        match ask {
            TopoAsk::Add(proofs) => {
                self.change_topology(move |rows, _, effects| {
                    add(rows, peer, &proofs, most, effects)
                })
                .await
            }
            TopoAsk::Delete(names) => {
                self.store.change(move |rows| delete(rows, peer, &names)).await
            }
            TopoAsk::Get => self.store.view(move |view| list(view, peer, most)).await,
            TopoAsk::Found => Ok(Ok(TopoAnswer::Nothing)),
            TopoAsk::Register(names) => {
                let count = names.len();
                let answer = self
                    .change_topology(move |rows, now, effects| {
                        register(rows, peer, &names, now, effects)
                    })
                    .await?;
                match &answer {
                    Ok(_) => (0..count).for_each(|_| self.count_registration(None)),
                    Err(TopoError::Registration(error)) => self.count_registration(Some(*error)),
                    Err(_) => {}
                }
                Ok(answer)
            }
            TopoAsk::RegisterSigned(claims) => {
                let answer = self
                    .change_topology(move |rows, now, effects| {
                        register_signed(rows, peer, &claims, now, effects)
                    })
                    .await?;
                if let Ok(TopoAnswer::RegisteredSigned { enrolled, refused }) = &answer {
                    let refused = refused.iter().map(|(_, error)| Some(*error));
                    for error in enrolled.iter().map(|_| None).chain(refused) {
                        self.count_registration(error);
                    }
                }
                Ok(answer)
            }
            TopoAsk::Login(proofs) => {
                let registry = self.registry.clone();
                let look = move |view: &mut dyn View| log_in(view, peer, &proofs, registry.rules());
                let found = self.store.view(look).await?;
                Ok(found.and_then(|devices| {
                    let numbers = devices.iter().map(|(_, _, device)| *device);
                    if self.logins.count(numbers, self.clock.mono_ms()) {
                        Ok(TopoAnswer::LoggedIn(devices))
                    } else {
                        Err(TopoError::TooManyLogins)
                    }
                }))
            }
            TopoAsk::Logout(names) => Ok(Ok(TopoAnswer::LoggedOut(names))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_device_logs_in_so_often_a_minute_and_old_counts_are_forgotten() {
        let limits = Limits { sub_logins_per_minute: 2, ..Limits::default() };
        let logins = Logins::new(&limits);
        let login = |device: i64, now_ms| logins.count([DeviceNo(device)].into_iter(), now_ms);
        assert!(login(1, 0) && login(1, 1) && !login(1, 59_999) && login(2, 59_999));
        assert!(login(1, 60_000));
        for device in 0..200_000 {
            login(device, 60_000 * u64::try_from(device).unwrap());
        }
        assert!(logins.counts.lock().unwrap().len() <= LOGINS_KEPT);
    }
}
