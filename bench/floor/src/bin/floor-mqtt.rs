//! `floor-mqtt FILE`: an MQTT server that appends every report to FILE; it says `ready mqtt=ADDR`.

use otaru_floor::log::Log;
use otaru_floor::mqtt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

#[allow(clippy::print_stdout, reason = "a command prints")]
fn main() -> std::io::Result<()> {
    let path = std::env::args_os().nth(1).ok_or_else(|| Error::other("usage: floor-mqtt FILE"))?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let file = File::options().create(true).append(true).open(path)?;
    let listener = mqtt::listener(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    println!("ready mqtt={}", listener.local_addr()?);
    let log = Arc::new(Log::default());
    let keeper = Arc::clone(&log);
    std::thread::spawn(move || {
        if let Err(error) = keeper.keep(file) {
            eprintln!("the log can't be kept: {error}");
            std::process::exit(1);
        }
    });
    mqtt::serve(&listener, &log)
}
