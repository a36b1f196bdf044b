//! What gateways say of their sub-devices. Source: the device protocol reference, gateways and sub-devices.

use crate::id::{DeviceName, ProductKey};
use crate::registration::{Claim, RegisterError};
use crate::signature::device::{SignMethod, connect_content};
use serde_json::Value;

/// Sub-devices that one request about the topology names at most.
pub const ENTRIES_MAX: usize = 30;
/// Sub-devices that one login or logout names at most.
pub const LOGINS_MAX: usize = 50;

/// A sub-device by its two names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubName {
    pub product_key: ProductKey,
    pub device_name: DeviceName,
}

/// A sub-device's claim, with the proof that the gateway knows its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubProof {
    pub name: SubName,
    method: SignMethod,
    content: String,
    sign: String,
}

impl SubProof {
    pub fn proves(&self, secret: &str) -> bool {
        self.method.verify(secret, &self.content, &self.sign)
    }
}

/// What a gateway asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopoAsk {
    Add(Vec<SubProof>),
    Delete(Vec<SubName>),
    Get,
    /// Sub-devices that the gateway has seen; nothing is kept of it.
    Found,
    /// To give sub-devices whose names are known a secret.
    Register(Vec<SubName>),
    /// The same for whoever the secret of their product is known of; each by itself.
    RegisterSigned(Vec<Result<Claim, (SubName, RegisterError)>>),
    /// One, or several at once that log in together or not at all.
    Login(Vec<SubProof>),
    Logout(Vec<SubName>),
}

/// How a request of a gateway is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopoError {
    #[error("request parameter error")]
    Parameter,
    /// Of a topology request; a login has [`TopoError::LoginSign`].
    #[error("request auth error")]
    Sign,
    #[error("rate limit, too many subDeviceOnline msg in one minute")]
    TooManyLogins,
    #[error("too many subdevices under gateway")]
    TooManyOnline,
    #[error("server error")]
    Internal,
    #[error("device no session")]
    NoSession,
    #[error("device forbidden")]
    LoginDisabled,
    #[error("device not found")]
    NotFound,
    #[error("device disabled")]
    Disabled,
    #[error("invalid device name")]
    Name,
    #[error("invalid sign")]
    LoginSign,
    #[error(transparent)]
    Registration(#[from] RegisterError),
    #[error("too many sub-devices")]
    TooMany,
    #[error("topo relation not exist")]
    NoRelation,
    #[error("a gateway can not be a sub-device")]
    Gateway,
}

impl TopoError {
    pub fn code(self) -> u16 {
        match self {
            Self::Sign => 401,
            Self::TooManyOnline => 428,
            Self::TooManyLogins => 429,
            Self::Parameter => 460,
            Self::Internal => 500,
            Self::NoSession => 520,
            Self::LoginDisabled => 522,
            Self::NotFound => 6100,
            Self::Disabled => 6204,
            Self::Name => 6280,
            Self::LoginSign => 6287,
            Self::Registration(error) => error.code(),
            Self::TooMany => 6400,
            Self::NoRelation => 6401,
            Self::Gateway => 6402,
        }
    }
}

/// What may go wrong with a sub-device that was logged in, as its gateway hears on `/ext/error/…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubEnd {
    /// It has logged in through another gateway, or connected by itself.
    Elsewhere,
    /// It is not logged in, or no longer attached.
    NoSession,
    Deleted,
    Disabled,
}

impl SubEnd {
    /// The message; `id` is the wall clock in milliseconds.
    pub fn to_error(self, id: i64, name: &SubName) -> String {
        let (code, message) = match self {
            Self::Elsewhere => (427, "device connect in elsewhere"),
            Self::NoSession => (520, "device session error"),
            Self::Deleted => (521, "device deleted"),
            Self::Disabled => (522, "device forbidden"),
        };
        let data = name.to_json();
        format!(r#"{{"id":"{id}","code":{code},"message":"{message}","data":{data}}}"#)
    }
}

/// What an operator did to a sub-device, as its gateway hears on `thing/topo/change`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopoChange {
    Deleted,
    Enabled,
    Disabled,
}

