//! The commands of `otaru`.

pub mod call;
pub mod client;
pub mod demo;
pub mod device;
pub mod serve;
