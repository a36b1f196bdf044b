//! Door 1: the signed cloud API.
//!
//! [`Rpc::handle`] takes a request as bytes and gives an answer as bytes; whatever carries them (a socket, the
//! simulation) stays outside.

pub mod auth;
pub mod client;
pub mod device;
pub mod error;
pub mod gateway;
pub mod job;
mod json;
pub mod nonce;
pub mod op;
pub mod package;
pub mod params;
pub mod product;
pub mod quota;
pub mod request;
pub mod subscription;
pub mod task;
pub mod tree;
pub mod upload;
mod wire;
mod xml;

use std::sync::{Arc, Mutex, PoisonError};

use otaru_core::refusal::{self, Refusal};
use otaru_core::time::Now;

use crate::app::{App, AppError, Caller};
use crate::store::{self, StoreError};
use auth::{AccessKey, KeyStatus};
use error::GatewayError;
use gateway::{Answer, Call, Checked, check, request_id};
use nonce::{Nonces, UsedNonce};
use op::{Context, Op};
use params::Params;
use quota::Quotas;
use tree::Fields;

/// A request to the path `/` as it came in, whatever carried it.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Names are compared without case; a header may occur more than once.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

impl Incoming<'_> {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Nonces that can be alive at a time: at 50 bytes each some 200 MB at the very most.
const NONCES_MAX: usize = 4_000_000;

/// The door with what it remembers between calls.
pub struct Rpc {
    app: Arc<App>,
    nonces: Mutex<Nonces>,
    quotas: Mutex<Quotas>,
}

/// How a call that passed the gateway ends without doing what was asked.
enum Failure {
    Gateway(GatewayError),
    Refused(Refusal),
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::Gateway(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Rpc {
    /// Opens the door; nonces of an earlier run are read back from the store.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn open(app: Arc<App>, quotas: Quotas) -> Result<Self, AppError> {
        let used = app.nonces().await?;
        let mut nonces = Nonces::new(NONCES_MAX);
        nonces.restore(used.iter().filter_map(UsedNonce::from_stored));
        Ok(Self { app, nonces: Mutex::new(nonces), quotas: Mutex::new(quotas) })
    }

    /// Answers one request. Whatever comes in, an answer goes out.
    pub async fn handle(&self, request: Incoming<'_>) -> Answer {
        let now = self.app.clock.now();
        let id = request_id(self.app.random.number());
        let host = request.header("host").unwrap_or_default();
        let (format, checked) = check(&request, now.wall);
        let checked = match checked {
            Ok(checked) => checked,
            Err(error) => return Answer::error(format, error, id, host),
        };
        let action = checked.call.action();
        match self.call(&checked, now).await {
            Ok(reply) => Answer::success(format, action, id, reply),
            Err(Failure::Refused(refusal)) => {
                tracing::debug!(action, request.id = %id, code = refusal.code, "refused a call: {refusal}");
                Answer::refusal(format, action, id, &refusal)
            }
            Err(Failure::Gateway(error)) => {
                tracing::debug!(action, request.id = %id, code = %error.code, "refused a request of `{action}`");
                Answer::error(format, error, id, host)
            }
        }
    }

    /// Lets a request in, from the look-up of its key on, and runs its operation.
    async fn call(&self, checked: &Checked, now: Now) -> Result<Fields, Failure> {
        let Checked { call, params, claim } = checked;
        let key = self.app.access_key(claim.access_key_id.clone()).await;
        let key = key.map_err(|error| unavailable(&error))?.map(AccessKey::from);
        let account = claim.verify(key.as_ref())?;
        let used = lock(&self.nonces).admit(&claim.access_key_id, &claim.nonce, now.wall)?;
        self.app
            .remember_nonce(used.to_stored(&claim.access_key_id))
            .map_err(|error| unavailable(&error))?;
        let caller = Caller::main(account);
        let context = Context { app: &self.app, caller, now: now.wall, params };
        let op = match call {
            Call::Offered(op) => *op,
            Call::NotOffered(name) => {
                only_instance(params)?;
                return Err(refusal::API_NOT_SUPPORTED.with(name).into());
            }
        };
        lock(&self.quotas).take(account, op, asked_page(params), now)?;
        let running = (op.run)(context)?;
        only_instance(params)?;
        running.await.map_err(|error| failed(op, error))
    }
}

/// There is one instance, which has no id: whoever names one means another.
fn only_instance(params: &Params) -> Result<(), Refusal> {
    match params.get("IotInstanceId") {
        None => Ok(()),
        Some(id) => Err(refusal::INSTANCE_NOT_FOUND.with(id)),
    }
}

/// `CurrentPage` and `PageSize` as far as they are numbers: quotas come before the types of parameters are checked.
fn asked_page(params: &Params) -> Option<(u64, u64)> {
    let number = |name| params.get(name)?.parse().ok();
    number("CurrentPage").zip(number("PageSize"))
}

fn unavailable(error: &AppError) -> GatewayError {
    tracing::warn!(error = error as &dyn std::error::Error, "cannot let a call in");
    GatewayError::unavailable()
}

fn failed(op: &Op, error: AppError) -> Failure {
    match error {
        AppError::Refused(refusal) => refusal.into(),
        AppError::Unavailable(StoreError::Busy) => GatewayError::unavailable().into(),
        AppError::Unavailable(StoreError::Engine(cause)) => {
            tracing::error!(action = op.action, "the store failed in `{}`: {cause}", op.action);
            Refusal::from(op.failure).into()
        }
    }
}

/// Neither nonces nor quotas are ever left half changed, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<store::AccessKey> for AccessKey {
    fn from(key: store::AccessKey) -> Self {
        let store::AccessKey { id: _, secret, account, active } = key;
        let status = if active { KeyStatus::Active } else { KeyStatus::Inactive };
        Self { secret, account, status }
    }
}

impl UsedNonce {
    /// As the store keeps it: the digest in hex in place of the caller's text.
    fn to_stored(self, access_key_id: &str) -> store::Nonce {
        store::Nonce {
            access_key: access_key_id.to_owned(),
            nonce: format!("{:032x}", self.digest),
            expires_at: self.expires_at,
        }
    }

    fn from_stored(nonce: &store::Nonce) -> Option<Self> {
        let digest = u128::from_str_radix(&nonce.nonce, 16).ok()?;
        Some(Self { digest, expires_at: nonce.expires_at })
    }
}

#[cfg(test)]
mod tests;
