//! What a CONNECT says about who is there. Source: the device protocol reference, authentication.

use crate::metrics::Refused;
use otaru_core::id::{DeviceName, ProductKey};
use otaru_core::registration::{Claim, Grant, is_token};
use otaru_core::signature::device::{SignMethod, connect_content};
use otaru_mqtt::packet::{Connect, ConnectCode};

/// Longest client id in bytes, without its parameters.
const CLIENT_ID_BYTES_MAX: usize = 64;

/// What a client that connects is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Visitor {
    /// A device that has a secret.
    Device(Credentials),
    /// One that has that of its product only, and wants its own.
    Newcomer(Claim, Grant),
}

/// A device's claim of who it is, with its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) product_key: ProductKey,
    pub(super) device_name: DeviceName,
    /// The client named no id, and MQTT 5.0 wants it to be given one.
    pub(super) is_nameless: bool,
    /// Its parameter `ext` says that requests may come on topics of the product's own.
    pub(super) knows_custom_rrpc: bool,
    proof: Proof,
    password: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    /// A signature of this text.
    Signature(SignMethod, String),
    /// The token that was given for this client id.
    Token(String),
}

/// How a client is turned away before anybody is looked up.
pub(super) type Turned = (ConnectCode, Refused);

/// Username, password or parameters that can't be those of a device.
const MALFORMED: Turned = (ConnectCode::BadUsernameOrPassword, Refused::Credentials);

impl Visitor {
    /// Reads the claim from username, client id and password.
    ///
    /// # Errors
    /// The code of the CONNACK that turns the client away, and how it is counted.
    pub(super) fn parse(connect: &Connect) -> Result<Self, Turned> {
        let username = connect.username.as_deref().ok_or(MALFORMED)?;
        let (device_name, product_key) = username.split_once('&').ok_or(MALFORMED)?;
        let client_id = ClientId::parse(&connect.client_id);
        if client_id.base.len() > CLIENT_ID_BYTES_MAX {
            return Err((ConnectCode::IdentifierRejected, Refused::ClientId));
        }
        let password = connect.password.as_deref().map(<[u8]>::to_vec);
        let password = password.and_then(|p| String::from_utf8(p).ok()).ok_or(MALFORMED)?;
        let ext: u32 = client_id.param("ext").and_then(|bits| bits.parse().ok()).unwrap_or(0);
        let knows_custom_rrpc = ext & 1 == 1;
        let credentials = |proof, password| {
            let product_key = product_key.parse().map_err(|_| MALFORMED)?;
            let device_name = device_name.parse().map_err(|_| MALFORMED)?;
            let is_nameless = client_id.base.is_empty();
            Ok(Self::Device(Credentials {
                product_key,
                device_name,
                is_nameless,
                knows_custom_rrpc,
                proof,
                password,
            }))
        };
        let grant = match client_id.param("authType") {
            None => {
                let method = match client_id.param("signmethod") {
                    Some(name) => name.parse().map_err(|_| MALFORMED)?,
                    None => SignMethod::default(),
                };
                let timestamp = client_id.param("timestamp");
                let content = connect_content(client_id.base, device_name, product_key, timestamp);
                return credentials(Proof::Signature(method, content), password);
            }
            Some("connwl") => {
                return credentials(Proof::Token(client_id.base.to_owned()), password);
            }
            Some("register") => Grant::Secret,
            Some("regnwl") => Grant::Token,
            // The other ways in need hardware, and none of them is open here.
            Some(_) => return Err((ConnectCode::NotAuthorized, Refused::AuthType)),
        };
        let random = client_id.param("random").unwrap_or_default();
        let method = client_id.param("signmethod").unwrap_or("hmacsha256");
        let claim = Claim::new(product_key, device_name, random, method, &password);
        // Counted where the others are that were turned down.
        claim
            .map(|claim| Self::Newcomer(claim, grant))
            .map_err(|_| (ConnectCode::NotAuthorized, Refused::Registration))
    }
}

impl Credentials {
    /// Whether the password proves knowledge of `secret`.
    pub(super) fn prove(&self, secret: &str) -> bool {
        let Self { product_key, device_name, proof, password, .. } = self;
        match proof {
            Proof::Signature(method, content) => method.verify(secret, content, password),
            Proof::Token(client_id) => {
                is_token(secret, client_id, product_key.as_str(), device_name.as_str(), password)
            }
        }
    }
}

/// `base|name=value,name=value|`, read as tolerantly as SDKs write it: with blanks and newlines, a bar inside a value,
/// an empty last parameter, in any order.
struct ClientId<'a> {
    base: &'a str,
    params: &'a str,
}

impl<'a> ClientId<'a> {
    fn parse(text: &'a str) -> Self {
        let (base, params) = text.split_once('|').unwrap_or((text, ""));
        let params = params.trim_end();
        Self { base, params: params.strip_suffix('|').unwrap_or(params) }
    }

    fn param(&self, name: &str) -> Option<&'a str> {
        self.params.split(',').find_map(|param| {
            let (key, value) = param.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

#[cfg(test)]
mod tests {
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
                let Ok(Visitor::Device(credentials)) = Visitor::parse(&connect) else {
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
            Visitor::parse(&connect(text("client_id"), text("username"), text("password")))
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
            match Visitor::parse(&connect) {
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
            let (refused, _) = Visitor::parse(&connect(client_id, username, "p")).unwrap_err();
            assert_eq!(refused, code, "{client_id} {username}");
        }
        let username = Some("dev-001&a1B2c3D4e5F".into());
        for password in [None, Some(b"\xff"[..].into())] {
            let connect = Connect { username: username.clone(), password, ..Connect::default() };
            assert_eq!(Visitor::parse(&connect), Err(MALFORMED));
        }
        assert_eq!(Visitor::parse(&Connect::default()), Err(MALFORMED));
    }
}
