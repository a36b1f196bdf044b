//! TLS on the listeners.
//!
//! OpenSSL rather than rustls, since the devices' C SDKs offer key exchange by RSA and CBC suites, and nothing else.

mod authority;
mod client;
mod context;
mod device_authority;
mod failure;
mod made;
mod psk;
mod socket;
#[cfg(test)]
mod tests;
mod trust;

pub use authority::ServerName;
pub use client::Caller;
pub use context::Pair;
pub use device_authority::{DEVICE_DAYS_MAX, DeviceAuthority, DeviceKey, Issued, KeyOf};
pub use made::{Made, authority_file};
pub use psk::Secrets;
pub use socket::{HandshakeError, TlsSocket};
pub use trust::{Certified, DeviceTrust};

use crate::clock::Clock;
use crate::metrics::{Metrics, TlsFailed, TlsKind};
use crate::random::Random;
use openssl::ssl::{Ssl, SslContext, SslRef, SslVerifyMode, SslVersion};
use otaru_core::signature::psk::PskIdentity;
use otaru_core::time::DAY_MS;
use psk::Slot;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Where certificates come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Files of the operator's.
    Own(Vec<Pair>),
    Made(Made),
}

/// All files that handshakes need.
#[derive(Debug, Clone)]
pub struct Files {
    pub source: Source,
    /// Who may issue certificates of devices.
    pub devices: DeviceTrust,
}

/// Who knocks on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knocks {
    /// A device, which may have a certificate: it is asked for one when there is a CA for it.
    Device,
    /// Whoever; browsers would ask their users when they were asked.
    Anybody,
}

/// What handshakes may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsLimits {
    /// Milliseconds from a connection to the end of its handshake.
    pub handshake_ms: u64,
    /// Handshakes at once; more wait, and their time runs.
    pub handshakes_max: u32,
}

impl Default for TlsLimits {
    fn default() -> Self {
        Self { handshake_ms: 10_000, handshakes_max: 512 }
    }
}

/// Shakes hands with everybody who connects to a TLS listener.
#[derive(Debug)]
pub struct Acceptor {
    files: Files,
    /// For devices that open with a key of theirs.
    secrets: Option<Secrets>,
    context: RwLock<Context>,
    limits: TlsLimits,
    /// A place for each handshake under way.
    room: Semaphore,
    clock: Clock,
    random: Random,
    metrics: Metrics,
}

impl Acceptor {
    /// # Errors
    /// A sentence when there are no certificates to use.
    pub fn open(
        files: Files,
        secrets: Option<Secrets>,
        limits: TlsLimits,
        clock: Clock,
        random: Random,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let context = RwLock::new(load(&files, secrets.is_some(), &clock, &random)?);
        let room = Semaphore::new(usize::try_from(limits.handshakes_max).unwrap_or(usize::MAX));
        Ok(Self { files, secrets, context, limits, room, clock, random, metrics })
    }

    /// Reads the certificates again, and issues those anew that the server makes and that end soon. Connections go on
    /// as they are; tickets of earlier ones lose their worth.
    ///
    /// # Errors
    /// A sentence when there is something wrong with them; the old ones are used further then.
    pub fn reload(&self) -> anyhow::Result<()> {
        let context = load(&self.files, self.secrets.is_some(), &self.clock, &self.random)?;
        // A context is put in its place whole.
        *self.context.write().unwrap_or_else(PoisonError::into_inner) = context;
        Ok(())
    }

    /// Reloads, and says in the log how that went.
    pub fn reload_and_tell(&self) {
        match self.reload() {
            Ok(()) => tracing::info!("TLS certificates are loaded anew"),
            Err(error) => {
                tracing::error!("the TLS certificates stay as they were: {error:#}");
            }
        }
    }

