//! The socket by which commands on this machine reach the server. Whoever may open it is the operator.

use super::super::admin::{LINE_BYTES_MAX, Reply, perform, socket};
use super::folder::Folder;
use crate::app::App;
use anyhow::Context;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Time that a command gets to say what it wants: they are served one after the other.
const COMMAND_TIME: Duration = Duration::from_secs(5);

pub(super) struct Admin {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl Admin {
    /// Listens in the folder, whose lock is held: whoever listened there before is gone.
    pub fn bind(data: &Path) -> io::Result<Self> {
        let path = socket(data)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let owner = fs::metadata(&path)?.uid();
        Ok(Self { listener, path, owner })
    }

    /// Serves commands; never ends by itself.
    pub async fn serve(self, app: Arc<App>, folder: Arc<Folder>) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a command was not let in: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // Also those that came in before the mode was set.
            let is_owner =
                stream.peer_cred().is_ok_and(|peer| [self.owner, 0].contains(&peer.uid()));
            if !is_owner {
                tracing::warn!("a command of another user was not let in");
                continue;
            }
            let served = tokio::time::timeout(COMMAND_TIME, serve_one(stream, &app, &folder));
            match served.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("a command was not served: {error:#}"),
                Err(_) => tracing::warn!("a command took too long"),
            }
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // Gone with the folder already, perhaps.
        let _ = fs::remove_file(&self.path);
    }
}

async fn serve_one(mut stream: UnixStream, app: &App, folder: &Folder) -> anyhow::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    BufReader::new(read.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    let reply = match serde_json::from_str(&line) {
        Ok(act) => {
            let reply = perform(app, folder, act).await;
            reply.unwrap_or_else(|error| Reply::Denied(format!("{error:#}")))
        }
        Err(error) => Reply::Denied(format!("this server does not know the command: {error}")),
    };
    let mut reply = serde_json::to_string(&reply)?;
    reply.push('\n');
    write.write_all(reply.as_bytes()).await.context("the command did not wait")
}