impl TopoChange {
    /// The message; `id` is the wall clock in milliseconds.
    pub fn to_message(self, id: i64, name: &SubName) -> String {
        let status = match self {
            Self::Deleted => 1,
            Self::Enabled => 2,
            Self::Disabled => 8,
        };
        let sub = name.to_json();
        format!(
            r#"{{"id":"{id}","version":"1.0","params":{{"status":{status},"subList":[{sub}]}},"method":"thing.topo.change"}}"#
        )
    }
}

impl SubName {
    /// As replies spell it.
    pub fn to_json(&self) -> String {
        let Self { product_key, device_name } = self;
        format!(r#"{{"productKey":"{product_key}","deviceName":"{device_name}"}}"#)
    }

    fn read(entry: &Value) -> Result<Self, TopoError> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).ok_or(TopoError::Parameter);
        Ok(Self {
            product_key: text("productKey")?.parse().map_err(|_| TopoError::NotFound)?,
            device_name: text("deviceName")?.parse().map_err(|_| TopoError::Name)?,
        })
    }
}

/// The list of a reply.
pub fn names_json(names: &[SubName]) -> String {
    let names: Vec<_> = names.iter().map(SubName::to_json).collect();
    format!("[{}]", names.join(","))
}

fn proof(entry: &Value, shared_method: Option<&str>) -> Result<SubProof, TopoError> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let name = SubName::read(entry)?;
    let method = text("signMethod").or_else(|| text("signmethod")).or(shared_method);
    let method = method.map_or(Ok(SignMethod::default()), method_named)?;
    let timestamp = match entry.get("timestamp") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) => return Err(TopoError::Parameter),
    };
    let client_id = text("clientId").ok_or(TopoError::Parameter)?;
    let content = connect_content(
        client_id,
        name.device_name.as_str(),
        name.product_key.as_str(),
        timestamp.as_deref(),
    );
    let sign = text("sign").ok_or(TopoError::Parameter)?.to_owned();
    Ok(SubProof { name, method, content, sign })
}

/// A sub-device's claim by the secret of its product, or how it is refused.
fn claim(entry: &Value) -> Result<Result<Claim, (SubName, RegisterError)>, TopoError> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = SubName::read(entry)?;
    let claim = Claim::new(
        text("productKey"),
        text("deviceName"),
        text("random"),
        text("signMethod"),
        text("sign"),
    );
    Ok(claim.map_err(|error| (name, error)))
}

/// Some gateways leave the `hmac` out.
fn method_named(text: &str) -> Result<SignMethod, TopoError> {
    let text = text.to_ascii_lowercase();
    let full = if text.starts_with("hmac") { text } else { format!("hmac{text}") };
    full.parse().map_err(|_| TopoError::Parameter)
}

fn list(value: &Value, most: usize) -> Result<&[Value], TopoError> {
    let list = value.as_array().filter(|list| (1..=most).contains(&list.len()));
    list.map(Vec::as_slice).ok_or(TopoError::Parameter)
}

/// Entries that name each sub-device once.
fn distinct<T>(entries: Vec<T>, name: impl Fn(&T) -> &SubName) -> Result<Vec<T>, TopoError> {
    let mut names: Vec<_> = entries.iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() == entries.len() { Ok(entries) } else { Err(TopoError::Parameter) }
}

fn names(value: &Value, most: usize) -> Result<Vec<SubName>, TopoError> {
    let names = list(value, most)?.iter().map(SubName::read).collect::<Result<_, _>>()?;
    distinct(names, |name| name)
}

impl TopoAsk {
    /// Whether `rest`, what follows the gateway's names in a topic with this prefix, is one of these requests.
    pub fn is_one(prefix: &str, rest: &str) -> bool {
        matches!(
            (prefix, rest),
            (
                "/sys",
                "/thing/sub/register"
                    | "/thing/proxy/provisioning/product_register"
                    | "/thing/topo/add"
                    | "/thing/topo/delete"
                    | "/thing/topo/get"
                    | "/thing/list/found"
            ) | (
                "/ext/session",
                "/combine/login"
                    | "/combine/batch_login"
                    | "/combine/logout"
                    | "/combine/batch_logout"
            )
        )
    }

