//! Removing contents that nothing names any more.

use super::Files;
use crate::app::App;
use crate::clock::Clock;
use otaru_core::time::{HOUR_MS, MINUTE_MS, Timestamp};
use std::sync::Arc;

/// Between two looks at nonces and tickets.
const FORGET_MS: u64 = MINUTE_MS.unsigned_abs();
/// Looks at nonces and tickets for each look at the files.
const FILES_EVERY: u32 = 60;
/// Contents younger than this may belong to an upload whose commit is on its way.
const AGE_MS: i64 = HOUR_MS;

/// Forgets and removes as time passes; never ends.
pub async fn run(app: Arc<App>, files: Files, clock: Clock) {
    for turn in 0_u32.. {
        if let Err(error) = app.forget_expired().await {
            tracing::warn!(%error, "what has expired is kept for now: {error}");
        }
        if turn.is_multiple_of(FILES_EVERY)
            && let Err(error) = sweep(&app, &files, clock.now().wall).await
        {
            tracing::warn!("files that nobody needs are kept for now: {error:#}");
        }
        clock.sleep_until(clock.mono_ms() + FORGET_MS).await;
    }
}

/// Removes contents that were there before `now` by more than an hour and that nothing names.
async fn sweep(app: &App, files: &Files, now: Timestamp) -> anyhow::Result<()> {
    let old = {
        let files = files.clone();
        tokio::task::spawn_blocking(move || files.older_than(now.plus_ms(-AGE_MS))).await??
    };
    let unused = app.unused_blobs(old).await?;
    let files = files.clone();
    tokio::task::spawn_blocking(move || {
        unused.iter().try_for_each(|digest| {
            tracing::info!(file.sha256 = digest, "removed contents that nothing needs: {digest}");
            files.remove(digest)
        })
    })
    .await??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Credentials, Limits};
    use crate::files::Urls;
    use crate::random::Random;
    use crate::store::sqlite::SqliteEngine;
    use crate::store::{Store, UploadKind};

    const START: Timestamp = Timestamp(1_790_000_000_000);

    #[tokio::test]
    async fn contents_stay_while_a_ticket_names_them_and_are_removed_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(&folder.path().join("files")).unwrap();
        let random = Random::seeded(1);
        let engine = SqliteEngine::open(&folder.path().join("otaru.db"), random.clone()).unwrap();
        let (store, run) = Store::inline(engine);
        tokio::spawn(run);
        let clock = Clock::simulated(START);
        let urls = Urls::new("http://127.0.0.1:1".into(), [7; 32]);
        let limits = Limits::default();
        let app =
            App::new(store, clock.clone(), random, Arc::default(), limits, urls, files.clone());
        let credentials =
            Credentials { access_key_id: "id".into(), access_key_secret: "secret".into() };
        let account = app.ensure_account(credentials).await.unwrap().unwrap().account;
        let caller = crate::app::Caller::main(account);
        let stored = |content: &'static [u8]| {
            let mut file = files.create(100).unwrap();
            assert!(file.write(&[content.to_vec().into()]).unwrap());
            file.keep().unwrap()
        };
        let (named, orphan) = (stored(b"named"), stored(b"orphan"));
        let slot = app.issue_upload(caller, UploadKind::Package, "bin".into()).await.unwrap();
        assert!(app.uploaded(slot.form.key, named.clone()).await.unwrap());
        let there = |digest: &str| files.read(digest).unwrap().is_some();
        // The files were stored just now by the real clock, long before this moment.
        let later = Timestamp(i64::MAX / 2);

        sweep(&app, &files, Timestamp(0)).await.unwrap();
        assert!(there(&orphan.sha256), "young contents may belong to an upload on its way");
        app.forget_expired().await.unwrap();
        sweep(&app, &files, later).await.unwrap();
        assert_eq!((there(&named.sha256), there(&orphan.sha256)), (true, false));

        clock.step_wall(3 * HOUR_MS);
        app.forget_expired().await.unwrap();
        sweep(&app, &files, later).await.unwrap();
        assert!(!there(&named.sha256), "nobody can use the ticket any more");
    }
}
