//! `otaru ca`: the CA that devices are given.

use super::serve::folder::tls_folder;
use crate::tls::authority_file;
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;

/// Print the certificate of the CA that devices are to trust, as PEM.
///
/// The server makes it when it first starts with --mqtts or --https and without --tls-cert. It holds for thirty years;
/// what it issues to the server is renewed under it.
#[derive(Debug, Args)]
pub struct CaArgs {
    /// Data folder of the server
    #[arg(long, env = "OTARU_DATA", value_name = "DIR", default_value = "otaru-data")]
    data: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// A sentence when the folder has no CA.
#[allow(clippy::print_stdout, reason = "a command prints")]
pub fn run(args: &CaArgs) -> anyhow::Result<()> {
    let path = authority_file(&tls_folder(&args.data));
    let pem = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "there is no CA at {}: `otaru serve` with --mqtts or --https, and without --tls-cert, makes one",
            path.display()
        )
    })?;
    print!("{pem}");
    Ok(())
}
