use super::*;

fn connect(client_id: &str, username: &str, password: &str) -> Connect {
    Connect {
        client_id: client_id.into(),
        username: Some(username.into()),
        password: Some(password.to_owned().into()),
        ..Connect::default()
    }
}

#[test]
fn every_device_sdk_is_let_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/spec/vectors.json");
    let vectors: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = vectors["mqtt_auth"].as_array().unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let text = |name: &str| case[name].as_str().unwrap();
        let secret = vectors["inputs"][text("key")].as_str().unwrap();
        for password in [text("password").to_lowercase(), text("password").to_uppercase()] {
            let connect = connect(text("client_id"), text("username"), &password);
            let Ok(Visitor::Device(credentials)) = Visitor::parse(&connect, None) else {
                panic!("{}", text("id"))
            };
            assert!(credentials.prove(secret), "{}", text("id"));
            assert!(!credentials.prove("0123456789abcdef0123456789abcdee"), "{}", text("id"));
        }
    }
}

#[test]
fn newcomers_and_those_with_a_token_of_every_sdk_are_told_apart() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/spec/vectors.json");
    let vectors: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let parse = |case: &serde_json::Value| {
        let text = |name: &str| case[name].as_str().unwrap();
        Visitor::parse(&connect(text("client_id"), text("username"), text("password")), None)
    };
    let secret = vectors["inputs"]["product_secret"].as_str().unwrap();
    let mut seen = 0;
    for case in vectors["dynreg"].as_array().unwrap() {
        if case["channel"] != "mqtt" {
            continue;
        }
        let Ok(Visitor::Newcomer(claim, grant)) = parse(case) else { panic!("{case}") };
        assert!(claim.proves(secret), "{}", case["id"]);
        let is_token = case["id"].as_str().unwrap().contains("regnwl");
        assert_eq!(grant, if is_token { Grant::Token } else { Grant::Secret });
        seen += 1;
    }
    assert_eq!(seen, 6);
    for case in vectors["mqtt_connwl"].as_array().unwrap() {
        let Ok(Visitor::Device(device)) = parse(case) else { panic!("{case}") };
        assert_eq!(device.proof, Proof::Token("reg-client-0001".into()), "{}", case["id"]);
        assert!(!device.prove("any secret"), "the token of the vector is not of our making");
    }
}

#[test]
fn a_token_lets_in_with_the_client_id_that_came_along_alone() {
    let given = otaru_core::registration::token("secret", "c1", "a1B2c3D4e5F", "dev-001");
    let prove = |client_id: &str, secret: &str| {
        let connect = connect(client_id, "dev-001&a1B2c3D4e5F", &given);
        match Visitor::parse(&connect, None) {
            Ok(Visitor::Device(device)) => device.prove(secret),
            other => panic!("{other:?}"),
        }
    };
    assert!(prove("c1|authType=connwl,securemode=-2|", "secret"));
    assert!(!prove("c2|authType=connwl,securemode=-2|", "secret"));
    assert!(!prove("c1|authType=connwl,securemode=-2|", "newer"));
    assert!(!prove("c1|securemode=3,signmethod=hmacsha256|", "secret"));
}

#[test]
fn parameters_of_the_client_id_are_read_tolerantly() {
    for (text, base, method, timestamp) in [
        ("c", "c", None, None),
        ("|signmethod=a|", "", Some("a"), None),
        ("c|signmethod=a,timestamp=1|", "c", Some("a"), Some("1")),
        ("c| timestamp = 1 ,\n signmethod=a,|\n", "c", Some("a"), Some("1")),
        ("c|lan=JS|Android,timestamp=1,signmethod=a|", "c", Some("a"), Some("1")),
        ("c|SignMethod=a", "c", Some("a"), None),
        ("c|signmethod|", "c", None, None),
        ("c|signmethod=a=b|", "c", Some("a=b"), None),
        ("c||", "c", None, None),
    ] {
        let id = ClientId::parse(text);
        assert_eq!(
            (id.base, id.param("signmethod"), id.param("timestamp")),
            (base, method, timestamp),
            "{text}"
        );
    }
}

