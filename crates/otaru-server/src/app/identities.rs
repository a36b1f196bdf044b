//! Devices that were looked up at their CONNECT and may be let in again without asking the store.
//!
//! What is kept is never older than what anybody was told: whoever disables or deletes a device, gives it another secret
//! or a session forgets it here after the commit and before the answer. A look-up that began before that keeps nothing.

use crate::mqtt::{Identity, IdentityProof};
use otaru_core::hash::Map;
use otaru_core::id::{DeviceName, DeviceNo, ProductKey};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps the devices that were asked for last: up to a number of them, and as many of those before.
#[derive(Debug)]
pub(super) struct Identities {
    state: Mutex<State>,
    /// Of each half; 0: nothing is kept.
    half_max: usize,
}

#[derive(Debug, Default)]
struct State {
    newer: Half,
    older: Half,
    /// How often something was forgotten.
    forgotten: u64,
}

#[derive(Debug, Default)]
struct Half {
    by_name: Map<Arc<str>, Identity>,
    names: Map<DeviceNo, Arc<str>>,
}

/// A look-up that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since(u64);

impl Identities {
    pub fn new(devices_max: usize) -> Self {
        Self { state: Mutex::default(), half_max: devices_max / 2 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change below is whole before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be taken before the store is asked, for [`Identities::keep`].
    pub fn since(&self) -> Since {
        Since(self.state().forgotten)
    }

    pub fn find(&self, product_key: &ProductKey, device_name: &DeviceName) -> Option<Identity> {
        let name = name(product_key, device_name);
        let mut state = self.state();
        if let Some(known) = state.newer.by_name.get(&*name) {
            return Some(known.clone());
        }
        let known = state.older.by_name.get(&*name)?.clone();
        let outdated = state.put(name.into(), known.clone(), self.half_max);
        drop(state);
        // Thousands of entries, perhaps: nobody else waits for their end.
        drop(outdated);
        Some(known)
    }

    /// Keeps what a look-up found, unless something was forgotten since it began.
    pub fn keep(
        &self,
        product_key: &ProductKey,
        device_name: &DeviceName,
        found: &Identity,
        since: Since,
    ) {
        let is_plain = !found.disabled && matches!(found.proof, IdentityProof::Secret(_));
        if self.half_max == 0 || !is_plain {
            return;
        }
        let name = name(product_key, device_name).into();
        let mut state = self.state();
        if state.forgotten != since.0 {
            return;
        }
        let outdated = state.put(name, found.clone(), self.half_max);
        drop(state);
        drop(outdated);
    }

    pub fn forget(&self, device: DeviceNo) {
        let mut state = self.state();
        state.forgotten += 1;
        state.newer.forget(device);
        state.older.forget(device);
    }

    pub fn forget_all(&self) {
        let mut state = self.state();
        state.forgotten += 1;
        let outdated = (std::mem::take(&mut state.newer), std::mem::take(&mut state.older));
        drop(state);
        drop(outdated);
    }
}

impl State {
    /// The half that has to go for it, if one has.
    fn put(&mut self, name: Arc<str>, identity: Identity, half_max: usize) -> Option<Half> {
        let is_full = self.newer.by_name.len() >= half_max;
        let outdated = is_full.then(|| {
            let newer = std::mem::take(&mut self.newer);
            std::mem::replace(&mut self.older, newer)
        });
        self.newer.names.insert(identity.device, Arc::clone(&name));
        self.newer.by_name.insert(name, identity);
        outdated
    }
}

impl Half {
    fn forget(&mut self, device: DeviceNo) {
        if let Some(name) = self.names.remove(&device) {
            self.by_name.remove(&name);
        }
    }
}

fn name(product_key: &ProductKey, device_name: &DeviceName) -> String {
    format!("{device_name}&{product_key}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_core::id::ProductNo;

    fn identity(no: i64) -> Identity {
        Identity {
            device: DeviceNo(no),
            product: ProductNo(1),
            proof: IdentityProof::Secret("s".into()),
            disabled: false,
            is_gateway: false,
            has_session: false,
        }
    }

    struct Kept(Identities);

    impl Kept {
        fn keep(&self, no: i64) {
            self.keep_as(&identity(no), self.0.since());
        }

        fn keep_as(&self, identity: &Identity, since: Since) {
            let (key, name) = names(identity.device.0);
            self.0.keep(&key, &name, identity, since);
        }

        fn finds(&self, no: i64) -> bool {
            let (key, name) = names(no);
            self.0.find(&key, &name).is_some_and(|known| known == identity(no))
        }
    }

    fn names(no: i64) -> (ProductKey, DeviceName) {
        ("a1B2c3D4e5F".parse().unwrap(), format!("dev-{no}").parse().unwrap())
    }

    #[test]
    fn a_device_that_was_looked_up_is_known_until_it_is_forgotten() {
        let kept = Kept(Identities::new(10));
        kept.keep(1);
        kept.keep(2);
        assert!(kept.finds(1) && kept.finds(2) && !kept.finds(3));
        kept.0.forget(DeviceNo(1));
        assert!(!kept.finds(1) && kept.finds(2));
        kept.0.forget_all();
        assert!(!kept.finds(2));
    }

    #[test]
    fn a_look_up_that_began_before_something_was_forgotten_keeps_nothing() {
        let kept = Kept(Identities::new(10));
        let since = kept.0.since();
        kept.0.forget(DeviceNo(1));
        kept.keep_as(&identity(1), since);
        assert!(!kept.finds(1));
        kept.keep(1);
        assert!(kept.finds(1));
    }

    #[test]
    fn no_more_are_known_than_may_be_and_those_that_come_often_stay() {
        let kept = Kept(Identities::new(4));
        for no in 1..100 {
            kept.keep(no);
            assert!(kept.finds(1), "{no}");
        }
        let known = (1..100).filter(|&no| kept.finds(no)).count();
        assert!((2..=4).contains(&known), "{known}");
        let state = kept.0.state();
        for half in [&state.newer, &state.older] {
            assert!(half.by_name.len() <= 2 && half.names.len() <= 2);
        }
    }

    #[test]
    fn neither_disabled_devices_nor_those_with_certificates_are_kept() {
        let kept = Kept(Identities::new(4));
        let since = kept.0.since();
        kept.keep_as(&Identity { disabled: true, ..identity(1) }, since);
        kept.keep_as(&Identity { proof: IdentityProof::Certificate, ..identity(2) }, since);
        assert!(kept.0.state().newer.by_name.is_empty());
        let none = Kept(Identities::new(0));
        none.keep(1);
        assert!(!none.finds(1));
    }
}
