//! Door 1: the signed cloud API.

pub mod auth;
pub mod client;
pub mod device;
pub mod error;
pub mod gateway;
pub mod job;
mod json;
pub mod nonce;
pub mod op;
pub mod package;
pub mod params;
pub mod product;
pub mod quota;
pub mod request;
pub mod task;
pub mod tree;
pub mod upload;
mod xml;

/// A request to the path `/` as it came in, whatever carried it.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Names are compared without case; a header may occur more than once.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

impl Incoming<'_> {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}
