//! The rules of upgrading devices.
