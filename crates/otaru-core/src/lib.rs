//! The rules of upgrading devices: values and `now` go in, decisions come out.
//!
//! Nothing here waits, reads a clock, draws a random number or touches a file, and nothing here knows how a value
//! is stored or printed. Whoever calls does the reading, writing and sending.

pub mod apply;
pub mod block;
pub mod device;
pub mod device_http;
pub mod file;
pub mod group;
pub mod hash;
pub mod id;
pub mod job;
pub mod message;
pub mod module;
pub mod package;
pub mod policy;
pub mod product;
pub mod rate;
pub mod refusal;
pub mod registration;
pub mod rule;
pub mod selection;
pub mod session;
pub mod shadow;
pub mod signature;
pub mod subscription;
pub mod tag;
pub mod task;
pub mod time;
pub mod topic;
pub mod topic_class;
pub mod topology;
pub mod update;
#[cfg(test)]
mod vectors;
pub mod version;
