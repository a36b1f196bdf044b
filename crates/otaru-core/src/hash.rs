//! Maps that iterate in the same order at each run, so that a simulated node repeats itself from its seed.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;

type Fixed = BuildHasherDefault<DefaultHasher>;

#[allow(
    clippy::disallowed_types,
    reason = "this is the map with a fixed hasher that the ban points to"
)]
pub type Map<K, V> = std::collections::HashMap<K, V, Fixed>;

#[allow(
    clippy::disallowed_types,
    reason = "this is the set with a fixed hasher that the ban points to"
)]
pub type Set<T> = std::collections::HashSet<T, Fixed>;
