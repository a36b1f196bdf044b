//! Dynamic registration: a device that knows its product's secret gets a secret of its own. Source: the device protocol
//! reference, dynamic registration.

use crate::id::{DeviceName, IotId, ProductKey};
use crate::signature::device::{SignMethod, register_content};
use crate::signature::{hmac_sha256, same_hex};

/// Which devices of a product may register themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Registration {
    /// None.
    #[default]
    Off,
    /// Those whose names are known.
    Known,
    /// Any, also without a known name.
    Any,
}

impl Registration {
    pub const ALL: [Self; 3] = [Self::Off, Self::Known, Self::Any];

    /// As the command line spells it.
    pub fn as_wire(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Known => "known",
            Self::Any => "any",
        }
    }
}

/// What a device that registers is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A secret, for a device whose name is known.
    Secret,
    /// A client id and a token, also for a device whose name nobody knows.
    Token,
}

/// A device's claim to be one of a product, with the proof that it knows the product's secret.
///
/// The random text is no nonce: one SDK always sends the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub product_key: ProductKey,
    pub device_name: DeviceName,
    method: SignMethod,
    content: String,
    sign: String,
}

impl Claim {
    /// # Errors
    /// [`RegisterError::Parameter`] for names that can't be, [`RegisterError::Method`] for an unknown method.
    pub fn new(
        product_key: &str,
        device_name: &str,
        random: &str,
        method: &str,
        sign: &str,
    ) -> Result<Self, RegisterError> {
        let claim = Self {
            content: register_content(product_key, device_name, random),
            method: method.parse().map_err(|_| RegisterError::Method)?,
            product_key: product_key.parse().map_err(|_| RegisterError::Parameter)?,
            device_name: device_name.parse().map_err(|_| RegisterError::Parameter)?,
            sign: sign.to_owned(),
        };
        if random.is_empty() || sign.is_empty() {
            return Err(RegisterError::Parameter);
        }
        Ok(claim)
    }

    pub fn proves(&self, product_secret: &str) -> bool {
        self.method.verify(product_secret, &self.content, &self.sign)
    }
}

/// How a registration is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    #[error("request parameter error")]
    Parameter,
    #[error("server error")]
    Internal,
    #[error("device not found")]
    NoDevice,
    #[error("device disabled")]
    Disabled,
    #[error("product not found")]
    NoProduct,
    #[error("dynamic registration is off")]
    Off,
    #[error("device is already activated")]
    Active,
    #[error("signature method not supported")]
    Method,
    #[error("invalid sign")]
    Sign,
    /// Of a sub-device.
    #[error("device is bound to another gateway")]
    BoundElsewhere,
    /// No device more fits into the account.
    #[error("too many devices")]
    TooMany,
}

impl RegisterError {
    pub const ALL: [Self; 11] = [
        Self::Parameter,
        Self::Internal,
        Self::NoDevice,
        Self::Disabled,
        Self::NoProduct,
        Self::Off,
        Self::Active,
        Self::Method,
        Self::Sign,
        Self::BoundElsewhere,
        Self::TooMany,
    ];

    pub fn code(self) -> u16 {
        match self {
            Self::Parameter => 460,
            Self::Internal => 500,
            Self::NoDevice => 6100,
            Self::Disabled => 6204,
            Self::NoProduct => 6250,
            Self::Off => 6288,
            Self::Active => 6289,
            Self::Method => 6292,
            Self::TooMany => 6400,
            Self::Sign => 6600,
            Self::BoundElsewhere => 6619,
        }
    }
}

/// What is known of the device that registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub disabled: bool,
    pub activated: bool,
    /// It was reset: it may register once more.
    pub reset: bool,
}

/// What a registration that is granted does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The device gets a new secret; an older one is void.
    Renew,
    /// The device is made.
    Create,
}

/// Judges a registration whose signature is right.
///
/// # Errors
/// [`RegisterError`]: what the device is told.
pub fn judge(
    registration: Registration,
    grant: Grant,
    known: Option<Known>,
) -> Result<Step, RegisterError> {
    match (registration, grant) {
        (Registration::Off, _) | (Registration::Known, Grant::Token) => {
            return Err(RegisterError::Off);
        }
        (Registration::Known, Grant::Secret) | (Registration::Any, _) => {}
    }
    match known {
        None if grant == Grant::Token => Ok(Step::Create),
        None => Err(RegisterError::NoDevice),
        Some(Known { disabled: true, .. }) => Err(RegisterError::Disabled),
        Some(Known { activated: true, reset: false, .. }) => Err(RegisterError::Active),
        Some(_) => Ok(Step::Renew),
    }
}

/// A device that has registered itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    pub product_key: ProductKey,
    pub device_name: DeviceName,
    pub iot_id: IotId,
    pub secret: String,
    /// Chosen for a device that gets a token, which is good with it only.
    pub client_id: String,
}

impl Enrolled {
    /// The device with its secret, as it hears it itself.
    pub fn to_secret(&self) -> String {
        let Self { product_key, device_name, secret, .. } = self;
        format!(
            r#"{{"productKey":"{product_key}","deviceName":"{device_name}","deviceSecret":"{secret}"}}"#
        )
    }

    /// The same as its gateway hears it.
    pub fn to_sub_device(&self) -> String {
        let Self { product_key, device_name, iot_id, secret, .. } = self;
        format!(
            r#"{{"iotId":"{iot_id}","productKey":"{product_key}","deviceName":"{device_name}","deviceSecret":"{secret}"}}"#
        )
    }