    /// Reads the parameters of the request whose topic ends like `topic`.
    ///
    /// # Errors
    /// [`TopoError`]: what the gateway is told.
    pub fn parse(topic: &str, params: &Value) -> Result<Self, TopoError> {
        let ends = |end: &str| topic.ends_with(end);
        let proofs = |entries: &[Value], shared: Option<&str>| {
            let proofs = entries.iter().map(|entry| proof(entry, shared)).collect::<Result<_, _>>();
            distinct(proofs?, |proof: &SubProof| &proof.name)
        };
        if ends("/topo/add") {
            Ok(Self::Add(proofs(list(params, ENTRIES_MAX)?, None)?))
        } else if ends("/topo/delete") {
            Ok(Self::Delete(names(params, ENTRIES_MAX)?))
        } else if ends("/topo/get") {
            Ok(Self::Get)
        } else if ends("/list/found") {
            names(params, ENTRIES_MAX).map(|_| Self::Found)
        } else if ends("/combine/login") {
            Ok(Self::Login(proofs(std::slice::from_ref(params), None)?))
        } else if ends("/combine/batch_login") {
            let shared = params.get("signMethod").and_then(Value::as_str);
            let entries = list(params.get("deviceList").unwrap_or(&Value::Null), LOGINS_MAX)?;
            Ok(Self::Login(proofs(entries, shared)?))
        } else if ends("/combine/logout") {
            Ok(Self::Logout(vec![SubName::read(params)?]))
        } else if ends("/combine/batch_logout") {
            Ok(Self::Logout(names(params, LOGINS_MAX)?))
        } else if ends("/sub/register") {
            Ok(Self::Register(names(params, ENTRIES_MAX)?))
        } else {
            let entries = list(params.get("proxieds").unwrap_or(&Value::Null), ENTRIES_MAX)?;
            let claims = entries.iter().map(claim).collect::<Result<Vec<_>, _>>()?;
            Ok(Self::RegisterSigned(claims))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Request;
    use crate::vectors::vectors;
    use serde_json::json;

    #[test]
    fn proofs_of_every_gateway_sdk_are_right_for_their_secret_alone() {
        let vectors = vectors();
        let secret = vectors["inputs"]["sub_device_secret"].as_str().unwrap();
        let mut seen = 0;
        for case in vectors["gateway"].as_array().unwrap() {
            if case["key"] != "sub_device_secret" {
                continue;
            }
            let request = Request::parse(case["payload"].as_str().unwrap().as_bytes()).unwrap();
            let topic = case["topic"].as_str().unwrap();
            let proofs = match TopoAsk::parse(topic, &request.params) {
                Ok(TopoAsk::Add(proofs) | TopoAsk::Login(proofs)) => proofs,
                other => panic!("{other:?}"),
            };
            let [proof] = &proofs[..] else { panic!("{proofs:?}") };
            assert_eq!(proof.content, case["sign_content"].as_str().unwrap(), "{}", case["id"]);
            assert!(proof.proves(secret) && !proof.proves("another"), "{}", case["id"]);
            seen += 1;
        }
        assert_eq!(seen, 6);
    }

    #[test]
    fn sub_devices_of_every_sdk_prove_the_secret_of_their_product() {
        let vectors = vectors();
        let secret = vectors["inputs"]["sub_product_secret"].as_str().unwrap();
        let mut seen = 0;
        for case in vectors["gateway"].as_array().unwrap() {
            if case["key"] != "sub_product_secret" {
                continue;
            }
            let request = Request::parse(case["payload"].as_str().unwrap().as_bytes()).unwrap();
            let asked = TopoAsk::parse(case["topic"].as_str().unwrap(), &request.params);
            let Ok(TopoAsk::RegisterSigned(claims)) = asked else { panic!("{asked:?}") };
            let [Ok(claim)] = &claims[..] else { panic!("{claims:?}") };
            assert!(claim.proves(secret) && !claim.proves("another"), "{}", case["id"]);
            seen += 1;
        }
        assert_eq!(seen, 2);
    }

    #[test]
    fn requests_are_told_by_their_topic_and_bounded() {
        let sub = |n: usize| {
            let name = format!("sub-{n}");
            json!({"productKey": "a1Sub", "deviceName": name, "clientId": "c", "sign": "00"})
        };
        let many = |n: usize| Value::from((0..n).map(sub).collect::<Vec<_>>());
        let batch = |n: usize| json!({"signMethod": "Sha256", "deviceList": many(n)});
        let parse = |topic: &str, params: &Value| TopoAsk::parse(topic, params);
        let (parameter, name) = (Err(TopoError::Parameter), Err(TopoError::Name));
        assert_eq!(parse("/thing/topo/get", &json!("{}")), Ok(TopoAsk::Get));
        assert_eq!(parse("/thing/list/found", &many(30)), Ok(TopoAsk::Found));
        assert_eq!(
            parse("/thing/list/found", &json!([{"productKey": "p", "deviceName": "x"}])),
            name
        );
        for (topic, most) in
            [("/thing/topo/add", 30), ("/thing/topo/delete", 30), ("/combine/batch_logout", 50)]
        {
            assert!(parse(topic, &many(most)).is_ok(), "{topic}");
            for bad in [
                many(most + 1),
                many(0),
                json!({}),
                Value::Null,
                json!([1]),
                json!([sub(1), sub(1)]),
            ] {
                assert_eq!(parse(topic, &bad), parameter, "{topic} {bad}");
            }
        }
        assert!(parse("/combine/batch_login", &batch(50)).is_ok());
        assert!(parse("/combine/login", &sub(1)).is_ok());
        assert!(parse("/combine/logout", &sub(1)).is_ok());
        let mut strange = sub(1);
        strange["signMethod"] = "hmacsha512".into();
        let mut odd = sub(1);
        odd["timestamp"] = json!([]);
        for bad in [batch(51), batch(0), json!({}), json!([]), strange, odd] {
            assert_eq!(parse("/combine/batch_login", &bad), parameter, "{bad}");
            assert_eq!(parse("/combine/login", &bad), parameter, "{bad}");
        }
        assert_eq!(parse("/thing/sub/register", &many(31)), parameter);
        let register = |n| parse("/thing/sub/register", &many(n));
        assert!(matches!(register(30), Ok(TopoAsk::Register(names)) if names.len() == 30));
        let signed = |params: &Value| parse("/provisioning/product_register", params);
        assert_eq!(signed(&many(1)), parameter);
        assert_eq!(signed(&json!({"proxieds": many(31)})), parameter);
        let Ok(TopoAsk::RegisterSigned(claims)) = signed(&json!({"proxieds": many(2)})) else {
            panic!("two entries that say too little")
        };
        for (claim, name) in claims.into_iter().zip(["sub-0", "sub-1"]) {
            let (sub, error) = claim.unwrap_err();
            assert_eq!((sub.device_name.as_str(), error), (name, RegisterError::Method));
        }
    }

    #[test]
    fn what_a_gateway_hears_names_the_sub_device() {
        let name = SubName {
            product_key: "a1Sub".parse().unwrap(),
            device_name: "sub-1".parse().unwrap(),
        };
        assert_eq!(
            SubEnd::NoSession.to_error(7, &name),
            r#"{"id":"7","code":520,"message":"device session error","data":{"productKey":"a1Sub","deviceName":"sub-1"}}"#
        );
        assert_eq!(names_json(&[]), "[]");
        assert_eq!(
            TopoChange::Disabled.to_message(7, &name),
            r#"{"id":"7","version":"1.0","params":{"status":8,"subList":[{"productKey":"a1Sub","deviceName":"sub-1"}]},"method":"thing.topo.change"}"#
        );
    }
}
