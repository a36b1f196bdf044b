//! Parses the command line and starts the command.

use clap::{Parser, Subcommand};
use otaru_server::cli::{
    ca, call, demo, device, device_cert, fleet, key, registration, serve, transfer, user,
};
use std::process::ExitCode;

// Calls and connects take a tenth less of the processor than with the allocator of glibc, and memory is given back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Self-hosted over-the-air upgrades for device fleets.
#[derive(Debug, Parser)]
#[command(name = "otaru", version)]
struct Otaru {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::ServeArgs>),
    Call(call::CallArgs),
    Device(device::DeviceArgs),
    DeviceCert(device_cert::DeviceCertArgs),
    Demo(demo::DemoArgs),
    Fleet(fleet::FleetArgs),
    Ca(ca::CaArgs),
    Export(transfer::ExportArgs),
    Import(transfer::ImportArgs),
    Key(key::KeyArgs),
    Registration(registration::RegistrationArgs),
    User(user::UserArgs),
}

#[tokio::main]
#[allow(clippy::print_stderr, reason = "a command prints")]
async fn main() -> ExitCode {
    // What is written holds secrets: nobody else may read it, in whichever folder it is.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let done = match Otaru::parse().command {
        Command::Serve(args) => serve::run(*args).await.map(|()| ExitCode::SUCCESS),
        Command::Call(args) => call::run(args).await,
        Command::Device(args) => device::command(args).await.map(|()| ExitCode::SUCCESS),
        Command::DeviceCert(args) => device_cert::run(args).map(|()| ExitCode::SUCCESS),
        Command::Demo(args) => demo::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Fleet(args) => fleet::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Ca(args) => ca::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Export(args) => transfer::export(args).await.map(|()| ExitCode::SUCCESS),
        Command::Import(args) => transfer::import(args).await.map(|()| ExitCode::SUCCESS),
        Command::Key(args) => key::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Registration(args) => registration::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::User(args) => user::run(args).await.map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("otaru: {error:#}");
        ExitCode::FAILURE
    })
}
