//! The commands of `otaru` that are clients of a server.

pub mod call;
pub mod client;