    /// Reloads once a day; never ends. Certificates are renewed in time so, and keys of session tickets, which could
    /// open what was recorded, live for a day.
    pub async fn tend(&self) {
        loop {
            self.clock.sleep_until(self.clock.mono_ms() + DAY_MS.unsigned_abs()).await;
            self.reload_and_tell();
        }
    }

    /// The socket under TLS; `None` when the handshake failed or took too long, which is counted and logged.
    pub async fn accept(&self, tcp: TcpStream, peer: IpAddr, knocks: Knocks) -> Option<TlsSocket> {
        let deadline_ms = self.clock.mono_ms() + self.limits.handshake_ms;
        let mut has_place = false;
        let slot = Slot::default();
        let shaken = tokio::select! {
            biased;
            shaken = self.shake_hands(tcp, knocks, &slot, &mut has_place) => shaken,
            () = self.clock.sleep_until(deadline_ms) => Err(None),
        };
        let failed = match shaken {
            Ok(socket) => {
                self.metrics.tls_handshakes.count(socket.session(kind));
                return Some(socket);
            }
            Err(Some(error)) => {
                tracing::debug!(%peer, %error, "a TLS handshake with {peer} failed: {error}");
                if slot.is_filled() { TlsFailed::Psk } else { failure::reason(&error) }
            }
            Err(None) if has_place => TlsFailed::Timeout,
            Err(None) => TlsFailed::Busy,
        };
        self.metrics.tls_failed.count(failed);
        None
    }

    async fn shake_hands(
        &self,
        tcp: TcpStream,
        knocks: Knocks,
        slot: &Slot,
        has_place: &mut bool,
    ) -> Result<TlsSocket, Option<HandshakeError>> {
        // Who says nothing takes nobody's place.
        *has_place = true;
        let _ = tcp.readable().await;
        *has_place = false;
        let _place = self.room.acquire().await.expect("the semaphore is never closed");
        *has_place = true;
        let (ssl, asks) = {
            let context = self.context.read().unwrap_or_else(PoisonError::into_inner);
            (Ssl::new(&context.ssl), context.trusts_devices && knocks == Knocks::Device)
        };
        let mut ssl = ssl.map_err(HandshakeError::from)?;
        if asks {
            // Who has none is let in without.
            ssl.set_verify(SslVerifyMode::PEER);
        }
        ssl.set_accept_state();
        let Some(secrets) = &self.secrets else {
            return Ok(TlsSocket::shake_hands(ssl, tcp).await?);
        };
        slot.attach(&mut ssl).map_err(HandshakeError::from)?;
        let prepare = async |identity: PskIdentity| {
            let mut unknown = [0; 32];
            self.random.fill(&mut unknown);
            slot.put(secrets.key(&identity, unknown).await);
        };
        Ok(TlsSocket::shake_hands_with(ssl, tcp, Some(prepare)).await?)
    }
}

/// What handshakes begin with.
#[derive(Debug)]
struct Context {
    ssl: SslContext,
    /// Whether there is a CA whose certificates devices may show.
    trusts_devices: bool,
}

fn load(files: &Files, with_psk: bool, clock: &Clock, random: &Random) -> anyhow::Result<Context> {
    let now = clock.now().wall;
    let made;
    let pairs = match &files.source {
        Source::Own(pairs) => pairs,
        Source::Made(files) => {
            made = files.pairs(now, random)?;
            &made
        }
    };
    let trusted = files.devices.load(now)?;
    let trusts_devices = trusted.is_some();
    Ok(Context { ssl: context::context(pairs, with_psk, trusted)?, trusts_devices })
}

/// Under which label a handshake is counted.
fn kind(session: &SslRef) -> TlsKind {
    if session.version2() == Some(SslVersion::TLS1_3) {
        return TlsKind::Tls13;
    }
    let name = session.current_cipher().map_or("", |cipher| cipher.name());
    match name.split('-').next() {
        Some("ECDHE") => TlsKind::Ecdhe,
        Some("PSK") => TlsKind::Psk,
        _ => TlsKind::Rsa,
    }
}
