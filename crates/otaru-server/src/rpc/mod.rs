//! Door 1: the signed cloud API.
//!
//! [`Rpc::handle`] takes a request as bytes and gives an answer as bytes; whatever carries them (a socket, the
//! simulation) stays outside.

pub mod auth;
pub mod batch;
pub mod client;
pub mod device;
pub mod dynamic_group;
pub mod error;
pub mod file;
pub mod gateway;
pub mod group;
pub mod instance;
pub mod job;
mod json;
pub mod module;
pub mod named_task;
pub mod nonce;
pub mod op;
pub mod package;
pub mod params;
mod permission;
pub mod product;
pub mod publish;
pub mod quota;
pub mod request;
pub mod rrpc;
pub mod shadow;
pub mod status;
pub mod subscription;
pub mod tag;
pub mod task;
pub mod thing;
pub mod topic_class;
pub mod tree;
pub mod upload;
mod wire;
mod xml;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use otaru_core::refusal::Refusal;
use otaru_core::time::{Now, Timestamp};

use crate::app::{App, AppError, Caller, Signer};
use crate::metrics::RpcCode;
use crate::store::StoreError;
use auth::{AccessKey, KeyStatus, Temporary};
use error::GatewayError;
use gateway::{Answer, Checked, check, request_id};
use instance::{InstanceConfig, Instances};
use nonce::{Nonces, Reads, UsedNonce, from_stored, to_stored};
use op::{Access, Context, Op};
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
    kept: Kept,
    quotas: Mutex<Quotas>,
    instances: Instances,
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
        nonces.restore(used.iter().flat_map(from_stored));
        let instances = Instances::default();
        let kept = Kept { app: app.clone(), reads: Mutex::default() };
        Ok(Self { app, nonces: Mutex::new(nonces), kept, quotas: Mutex::new(quotas), instances })
    }

    /// Offers these instances beside the default one, which has no id otherwise.
    ///
    /// # Errors
    /// When the store can't say or keep their numbers.
    pub async fn with_instances(self, config: &InstanceConfig) -> Result<Self, AppError> {
        let instances = Instances::open(&self.app, config).await?;
        Ok(Self { instances, ..self })
    }

    /// Answers one request. Whatever comes in, an answer goes out.
    pub async fn handle(&self, request: Incoming<'_>) -> Answer {
        let now = self.app.clock.now();
        let id = request_id(self.app.random.number());
        let host = request.header("host").unwrap_or_default();
        let (format, checked) = check(&request, now.wall);
        let checked = match checked {
            Ok(checked) => checked,
            Err(error) => {
                self.count(&error);
                return Answer::error(format, error, id, host);
            }
        };
        let action = checked.op.action;
        match guarded(self.call(&checked, now)).await {
            Ok(reply) => Answer::success(format, action, id, reply),
            Err(Failure::Refused(refusal)) => {
                tracing::debug!(action, request.id = %id, code = refusal.code, "refused a call: {refusal}");
                Answer::refusal(format, action, id, &refusal)
            }
            Err(Failure::Gateway(error)) => {
                tracing::debug!(action, request.id = %id, code = %error.code, "refused a request of `{action}`");
                self.count(&error);
                Answer::error(format, error, id, host)
            }
        }
    }

    fn count(&self, error: &GatewayError) {
        self.app.registry.metrics().rpc_errors.count(RpcCode::of(&error.code));
    }

    /// Lets a request in, from the look-up of its key on, and runs its operation.
    async fn call(&self, checked: &Checked, now: Now) -> Result<Fields, Failure> {
        let Checked { op, params, claim } = checked;
        let signer = self.app.signer(claim.access_key_id.clone(), claim.token.clone()).await;
        let signer = signer.map_err(|error| unavailable(&error))?;
        let key = signer.as_ref().map(|signer| AccessKey::of(signer, now.wall));
        claim.verify(key.as_ref(), now.wall)?;
        let signer = signer.expect("a signature was verified with its key");
        let account = signer.key.account;
        let used = lock(&self.nonces).admit(&claim.access_key_id, &claim.nonce, now.wall)?;
        self.kept.keep(used, op, &claim.access_key_id).map_err(|error| unavailable(&error))?;
        let instance = self.instances.find(params.get("IotInstanceId"));
        lock(&self.quotas).take(account, op, asked_page(params), now)?;
        let caller = Caller {
            account,
            // Types of parameters are checked before the instance, and need none.
            instance: instance.as_ref().copied().unwrap_or(Instances::DEFAULT),
            user: signer.user.as_ref().map(|user| user.no),
        };
        let running = (op.run)(Context { app: &self.app, caller, now: now.wall, params })?;
        instance?;
        permission::check(&self.app, signer.user.as_ref(), op, params).await?;
        running.await.map_err(|error| failed(op, error))
    }
}

/// Where nonces go that have to outlast this run.
struct Kept {
    app: Arc<App>,
    reads: Mutex<Reads>,
}

impl Kept {
    /// Keeps the nonce of a call that changes something before it does.
    fn keep(&self, used: UsedNonce, op: &Op, access_key_id: &str) -> Result<(), AppError> {
        let now = match op.access() {
            Access::Write => Some(vec![used]),
            Access::Read => lock(&self.reads).add(used),
        };
        now.map_or(Ok(()), |used| self.app.remember_nonce(to_stored(&used, access_key_id)))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let used = lock(&self.reads).take();
        if used.is_empty() {
            return;
        }
        // Digests say by themselves whose they are.
        if let Err(error) = self.app.remember_nonce(to_stored(&used, "")) {
            tracing::warn!(%error, "nonces of the last second are lost: {error}");
        }
    }
}

/// A defect that panics costs its caller the call, not the connection and all that others sent over it.
async fn guarded(call: impl Future<Output = Result<Fields, Failure>>) -> Result<Fields, Failure> {
    let outcome = std::panic::AssertUnwindSafe(call).catch_unwind().await;
    outcome.unwrap_or_else(|_| {
        tracing::error!("a call came upon a defect and was given up");
        Err(GatewayError::internal().into())
    })
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
        AppError::Unavailable(StoreError::Unreachable(cause)) => {
            tracing::warn!(
                action = op.action,
                "the store can't be reached in `{}`: {cause}",
                op.action
            );
            GatewayError::unavailable().into()
        }
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

impl AccessKey {
    fn of(signer: &Signer, now: Timestamp) -> Self {
        let Signer { key, user, account_disabled, token_is_ours } = signer;
        let is_over = key.token.is_none() && key.expires_at.is_some_and(|at| at <= now);
        let status = match () {
            () if !key.active || is_over => KeyStatus::Inactive,
            () if *account_disabled || user.as_ref().is_some_and(|user| user.disabled) => {
                KeyStatus::AccountDisabled
            }
            () => KeyStatus::Active,
        };
        let temporary = key.token.clone().map(|token| Temporary {
            token,
            expires_at: key.expires_at.unwrap_or(Timestamp(i64::MIN)),
        });
        Self { secret: key.secret.clone(), status, temporary, token_is_ours: *token_is_ours }
    }
}

#[cfg(test)]
mod tests;
