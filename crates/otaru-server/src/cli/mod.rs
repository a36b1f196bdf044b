//! The commands of `otaru`.

mod admin;
pub mod call;
pub mod client;
pub mod demo;
pub mod device;
pub mod key;
pub mod serve;
pub mod user;
