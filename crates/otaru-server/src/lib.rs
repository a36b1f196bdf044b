//! The server: everything that touches the world.
//!
//! Four doors (the signed API, devices, time, and later the console) call the use cases in [`app`]; those ask
//! `otaru-core` what a call or an event changes, inside one transaction of the [`store`].

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod descriptors;
pub mod doors;
pub mod files;
pub mod http;
pub mod metrics;
pub mod mqtt;
pub mod planted;
mod private_file;
pub mod random;
pub mod rpc;
pub mod socket;
pub mod store;
pub mod tls;
