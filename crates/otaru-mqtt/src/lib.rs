//! MQTT as pure state machines: bytes in, events and bytes out.
//!
//! Nothing here opens a socket, reads a clock or waits: whoever holds the connection feeds what it read and the
//! monotonic time in, and writes what comes out. Nothing here knows what the messages are about.
//!
//! [`session::Session`] is the server's end of one connection, [`client::Client`] a device's end. Packets are coded by
//! the crate `rmqtt-codec` behind [`packet`]; [`codec`] adds the checks that it leaves out and the limit on sizes, which
//! has to come before it: it reserves the announced length.

pub mod acks;
pub mod client;
pub mod codec;
pub mod framer;
pub mod packet;
pub mod session;
pub mod topic;