    /// The device with its token.
    pub fn to_token(&self) -> String {
        let Self { product_key, device_name, secret, client_id, .. } = self;
        let token = token(secret, client_id, product_key.as_str(), device_name.as_str());
        format!(
            r#"{{"clientId":"{client_id}","productKey":"{product_key}","deviceName":"{device_name}","deviceToken":"{token}"}}"#
        )
    }
}

/// The token of a device that has `secret`: it is void with it. 32 places of hex: SDKs keep little room.
pub fn token(secret: &str, client_id: &str, product_key: &str, device_name: &str) -> String {
    let content = format!("deviceToken\n{client_id}\n{device_name}\n{product_key}");
    let mut token = hex::encode(hmac_sha256(secret.as_bytes(), content.as_bytes()));
    token.truncate(32);
    token
}

/// Whether `given` is the token of a device.
pub fn is_token(
    secret: &str,
    client_id: &str,
    product_key: &str,
    device_name: &str,
    given: &str,
) -> bool {
    same_hex(given, &token(secret, client_id, product_key, device_name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::vectors;

    #[test]
    fn claims_of_every_sdk_prove_the_secret_of_their_product_alone() {
        let vectors = vectors();
        let inputs = &vectors["inputs"];
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let cases = vectors["dynreg"].as_array().unwrap();
        assert_eq!(cases.len(), 10);
        for case in cases {
            let claim = Claim::new(
                &text(&inputs["product_key"]),
                &text(&inputs["device_name"]),
                &text(&case["random"]),
                &text(&case["sign_method"]),
                &text(&case["sign"]),
            )
            .unwrap();
            assert_eq!(claim.content, text(&case["sign_content"]), "{}", case["id"]);
            assert!(claim.proves(&text(&inputs["product_secret"])), "{}", case["id"]);
            assert!(!claim.proves("another"), "{}", case["id"]);
        }
    }

    #[test]
    fn claims_that_can_not_be_are_refused() {
        let new = |key: &str, name: &str, random: &str, method: &str, sign: &str| {
            Claim::new(key, name, random, method, sign).map(|_| ())
        };
        assert_eq!(new("a1", "dev-1", "r", "hmacsha256", "00"), Ok(()));
        for (key, name, random, sign) in [
            ("", "dev-1", "r", "00"),
            ("a/1", "dev-1", "r", "00"),
            ("a1", "dev/1", "r", "00"),
            ("a1", "", "r", "00"),
            ("a1", "dev-1", "", "00"),
            ("a1", "dev-1", "r", ""),
        ] {
            let refused = Err(RegisterError::Parameter);
            assert_eq!(new(key, name, random, "hmacsha1", sign), refused, "{key} {name}");
        }
        for method in ["", "sha256", "hmacsha512"] {
            assert_eq!(new("a1", "dev-1", "r", method, "00"), Err(RegisterError::Method));
        }
    }

    #[test]
    fn who_may_register_is_a_matter_of_the_product_and_of_the_device() {
        use Grant::{Secret, Token};
        use RegisterError as Refused;
        use Registration::{Any, Known as Listed, Off};
        let fresh = Known { disabled: false, activated: false, reset: false };
        let active = Known { activated: true, ..fresh };
        let reset = Known { reset: true, ..active };
        let disabled = Known { disabled: true, ..fresh };
        for (mode, grant, known, want) in [
            (Off, Secret, Some(fresh), Err(Refused::Off)),
            (Off, Token, None, Err(Refused::Off)),
            (Listed, Token, Some(fresh), Err(Refused::Off)),
            (Listed, Secret, None, Err(Refused::NoDevice)),
            (Listed, Secret, Some(fresh), Ok(Step::Renew)),
            (Listed, Secret, Some(active), Err(Refused::Active)),
            (Listed, Secret, Some(reset), Ok(Step::Renew)),
            (Listed, Secret, Some(disabled), Err(Refused::Disabled)),
            (Any, Secret, None, Err(Refused::NoDevice)),
            (Any, Secret, Some(fresh), Ok(Step::Renew)),
            (Any, Token, None, Ok(Step::Create)),
            (Any, Token, Some(fresh), Ok(Step::Renew)),
            (Any, Token, Some(active), Err(Refused::Active)),
            (Any, Token, Some(reset), Ok(Step::Renew)),
            (Any, Token, Some(disabled), Err(Refused::Disabled)),
        ] {
            assert_eq!(judge(mode, grant, known), want, "{mode:?} {grant:?} {known:?}");
        }
    }

    #[test]
    fn every_refusal_has_a_code_of_its_own() {
        let codes: std::collections::BTreeSet<_> =
            RegisterError::ALL.iter().map(|error| error.code()).collect();
        assert_eq!(codes.len(), RegisterError::ALL.len());
    }

    #[test]
    fn a_token_is_good_for_one_secret_client_id_and_device() {
        let given = token("s", "c", "pk", "dn");
        assert_eq!(given.len(), 32);
        assert!(is_token("s", "c", "pk", "dn", &given));
        for (secret, client, key, name) in [
            ("t", "c", "pk", "dn"),
            ("s", "d", "pk", "dn"),
            ("s", "c", "pl", "dn"),
            ("s", "c", "pk", "dm"),
        ] {
            assert!(!is_token(secret, client, key, name, &given), "{secret} {client} {key} {name}");
        }
        assert!(!is_token("s", "c", "pk", "dn", ""));
    }
}
