//! `otaru export` and `otaru import`: all rows of a store as a file, whichever engine keeps them.

use super::admin::DataArgs;
use super::engine::{self, Place};
use super::serve::folder::Folder;
use crate::random::Random;
use crate::store::postgres::PostgresEngine;
use crate::store::sqlite::{Conn, SqliteEngine};
use crate::store::transfer::{self, Summary};
use anyhow::{Context, ensure};
use clap::Args;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Write all rows of a server to a file, from SQLite or PostgreSQL.
///
/// The server must be stopped. The file holds secrets and keys. Package files are not in it: copy the folder `files` of the data
/// folder.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// File to make, or - for stdout
    file: PathBuf,
    #[command(flatten)]
    data: DataArgs,
}

/// Read all rows that `otaru export` wrote into a new store, of SQLite or PostgreSQL.
///
/// The store must be empty, and no server may run on it. All is taken, and compared by counts and digests, or nothing.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// File to read, or - for stdin
    file: PathBuf,
    #[command(flatten)]
    data: DataArgs,
}

/// Runs `otaru export`.
///
/// # Errors
/// A sentence when the store can't be read or the file can't be written.
pub async fn export(args: ExportArgs) -> anyhow::Result<()> {
    let known = if args.data.store.is_some() { "" } else { "otaru.db" };
    ensure!(
        args.data.data.join(known).exists(),
        "there is no data of a server in {}: say where it is by --data and --store",
        args.data.data.display()
    );
    tokio::task::spawn_blocking(move || {
        let done = if is_standard(&args.file) {
            let mut out = BufWriter::new(std::io::stdout().lock());
            in_bulk(&args.data, |conn| transfer::export(conn, &mut out))?
        } else {
            to_file(&args)?
        };
        tell("exported", &done);
        Ok(())
    })
    .await?
}

/// Writes to a file beside the wanted one, which only a whole export becomes.
fn to_file(args: &ExportArgs) -> anyhow::Result<Summary> {
    let path = &args.file;
    ensure!(!path.exists(), "{} is there already", path.display());
    let mut partial = path.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
    let file = file.with_context(|| format!("{} can't be made", partial.display()))?;
    let write = |file: File| {
        let mut out = BufWriter::new(file);
        let done = in_bulk(&args.data, |conn| transfer::export(conn, &mut out))?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&partial, path)?;
        anyhow::Ok(done)
    };
    write(file).inspect_err(|_| drop(std::fs::remove_file(&partial)))
}

/// Runs `otaru import`.
///
/// # Errors
/// A sentence when the store is not empty, or the file is damaged, cut off or of another version; then nothing was taken.
pub async fn import(args: ImportArgs) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || {
        let from: Box<dyn Read> = if is_standard(&args.file) {
            Box::new(std::io::stdin().lock())
        } else {
            let file = File::open(&args.file);
            Box::new(file.with_context(|| format!("{} can't be read", args.file.display()))?)
        };
        let mut from = BufReader::new(from);
        let done = in_bulk(&args.data, |conn| transfer::import(conn, &mut from))?;
        tell("imported", &done);
        Ok(())
    })
    .await?
}

fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

#[allow(clippy::print_stderr, reason = "a command tells, and stdout may be the export")]
fn tell(what: &str, Summary { rows, digest }: &Summary) {
    eprintln!("{what} {rows} rows, digest {digest}");
}

/// Runs `work` on a store that no server has.
fn in_bulk(
    args: &DataArgs,
    work: impl FnOnce(Conn<'_>) -> crate::store::Result<Summary>,
) -> anyhow::Result<Summary> {
    let folder = Folder::open(&args.data)?;
    let random = Random::system()?;
    let place = engine::place(&folder, args.store.as_ref())?;
    engine::ensure_free(&place)?;
    Ok(match place {
        Place::File(path) => SqliteEngine::open(&path, random)?.in_bulk(work)?,
        Place::Database(target) => PostgresEngine::open(*target, random, 0)?.in_bulk(work)?,
    })
}
