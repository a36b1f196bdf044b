//! The least that any durable server has to do. Otaru's figures stand beside these in `bench/run`.

pub mod log;
pub mod mqtt;
pub mod packet;
pub mod rows;
