//! Which engine keeps the rows of a data folder: SQLite in the folder, or the database that `--store` names.

use super::serve::folder::Folder;
use crate::random::Random;
use crate::store::postgres::{PostgresEngine, Target, Url};
use crate::store::sqlite::SqliteEngine;
use crate::store::{Store, StoreHandle};
use anyhow::Context;
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
