//! What a CONNECT says about who is there. Source: the device protocol reference, authentication.

use otaru_core::id::{DeviceName, ProductKey};
use otaru_core::signature::device::{SignMethod, connect_content};
use otaru_mqtt::packet::{Connect, ConnectCode};

/// Longest client id in bytes, without its parameters.
const CLIENT_ID_BYTES_MAX: usize = 64;

/// A device's claim of who it is, with its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) product_key: ProductKey,
    pub(super) device_name: DeviceName,
    method: SignMethod,
    content: String,
    password: String,
}

impl Credentials {
    /// Reads the claim from username, client id and password.
    ///
    /// # Errors
    /// The code of the CONNACK that turns the client away.
    pub(super) fn parse(connect: &Connect) -> Result<Self, ConnectCode> {
        let malformed = ConnectCode::BadUsernameOrPassword;
        let username = connect.username.as_deref().ok_or(malformed)?;
        let (device_name, product_key) = username.split_once('&').ok_or(malformed)?;
        let client_id = ClientId::parse(&connect.client_id);
        if client_id.base.len() > CLIENT_ID_BYTES_MAX {
            return Err(ConnectCode::IdentifierRejected);
        }
        // Registration and the other ways in sign something else; none of them is open here.
        if client_id.param("authType").is_some() {
            return Err(ConnectCode::NotAuthorized);
        }
        let method = match client_id.param("signmethod") {
            Some(name) => name.parse().map_err(|_| malformed)?,
            None => SignMethod::default(),
        };
        let password = connect.password.as_deref().map(<[u8]>::to_vec);
        let timestamp = client_id.param("timestamp");
        Ok(Self {
            content: connect_content(client_id.base, device_name, product_key, timestamp),
            product_key: product_key.parse().map_err(|_| malformed)?,
            device_name: device_name.parse().map_err(|_| malformed)?,
            method,
            password: password.and_then(|p| String::from_utf8(p).ok()).ok_or(malformed)?,
        })
    }

    /// Whether the password proves knowledge of `secret`.
    pub(super) fn prove(&self, secret: &str) -> bool {
        self.method.verify(secret, &self.content, &self.password)
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
                let credentials = Credentials::parse(&connect).unwrap();
                assert!(credentials.prove(secret), "{}", text("id"));
                assert!(!credentials.prove("0123456789abcdef0123456789abcdee"), "{}", text("id"));
            }
        }
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
            ("c|authType=register,random=1|", "dev-001&a1B2c3D4e5F", NotAuthorized),
        ] {
            let refused = Credentials::parse(&connect(client_id, username, "p"));
            assert_eq!(refused.unwrap_err(), code, "{client_id} {username}");
        }
        let username = Some("dev-001&a1B2c3D4e5F".into());
        for password in [None, Some(b"\xff"[..].into())] {
            let connect = Connect { username: username.clone(), password, ..Connect::default() };
            assert_eq!(Credentials::parse(&connect), Err(BadUsernameOrPassword));
        }
        assert_eq!(Credentials::parse(&Connect::default()), Err(BadUsernameOrPassword));
    }
}
