//! What is forgotten in time, and uploads.

use super::*;

pub fn holds_for<E: Engine>(open: impl Fn() -> E) {
    nonces_and_unused_uploads_are_purged_oldest_first(&mut open());
    uploads_come_back(&mut open());
}

fn nonces_and_unused_uploads_are_purged_oldest_first(engine: &mut dyn Engine) {
    let nonce =
        |n: i64| Nonce { access_key: "k".into(), nonce: format!("n{n}"), expires_at: at(n) };
    let upload = |n: i64, used, stored: bool| Upload {
        key: format!("ota/{n}.bin"),
        account: AccountNo(1),
        kind: UploadKind::Package,
        issued_at: at(n),
        stored: stored.then(|| StoredUpload { blob: blob(n.unsigned_abs()), at: at(n + 1) }),
        used,
    };
    change(engine, |rows| {
        rows.insert_nonces(&[nonce(30), nonce(10), nonce(20)])?;
        rows.insert_upload(&upload(1, true, true))?;
        rows.insert_upload(&upload(2, false, true))?;
        rows.insert_upload(&upload(3, false, false))?;
        rows.insert_upload(&upload(4, false, true))?;
        rows.insert_upload(&upload(9, false, true))
    });
    assert_eq!(look(engine, |view| view.nonces(at(10))), [nonce(20), nonce(30)]);
    let digests = change(engine, |rows| rows.purge(at(20), at(9), 2));
    assert_eq!(digests, [blob(2).sha256]);
    assert_eq!(look(engine, |view| view.nonces(at(0))), [nonce(30)]);
    let digests = change(engine, |rows| rows.purge(at(20), at(9), 2));
    assert_eq!(digests, [blob(4).sha256]);
    let left = [1, 2, 3, 4, 9]
        .map(|n| look(engine, |view| view.upload(&format!("ota/{n}.bin"))).is_some());
    assert_eq!(left, [true, false, false, false, true]);
    assert!(
        look(engine, |view| view.blob_is_used(&blob(9).sha256)),
        "a call may still use the upload"
    );
    // A nonce whose time is over may come again.
    let again = Nonce { expires_at: at(90), ..nonce(30) };
    change(engine, |rows| rows.insert_nonces(std::slice::from_ref(&again)));
    assert_eq!(look(engine, |view| view.nonces(at(0))), [again]);
}

fn uploads_come_back(engine: &mut dyn Engine) {
    for kind in [UploadKind::Package, UploadKind::DeviceList, UploadKind::DeviceJob] {
        let mut upload = Upload {
            key: format!("ota/{kind:?}"),
            account: AccountNo(7),
            kind,
            issued_at: at(1),
            stored: None,
            used: false,
        };
        change(engine, |rows| rows.insert_upload(&upload));
        assert_eq!(look(engine, |view| view.upload(&upload.key)).as_ref(), Some(&upload));
        upload.stored = Some(StoredUpload { blob: blob(5), at: at(2) });
        upload.used = true;
        change(engine, |rows| rows.update_upload(&upload));
        assert_eq!(look(engine, |view| view.upload(&upload.key)), Some(upload));
    }
}
