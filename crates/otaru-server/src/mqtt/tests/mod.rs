//! The whole door on memory links: real connections, a device of `otaru-mqtt`, and a list of what the server heard.

mod blocks;
mod connects;
mod counts;
mod custom;
mod five;
mod harness;
mod kept;
mod limits;
mod newcomers;
mod rates;
mod reports;
mod sub_devices;
