use super::*;
use openssl::pkey::PKey;
use otaru_core::time::DAY_MS;
use std::os::unix::fs::PermissionsExt;

const NOW: Timestamp = Timestamp(1_714_000_000_000);

fn made(folder: &Path, names: &[&str]) -> Made {
    let names = names.iter().map(|name| ServerName::parse(name).unwrap()).collect();
    Made { folder: folder.join("tls"), names }
}

/// What stands in each file.
fn contents(made: &Made) -> Vec<Vec<u8>> {
    ["ca.pem", "ca.key", "rsa.pem", "ec.pem"]
        .map(|file| fs::read(made.folder.join(file)).unwrap())
        .to_vec()
}

/// Which of the files are other ones after a start `days` later under these names.
fn replaced(made: &Made, days: i64, names: &[&str]) -> Vec<usize> {
    let before = contents(made);
    let later =
        Made { folder: made.folder.clone(), names: self::made(Path::new("."), names).names };
    later.pairs(NOW.plus_ms(days * DAY_MS), &Random::seeded(2)).unwrap();
    let after = contents(&later);
    (0..before.len()).filter(|&at| before[at] != after[at]).collect()
}

#[test]
fn certificates_are_made_once_and_anew_when_names_change_or_time_is_short() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["localhost", "ota.example", "192.0.2.1", "2001:db8::1"];
    let made = made(dir.path(), &names);
    made.pairs(NOW, &Random::seeded(1)).unwrap();
    for file in ["ca.pem", "ca.key", "rsa.pem", "ec.pem"] {
        let permissions = fs::metadata(made.folder.join(file)).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600, "{file}");
    }
    let other_order = ["2001:db8::1", "ota.example", "192.0.2.1", "localhost"];
    assert_eq!(replaced(&made, 0, &names), [0; 0]);
    assert_eq!(replaced(&made, 304, &other_order), [0; 0]);
    assert_eq!(replaced(&made, 306, &names), [2, 3]);
    assert_eq!(replaced(&made, 306, &names[..3]), [2, 3]);
    assert_eq!(replaced(&made, 306 + 306, &names[..3]), [2, 3]);
}

#[test]
fn a_damaged_leaf_is_issued_anew() {
    let dir = tempfile::tempdir().unwrap();
    let made = made(dir.path(), &["localhost"]);
    made.pairs(NOW, &Random::seeded(1)).unwrap();
    fs::write(made.folder.join("ec.pem"), "nothing").unwrap();
    assert_eq!(replaced(&made, 0, &["localhost"]), [3]);
}

#[test]
fn the_authority_that_devices_trust_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let made = made(dir.path(), &["localhost"]);
    made.pairs(NOW, &Random::seeded(1)).unwrap();
    let random = Random::seeded(2);
    let key = fs::read(made.folder.join("ca.key")).unwrap();
    let refusal = |made: &Made, days| {
        let told = made.pairs(NOW.plus_ms(days * DAY_MS), &random);
        told.err().map_or_else(String::new, |error| format!("{error:#}"))
    };
    fs::remove_file(made.folder.join("ca.key")).unwrap();
    assert_eq!(refusal(&made, 0), "", "nothing has to be issued");
    assert!(refusal(&made, 360).contains("ca.key is missing"));
    let foreign = PKey::from_rsa(openssl::rsa::Rsa::generate(2_048).unwrap()).unwrap();
    fs::write(made.folder.join("ca.key"), foreign.private_key_to_pem_pkcs8().unwrap()).unwrap();
    assert!(refusal(&made, 360).contains("ca.key is not the key of"));
    fs::write(made.folder.join("ca.key"), key).unwrap();
    assert_eq!(refusal(&made, 360), "");
    fs::write(made.folder.join("ca.pem"), "nothing").unwrap();
    assert!(refusal(&made, 0).contains("ca.pem holds no certificate"));
}

#[test]
fn host_names_and_addresses_are_told_from_what_is_neither() {
    for (text, want) in [
        ("ota.example", Some(ServerName::Dns("ota.example".into()))),
        ("OTA.Example", Some(ServerName::Dns("ota.example".into()))),
        ("*.ota.example", Some(ServerName::Dns("*.ota.example".into()))),
        ("127.0.0.1", Some(ServerName::Ip([127, 0, 0, 1].into()))),
        ("[::1]", Some(ServerName::Ip("::1".parse().unwrap()))),
        ("", None),
        ("a b", None),
        ("a..b", None),
        ("-a", None),
        ("a.*", None),
        ("ä", None),
        ("DNS:x", None),
    ] {
        assert_eq!(ServerName::parse(text), want, "{text}");
    }
}
