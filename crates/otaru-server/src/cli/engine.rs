//! Which engine keeps the rows of a data folder: SQLite in the folder, or the database that `--store` names.

use super::serve::folder::Folder;
use crate::app::Credentials;
use crate::random::Random;
use crate::store::postgres::{PostgresEngine, Survey, Target, Url};
use crate::store::sqlite::SqliteEngine;
use crate::store::{Store, StoreHandle};
use anyhow::{Context, ensure};
use std::sync::Arc;
use tokio::sync::Notify;

/// A store that is open, and what tells that another server has taken its database.
pub(super) struct Opened {
    pub store: Store,
    pub handle: StoreHandle,
    pub superseded: Option<Arc<Notify>>,
}

/// Where an engine keeps its rows.
#[derive(Debug, Clone)]
pub(super) enum Place {
    File(std::path::PathBuf),
    Database(Box<Target>),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Database(target) => write!(f, "{target}"),
        }
    }
}

/// Where the rows of a folder are; a URL without a password takes it from `PGPASSWORD`.
///
/// # Errors
/// When the URL can't be used.
pub(super) fn place(folder: &Folder, url: Option<&Url>) -> anyhow::Result<Place> {
    let Some(url) = url else { return Ok(Place::File(folder.database())) };
    let password = std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty());
    Ok(Place::Database(Box::new(Target::parse(url, password.as_deref())?)))
}

/// Refuses a database that another server works on: a command is not to take it from that.
///
/// Waits for the database: never call it on a thread of a runtime.
///
/// # Errors
/// A sentence that says who has it and what to do.
pub(super) fn ensure_free(place: &Place) -> anyhow::Result<()> {
    let Place::Database(target) = place else { return Ok(()) };
    if let Some((pid, address)) = Survey::of((**target).clone(), None)?.at_work {
        anyhow::bail!(
            "a server works on {target}, from {address}: stop it, or run the command on its data folder; if it is gone for good, \
             end its connection by SELECT pg_terminate_backend({pid})"
        );
    }
    Ok(())
}

/// Refuses a database with rows for a folder that has no access key yet: a new one would be one that it doesn't know.
///
/// # Errors
/// A sentence that says what to do.
pub(super) async fn ensure_known(
    place: &Place,
    folder: &Folder,
    wanted: Option<&Credentials>,
) -> anyhow::Result<()> {
    let Place::Database(target) = place else { return Ok(()) };
    if folder.key_file().exists() {
        return Ok(());
    }
    let (target, wanted) = ((**target).clone(), wanted.map(|key| key.access_key_id.clone()));
    let survey = move || Survey::of(target, wanted.as_deref());
    let Survey { has_account, knows_key, .. } = tokio::task::spawn_blocking(survey).await??;
    ensure!(
        !has_account || knows_key,
        "{place} holds the rows of another data folder, and {} is missing: copy that folder, with its files, or set \
         OTARU_ACCESS_KEY_ID and OTARU_ACCESS_KEY_SECRET to a key that the database knows",
        folder.key_file().display()
    );
    Ok(())
}

/// Opens the store there, with threads of its own; it may know `known_bytes` of rows without asking a database.
///
/// # Errors
/// A sentence when it can't be opened.
pub(super) async fn open(
    place: Place,
    random: Random,
    readers: usize,
    known_bytes: usize,
) -> anyhow::Result<Opened> {
    let open = move || match &place {
        Place::File(path) => {
            let engine = SqliteEngine::open(path, random)
                .with_context(|| format!("{} can't be opened", path.display()))?;
            let (store, handle) = Store::threaded(engine, readers)?;
            Ok(Opened { store, handle, superseded: None })
        }
        Place::Database(target) => {
            let engine = PostgresEngine::open((**target).clone(), random, known_bytes)?;
            let superseded = Some(engine.superseded());
            let (store, handle) = Store::threaded(engine, readers)?;
            Ok(Opened { store, handle, superseded })
        }
    };
    // A connection waits for its database on the thread that uses it.
    tokio::task::spawn_blocking(open).await?
}
