//! The rules that make an upgrade service trusted, one test each, through the signed API and devices on MQTT, on
//! simulated time.

mod device;
mod jobs;
mod pushes;
mod selection;
mod sub_devices;
mod tasks;
mod urls;
mod world;
