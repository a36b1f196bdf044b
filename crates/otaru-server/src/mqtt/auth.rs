//! What a CONNECT says about who is there. Source: the device protocol reference, authentication.

use super::{Identity, IdentityProof};
use crate::metrics::Refused;
use crate::tls::Certified;
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
    /// It doesn't say who it is, and is told by its certificate.
    pub(super) asks_who_it_is: bool,
    shown: Shown,
    proof: Proof,
    password: String,
}

/// What a certificate says of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// The device is the one that it names.
    Own,
    Foreign,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    /// A signature of this text.
    Signature(SignMethod, String),
    /// The token that was given for this client id.
    Token(String),
    /// The certificate that came with it, and nothing else.
    Certificate,
}

/// How a client is turned away before anybody is looked up.
pub(super) type Turned = (ConnectCode, Refused);

/// Username, password or parameters that can't be those of a device.
const MALFORMED: Turned = (ConnectCode::BadUsernameOrPassword, Refused::Credentials);

impl Visitor {
    /// Reads the claim from username, client id and password, and from the certificate that was shown, if one was.
    ///
    /// # Errors
    /// The code of the CONNACK that turns the client away, and how it is counted.
    pub(super) fn parse(connect: &Connect, certified: Option<&Certified>) -> Result<Self, Turned> {
        let client_id = ClientId::parse(&connect.client_id);
        if client_id.base.len() > CLIENT_ID_BYTES_MAX {
            return Err((ConnectCode::IdentifierRejected, Refused::ClientId));
        }
        let is_silent = connect.password.as_deref().is_none_or(<[u8]>::is_empty);
        if let Some(certified) = certified.filter(|_| is_silent) {
            let credentials = Credentials::certified(connect, &client_id, certified)?;
            return Ok(Self::Device(credentials));
        }
        let username = connect.username.as_deref().ok_or(MALFORMED)?;
        let (device_name, product_key) = username.split_once('&').ok_or(MALFORMED)?;
        let password = connect.password.as_deref().map(<[u8]>::to_vec);
        let password = password.and_then(|p| String::from_utf8(p).ok()).ok_or(MALFORMED)?;
        let shown = match certified {
            None => Shown::Nothing,
            Some(certified) if certified.is(device_name, product_key) => Shown::Own,
            Some(_) => Shown::Foreign,
        };
        let credentials = |proof, password| {
            let product_key = product_key.parse().map_err(|_| MALFORMED)?;
            let device_name = device_name.parse().map_err(|_| MALFORMED)?;
            let is_nameless = client_id.base.is_empty();
            Ok(Self::Device(Credentials {
                product_key,
                device_name,
                is_nameless,
                knows_custom_rrpc: client_id.knows_custom_rrpc(),
                asks_who_it_is: false,
                shown,
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
    /// Those of a device that shows a certificate and no password.
    fn certified(
        connect: &Connect,
        client_id: &ClientId<'_>,
        certified: &Certified,
    ) -> Result<Self, Turned> {
        let Certified { product_key, device_name } = certified.clone();
        let username = connect.username.as_deref().unwrap_or_default();
        let names_itself =
            username.split_once('&').is_some_and(|(name, key)| certified.is(name, key));
        if !username.is_empty() && !names_itself {
            return Err((ConnectCode::BadUsernameOrPassword, Refused::Certificate));
        }
        Ok(Self {
            product_key,
            device_name,
            is_nameless: client_id.base.is_empty(),
            knows_custom_rrpc: client_id.knows_custom_rrpc(),
            asks_who_it_is: username.is_empty(),
            shown: Shown::Own,
            proof: Proof::Certificate,
            password: String::new(),
        })
    }

    /// Whether it is the device of this identity, `None` where there is no such device.
    ///
    /// # Errors
    /// Why it isn't.
    pub(super) fn check(&self, identity: Option<&Identity>) -> Result<(), Refused> {
        // An unknown device takes as long as a wrong secret: nobody learns names by measuring.
        let secret = identity.and_then(|known| known.proof.secret());
        let is_signed = self.prove(secret.unwrap_or_default());
        let Some(identity) = identity else { return Err(Refused::UnknownDevice) };
        match (&identity.proof, self.shown) {
            (IdentityProof::Certificate, Shown::Own) => Ok(()),
            (IdentityProof::Certificate, Shown::Nothing) => Err(Refused::NoCertificate),
            (IdentityProof::Certificate, Shown::Foreign) => Err(Refused::Certificate),
            (IdentityProof::Secret(_), _) if self.proof == Proof::Certificate => {
                Err(Refused::Certificate)
            }
            (IdentityProof::Secret(_), _) if is_signed => Ok(()),
            (IdentityProof::Secret(_), _) => Err(Refused::Signature),
        }
    }

    /// Whether the password proves knowledge of `secret`.
    fn prove(&self, secret: &str) -> bool {
        let Self { product_key, device_name, proof, password, .. } = self;
        match proof {
            Proof::Signature(method, content) => method.verify(secret, content, password),
            Proof::Token(client_id) => {
                is_token(secret, client_id, product_key.as_str(), device_name.as_str(), password)
            }
            Proof::Certificate => false,
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

    /// Bit 0 of `ext`.
    fn knows_custom_rrpc(&self) -> bool {
        let bits = self.param("ext").and_then(|bits| bits.parse::<u32>().ok());
        bits.unwrap_or(0) & 1 == 1
    }

    fn param(&self, name: &str) -> Option<&'a str> {
        self.params.split(',').find_map(|param| {
            let (key, value) = param.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

#[cfg(test)]
mod tests;
