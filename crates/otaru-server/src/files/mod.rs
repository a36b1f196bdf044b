//! Package files: where they lie, the addresses they have, the two doors they pass.
//!
//! A file is named by the SHA-256 of its contents. It comes in through a form that is good for a minute and goes out
//! through a URL that is good for a day; both are signed with the server's own secret, and neither needs a row.

mod cache;
mod door;
pub mod download;
mod store;
pub mod sweep;
pub mod upload;
mod urls;

pub use cache::BlockCache;
pub use door::DoorError;
pub use store::{Files, NewFile, StoredFile};
pub use urls::{Denied, Form, MalformedUrl, UploadForm, Urls};
