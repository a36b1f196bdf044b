//! Listening for devices.

use super::{Devices, Gateway, Link};
use crate::doors::unless_asked_to_go;
use crate::metrics::Door;
use crate::tls::{Acceptor, Knocks};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

/// Connections that may wait to be accepted: a fleet reconnects at once after an outage.
const BACKLOG: u32 = 4_096;
/// Milliseconds until the next try when the system has no room for another connection.
const ACCEPT_PAUSE_MS: u64 = 100;

/// Listens on `address`; port 0 takes a free one.
///
/// # Errors
/// When the address is taken or not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the connections of the last run to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves everybody who connects, under TLS where there is an acceptor; never ends. Each connection is a task of the
/// runtime. Handshakes end with this future; connections know by the registry when to go.
pub async fn serve<D: Devices>(
    gateway: Arc<Gateway<D>>,
    listener: TcpListener,
    tls: Option<Arc<Acceptor>>,
) {
    let (_open, shut) = watch::channel(());
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let Some(pass) = gateway.admit(peer.ip()).await else { continue };
                // Answers are small and nobody waits to fill a packet. The connection works without it too.
                let _ = socket.set_nodelay(true);
                let gateway = Arc::clone(&gateway);
                match tls.clone() {
                    None => {
                        let link = Link::Socket(socket.into());
                        drop(tokio::spawn(gateway.connection(link, pass)));
                    }
                    Some(tls) => {
                        let mut shut = shut.clone();
                        // Apart, as the connection lives long after the handshake and would keep its room.
                        let shaking = Box::pin(async move {
                            let shaken = tokio::select! {
                                shaken = unless_asked_to_go(tls.accept(socket, peer.ip(), Knocks::Device), &pass) => shaken,
                                _ = shut.changed() => None,
                            };
                            shaken.map(|socket| (socket, pass))
                        });
                        drop(tokio::spawn(async move {
                            if let Some((socket, pass)) = shaking.await {
                                gateway.connection(Link::Socket(socket.into()), pass).await;
                            }
                        }));
                    }
                }
            }
            Err(error) => {
                // Out of descriptors, most likely: others have to close first.
                gateway.registry.metrics().accept_errors.count(Door::Mqtt);
                tracing::warn!(%error, "a device could not be accepted: {error}");
                let clock = &gateway.clock;
                clock.sleep_until(clock.mono_ms() + ACCEPT_PAUSE_MS).await;
            }
        }
    }
}
