//! The commands of `otaru`.

mod admin;
pub mod ca;
pub mod call;
pub mod client;
pub mod demo;
pub mod device;
pub mod device_cert;
mod engine;
pub mod fleet;
pub mod key;
mod package;
pub mod registration;
pub mod serve;
mod target;
pub mod transfer;
pub mod user;
mod web;
