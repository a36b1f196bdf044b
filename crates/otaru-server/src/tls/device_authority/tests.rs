use super::*;
use openssl::hash::MessageDigest;
use openssl::x509::X509ReqBuilder;
use otaru_core::time::DAY_MS;
use std::os::unix::fs::PermissionsExt;

const NOW: Timestamp = Timestamp(1_714_000_000_000);

fn issue(authority: &DeviceAuthority, key: KeyOf) -> Issued {
    let device = ("a1B2c3D4e5F".parse().unwrap(), "dev-001".parse().unwrap());
    authority.issue((&device.0, &device.1), key, 10, NOW, &Random::seeded(1)).unwrap()
}

fn common_name(certificate: &X509) -> String {
    let mut names = certificate.subject_name().entries_by_nid(openssl::nid::Nid::COMMONNAME);
    names.next().unwrap().data().to_string().unwrap()
}

#[test]
fn the_first_certificate_makes_a_ca_and_all_come_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let authority = DeviceAuthority::within(dir.path());
    assert!(authority.certificate().unwrap().is_none());
    let first = issue(&authority, KeyOf::Made(DeviceKey::Rsa));
    let ca = authority.certificate().unwrap().unwrap();
    let second = issue(&authority, KeyOf::Made(DeviceKey::Ec));
    for issued in [&first, &second] {
        assert!(issued.certificate.verify(&ca.public_key().unwrap()).unwrap());
        assert_eq!(common_name(&issued.certificate), "dev-001&a1B2c3D4e5F");
        let end = openssl::asn1::Asn1Time::from_unix((NOW.0 + 10 * DAY_MS) / 1_000).unwrap();
        assert!(issued.certificate.not_after() == &*end);
        let key = issued.key.as_ref().unwrap();
        assert!(issued.certificate.public_key().unwrap().public_eq(key));
    }
    for file in ["ca.pem", "ca.key"] {
        let mode = dir.path().join("devices").join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_ca_without_its_key_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let authority = DeviceAuthority::within(dir.path());
    issue(&authority, KeyOf::Made(DeviceKey::Ec));
    std::fs::remove_file(dir.path().join("devices/ca.key")).unwrap();
    let device = ("a1B2c3D4e5F".parse().unwrap(), "dev-001".parse().unwrap());
    let key = KeyOf::Made(DeviceKey::Ec);
    let refused = authority.issue((&device.0, &device.1), key, 1, NOW, &Random::seeded(2));
    assert!(refused.unwrap_err().to_string().contains("ca.key is missing"));
}

#[test]
fn a_device_can_keep_its_key_and_has_to_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let authority = DeviceAuthority::within(dir.path());
    let (key, other) = (DeviceKey::Ec.generate().unwrap(), DeviceKey::Ec.generate().unwrap());
    let request = |signed_by| {
        let mut builder = X509ReqBuilder::new().unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.sign(signed_by, MessageDigest::sha256()).unwrap();
        builder.build().to_pem().unwrap()
    };
    let issued = issue(&authority, KeyOf::requested(&request(&key)).unwrap());
    assert!(issued.key.is_none());
    assert!(issued.certificate.public_key().unwrap().public_eq(&key));
    let told = KeyOf::requested(&request(&other)).unwrap_err().to_string();
    assert!(told.contains("not signed by the key"), "{told}");
    assert!(KeyOf::requested(b"nothing").is_err());
}

#[test]
fn a_serial_number_is_revoked_once_and_has_to_be_one() {
    let dir = tempfile::tempdir().unwrap();
    let authority = DeviceAuthority::within(dir.path());
    assert_eq!(authority.revoked().unwrap(), [""; 0]);
    for serial in ["01ab", "01AB", "7"] {
        authority.revoke(serial).unwrap();
    }
    for bad in ["", "0x1", "1 2", &"1".repeat(41)] {
        assert!(authority.revoke(bad).is_err(), "{bad}");
    }
    assert_eq!(authority.revoked().unwrap(), ["01AB", "7"]);
}