#[test]
fn claims_that_cannot_be_are_refused_with_their_code() {
    use ConnectCode::{BadUsernameOrPassword, IdentifierRejected, NotAuthorized};
    let long = "x".repeat(65);
    for (client_id, username, code) in [
        ("c", "dev-001", BadUsernameOrPassword),
        ("c", "", BadUsernameOrPassword),
        ("c", "&", BadUsernameOrPassword),
        ("c", "dev-001&", BadUsernameOrPassword),
        ("c", "dev-001&a1&b2", BadUsernameOrPassword),
        ("c", "dev/001&a1B2c3D4e5F", BadUsernameOrPassword),
        ("c", "../..&a1B2c3D4e5F", BadUsernameOrPassword),
        ("c", "dev-001&a1B2c3D4e5F/../x", BadUsernameOrPassword),
        ("c|signmethod=md5|", "dev-001&a1B2c3D4e5F", BadUsernameOrPassword),
        (&long, "dev-001&a1B2c3D4e5F", IdentifierRejected),
        ("c|authType=register|", "dev-001&a1B2c3D4e5F", NotAuthorized),
        ("c|authType=register,random=1|", "dev-001&", NotAuthorized),
        ("c|authType=regnwl,random=1,signmethod=x|", "dev-001&a1B2c3D4e5F", NotAuthorized),
        ("c|authType=id2|", "dev-001&a1B2c3D4e5F", NotAuthorized),
        ("c|authType=connwl|", "dev-001&", BadUsernameOrPassword),
    ] {
        let (refused, _) = Visitor::parse(&connect(client_id, username, "p"), None).unwrap_err();
        assert_eq!(refused, code, "{client_id} {username}");
    }
    let username = Some("dev-001&a1B2c3D4e5F".into());
    for password in [None, Some(b"\xff"[..].into())] {
        let connect = Connect { username: username.clone(), password, ..Connect::default() };
        assert_eq!(Visitor::parse(&connect, None), Err(MALFORMED));
    }
    assert_eq!(Visitor::parse(&Connect::default(), None), Err(MALFORMED));
}

#[test]
fn a_certificate_proves_its_own_device_where_the_product_wants_one() {
    use ConnectCode::BadUsernameOrPassword as Refusal;
    let certified = |name: &str| Certified {
        product_key: "a1B2c3D4e5F".parse().unwrap(),
        device_name: name.parse().unwrap(),
    };
    let identity = |proof| Identity {
        device: otaru_core::id::DeviceNo(1),
        product: otaru_core::id::ProductNo(1),
        proof,
        disabled: false,
        is_gateway: false,
        has_session: false,
    };
    let x509 = identity(IdentityProof::Certificate);
    let secret = identity(IdentityProof::Secret("secret".into()));
    let content = "clientIdcdeviceNamedev-001productKeya1B2c3D4e5F";
    let signed = SignMethod::default().sign("secret", content);
    let named = "dev-001&a1B2c3D4e5F";
    let (own, other) = (certified("dev-001"), certified("dev-002"));
    for (username, password, shown, identity, want) in [
        ("", "", Some(&own), &x509, Ok(true)),
        (named, "", Some(&own), &x509, Ok(false)),
        // Some SDKs sign with whatever they have.
        (named, "00", Some(&own), &x509, Ok(false)),
        (named, &*signed, None, &x509, Err(Refused::NoCertificate)),
        (named, &*signed, Some(&other), &x509, Err(Refused::Certificate)),
        (named, "", Some(&other), &x509, Err(Refused::Certificate)),
        ("dev-001", "", Some(&own), &x509, Err(Refused::Certificate)),
        ("", "", None, &x509, Err(Refused::Credentials)),
        ("", "", Some(&own), &secret, Err(Refused::Certificate)),
        (named, "", Some(&own), &secret, Err(Refused::Certificate)),
        (named, "00", Some(&own), &secret, Err(Refused::Signature)),
        (named, &*signed, Some(&own), &secret, Ok(false)),
        (named, &*signed, Some(&other), &secret, Ok(false)),
    ] {
        let judged = match Visitor::parse(&connect("c", username, password), shown) {
            Ok(Visitor::Device(device)) => {
                device.check(Some(identity)).map(|()| device.asks_who_it_is)
            }
            Ok(other) => panic!("{other:?}"),
            Err((code, why)) => {
                assert_eq!(code, Refusal);
                Err(why)
            }
        };
        assert_eq!(judged, want, "{username} {password} {shown:?} {:?}", identity.proof);
    }
    let silent = Connect::default();
    let Ok(Visitor::Device(device)) = Visitor::parse(&silent, Some(&own)) else { panic!() };
    assert!(device.is_nameless && device.asks_who_it_is);
    assert_eq!(device.check(None), Err(Refused::UnknownDevice));
}
