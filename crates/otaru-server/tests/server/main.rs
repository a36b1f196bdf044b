//! Tests against a whole server that listens on real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod acts;
mod checklist;
mod device_http;
mod doors;
mod knocks;
mod scene;
mod wire;
