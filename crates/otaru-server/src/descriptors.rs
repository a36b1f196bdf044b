//! How many files and sockets this process may have open.

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit as it is.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit as far as the system lets us, and returns what it is then: every connection is one open file, and
/// the usual limit of 1,024 is that of another age.
///
/// # Errors
/// When the system refuses.
pub fn raise() -> anyhow::Result<u64> {
    let Rlimit { maximum, current } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
            .context("the limit of open files can't be raised")?;
    }
    Ok(maximum.unwrap_or(u64::MAX))
}
