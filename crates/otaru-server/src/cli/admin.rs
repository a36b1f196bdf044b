//! How `otaru key` and `otaru user` reach the data of a server: through the socket of the server that has the folder,
//! or the folder itself when none has it.
//!
//! The socket is `admin.sock` in the data folder, for its owner only; one line of JSON goes in and one comes back.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::engine::{self, Opened};
use super::serve::folder::Folder;
use crate::app::operator::{Act, Done, NewKey};
use crate::app::{App, Credentials, Limits};
use crate::clock::Clock;
use crate::files::{Files, Urls};
use crate::mqtt::Registry;
use crate::random::Random;
use crate::store::postgres::Url;

/// Longest line either way: a list of all keys may be long.
pub(super) const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What comes back through the socket.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Done(Done),
    /// A sentence.
    Denied(String),
}

/// Longest path of a socket on every system (`sun_path` has 104 or 108 bytes).
const PATH_BYTES_MAX: usize = 100;

/// Path of the socket of a data folder.
///
/// # Errors
/// When it is too long to be one.
pub(super) fn socket(data: &Path) -> io::Result<PathBuf> {
    let path = data.join("admin.sock");
    if path.as_os_str().len() > PATH_BYTES_MAX {
        let message = format!("{} is longer than {PATH_BYTES_MAX} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(path)
}

/// Where the data is that a command is about.
#[derive(Debug, Args)]
pub(super) struct DataArgs {
    /// Data folder of the server, whether it runs or not
    #[arg(
        long,
        env = "OTARU_DATA",
        value_name = "DIR",
        default_value = "otaru-data",
        global = true
    )]
    pub data: PathBuf,
    /// Database of the server, when it has one and does not run
    #[arg(long, env = "OTARU_STORE", value_name = "URL", hide_env_values = true, global = true)]
    pub store: Option<Url>,
}

/// Does one thing with the data of a folder, whether a server runs on it or not.
///
/// # Errors
/// A sentence when it is refused, or neither the server nor the folder can be reached.
pub(super) async fn act(args: &DataArgs, act: Act) -> anyhow::Result<Done> {
    let data = args.data.as_path();
    let stream = match socket(data) {
        Ok(path) => UnixStream::connect(path).await,
        Err(error) => Err(error),
    };
    match stream {
        Ok(stream) => ask(stream, &act).await,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error)
            .with_context(|| format!("the server of {} is another user's", data.display())),
        // No server, or one that was killed.
        Err(_) => alone(args, act).await,
    }
}

async fn ask(mut stream: UnixStream, act: &Act) -> anyhow::Result<Done> {
    let mut line = serde_json::to_string(act)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await.context("the server does not listen")?;
    let mut reply = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut reply).await?;
    let reply = serde_json::from_str(&reply).context("the server gave no answer")?;
    match reply {
        Reply::Done(done) => Ok(done),
        Reply::Denied(sentence) => Err(anyhow!(sentence)),
    }
}

async fn alone(args: &DataArgs, act: Act) -> anyhow::Result<Done> {
    let data = args.data.as_path();
    let known = if args.store.is_some() { "lock" } else { "otaru.db" };
    ensure!(
        data.join(known).exists(),
        "there is no data of a server in {}: say where it is by --data, or start it once",
        data.display()
    );
    let folder = Folder::open(data).context("no server answers, and the folder can't be taken")?;
    let random = Random::system()?;
    let place = engine::place(&folder, args.store.as_ref())?;
    let sought = place.clone();
    tokio::task::spawn_blocking(move || engine::ensure_free(&sought)).await??;
    let Opened { store, handle, superseded: _ } = engine::open(place, random.clone(), 1, 0).await?;
    let urls = Urls::new("http://127.0.0.1".to_owned(), folder.secret(&random)?);
    let app = App::new(
        store,
        Clock::system(),
        random,
        std::sync::Arc::new(Registry::default()),
        Limits::default(),
        urls,
        Files::open(&folder.files())?,
    );
    let reply = perform(&app, &folder, act).await;
    drop(app);
    tokio::task::spawn_blocking(move || handle.join()).await?;
    match reply? {
        Reply::Done(done) => Ok(done),
        Reply::Denied(sentence) => bail!(sentence),
    }
}

/// Does one thing, and keeps the file of the first key up to date.
///
/// # Errors
/// When the store can't do it now, or the file can't be written.
pub(super) async fn perform(app: &App, folder: &Folder, act: Act) -> anyhow::Result<Reply> {
    let rotated = match &act {
        Act::RotateKey { id, .. } => Some(id.clone()),
        _ => None,
    };
    let done = match app.operate(act).await? {
        Ok(done) => done,
        Err(denied) => return Ok(Reply::Denied(denied.to_string())),
    };
    if let (Some(old), Done::NewKey(new)) = (rotated, &done) {
        let NewKey { access_key_id, access_key_secret, .. } = new.clone();
        let new = Credentials { access_key_id, access_key_secret };
        folder
            .replace_key(&old, &new)
            .with_context(|| format!("the new key is {} and good, but", new.access_key_id))?;
    }
    Ok(Reply::Done(done))
}

/// Milliseconds since the epoch as people read them.
pub(super) fn moment(ms: i64) -> String {
    let moment = jiff::Timestamp::from_second(ms.div_euclid(1_000));
    moment.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// Rows of cells in columns.
pub(super) fn table<const N: usize>(rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = rows.collect();
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  "));
        text += cells.collect::<String>().trim_end();
        text.push('\n');
    }
    text
}
