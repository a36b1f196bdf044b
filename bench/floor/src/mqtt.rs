//! An MQTT server that appends each report to a file and acknowledges it after fdatasync: one thread reads all sockets,
//! one keeps. It knows no devices and no rules, so nothing durable can be much faster.

use crate::log::{Log, Round};
use crate::packet::{self, Request};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::Arc;

const READ_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 1_024;
const BACKLOG: i32 = 4_096;

/// A listener with room for a crowd that connects at once.
///
/// # Errors
/// When the address is taken.
pub fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket: OwnedFd = socket(family, SocketType::STREAM, None)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

struct Peer {
    socket: Arc<TcpStream>,
    /// Bytes of a packet that has not come whole.
    tail: Vec<u8>,
}

/// Serves `listener` for ever; reports go to `log`.
///
/// # Errors
/// When the system has no room for what it needs.
pub fn serve(listener: &TcpListener, log: &Log) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let door = number(listener);
    epoll::add(&poll, listener, EventData::new_u64(door as u64), EventFlags::IN)?;
    // By descriptor, which the system keeps small.
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let (mut events, mut buffer) = (Vec::with_capacity(EVENTS_MAX), vec![0; READ_BYTES]);
    let mut round = Round::default();
    loop {
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let at = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            if at == door {
                accept(listener, &poll, &mut peers)?;
            } else if let Some(slot @ Some(_)) = peers.get_mut(at)
                && let Some(peer) = slot
                && hear(peer, &mut buffer, &mut round).is_break()
            {
                // The log may still hold the socket, so closing alone would not silence it.
                let _ = epoll::delete(&poll, &peer.socket);
                *slot = None;
            }
        }
        log.append(&mut round);
    }
}

fn number(socket: &impl AsRawFd) -> usize {
    usize::try_from(socket.as_raw_fd()).unwrap_or(usize::MAX)
}

fn accept(listener: &TcpListener, poll: &OwnedFd, peers: &mut Vec<Option<Peer>>) -> io::Result<()> {
    loop {
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let at = number(&socket);
        epoll::add(poll, &socket, EventData::new_u64(at as u64), EventFlags::IN)?;
        if peers.len() <= at {
            peers.resize_with(at + 1, || None);
        }
        peers[at] = Some(Peer { socket: Arc::new(socket), tail: Vec::new() });
    }
}

/// Reads once, and takes all packets that came whole. Breaks when the peer is to go.
fn hear(peer: &mut Peer, buffer: &mut [u8], round: &mut Round) -> ControlFlow<()> {
    let count = match (&*peer.socket).read(buffer) {
        Ok(0) => return ControlFlow::Break(()),
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return ControlFlow::Continue(()),
        Err(_) => return ControlFlow::Break(()),
    };
    if peer.tail.is_empty() {
        let used = take(&peer.socket, &buffer[..count], round)?;
        peer.tail.extend_from_slice(&buffer[used..count]);
    } else {
        peer.tail.extend_from_slice(&buffer[..count]);
        let used = take(&peer.socket, &peer.tail, round)?;
        peer.tail.drain(..used);
    }
    if peer.tail.is_empty() {
        // An idle connection holds no buffer.
        peer.tail = Vec::new();
    }
    ControlFlow::Continue(())
}

/// Answers the packets in `input`; how many bytes they had.
fn take(socket: &Arc<TcpStream>, input: &[u8], round: &mut Round) -> ControlFlow<(), usize> {
    let mut used = 0;
    loop {
        let (request, size) = match packet::next(&input[used..]) {
            Ok(Some(found)) => found,
            Ok(None) => return ControlFlow::Continue(used),
            Err(packet::Malformed) => return ControlFlow::Break(()),
        };
        used += size;
        match request {
            Request::Connect => say(socket, &[0x20, 2, 0, 0])?,
            Request::Publish { id, body } => {
                round.push(body, id.map(|id| (Arc::clone(socket), id)));
            }
            Request::Subscribe { id, filters } => {
                let Ok(size) = u8::try_from(2 + filters) else { return ControlFlow::Break(()) };
                let [high, low] = id.to_be_bytes();
                let mut answer = vec![0x90, size, high, low];
                answer.resize(4 + filters, 1);
                say(socket, &answer)?;
            }
            Request::Ping => say(socket, &[0xd0, 0])?,
            Request::Acknowledged => {}
            Request::Disconnect => return ControlFlow::Break(()),
        }
    }
}

fn say(mut socket: &TcpStream, answer: &[u8]) -> ControlFlow<()> {
    match socket.write(answer) {
        Ok(count) if count == answer.len() => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_report_is_in_the_file_when_it_is_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let file = File::create(&path).unwrap();
        let listener = listener("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        // Both end with the process.
        let log = Arc::new(Log::default());
        let keeper = Arc::clone(&log);
        std::thread::spawn(move || keeper.keep(file));
        std::thread::spawn(move || serve(&listener, &log));

        let mut socket = TcpStream::connect(address).unwrap();
        let mut answer = [0; 13];
        // The last packet comes in two parts.
        socket.write_all(b"\x10\x02hi\x82\x06\x00\x01\x00\x01f\x01\x32\x07\x00\x01t").unwrap();
        socket.read_exact(&mut answer[..9]).unwrap();
        assert_eq!(answer[..9], *b"\x20\x02\x00\x00\x90\x03\x00\x01\x01");
        socket.write_all(b"\x01\x02hi").unwrap();
        socket.read_exact(&mut answer[9..]).unwrap();
        assert_eq!(answer[9..], *b"\x40\x02\x01\x02");
        assert_eq!(std::fs::read(&path).unwrap(), b"\x07\x00\x00\x00\x00\x01t\x01\x02hi");
        socket.write_all(b"\x00\x00").unwrap();
        assert_eq!(socket.read(&mut answer).unwrap(), 0);
    }
}
