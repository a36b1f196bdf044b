//! Labels of metrics. They come from closed sets, so that no stranger can make a series of his own.

use super::family::Labels;
use otaru_core::device_http::HttpError;
use otaru_core::registration::RegisterError;
use otaru_core::shadow::ShadowError;

/// A set of values that a label can have.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident $key:literal { $($(#[$why:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$why])* $value,)+
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$value),+];

            /// As it stands in the exposition.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)+
                }
            }
        }

        impl Labels for $name {
            fn all() -> Vec<Self> {
                Self::ALL.to_vec()
            }

            fn index(self) -> usize {
                self as usize
            }

            fn pairs(self) -> Vec<(&'static str, &'static str)> {
                vec![($key, self.as_str())]
            }
        }
    };
}

label! {
    /// Where somebody connects.
    Door "door" {
        Mqtt = "mqtt",
        Http = "http",
    }
}

label! {
    /// Whether a connection of a device was let in already.
    Phase "phase" {
        /// Nobody knows yet who it is.
        Stranger = "stranger",
        Device = "device",
    }
}

label! {
    /// Why a connection of a device ended.
    Ended "reason" {
        /// DISCONNECT.
        Farewell = "farewell",
        /// The peer closed.
        Eof = "eof",
        /// The socket failed.
        Broken = "broken",
        /// Bytes that are no packet of MQTT.
        Malformed = "malformed",
        /// A longer packet was announced than is accepted.
        TooLarge = "too_large",
        /// Well-formed, but not allowed there: another first packet than CONNECT, a second one, `QoS` 2.
        Protocol = "protocol",
        /// The CONNECT was refused: see [`Refused`].
        Refused = "refused",
        /// It doesn't read what it is sent.
        Slow = "slow",
        /// The same device connected again.
        Replaced = "replaced",
        /// The device was disabled or deleted.
        Kicked = "kicked",
        /// Nothing came for longer than the keepalive, or no CONNECT in its time.
        Silent = "silent",
        /// The server stops.
        Shutdown = "shutdown",
        /// A report could not be kept.
        Unkept = "unkept",
        /// Too many strangers were connected, and it was the oldest that had not been let in.
        Evicted = "evicted",
        /// All connections together kept too much, and it kept most.
        Memory = "memory",
    }
}

label! {
    /// Why a connection was closed as soon as it was there.
    Turned "reason" {
        /// Too many new ones from its address.
        Rate = "rate",
        /// Too many from its address that nobody knows yet, or at all.
        Address = "address",
        /// Too many altogether.
        Full = "full",
    }
}

label! {
    /// For whom a connection had to go that had done nothing yet.
    Evicted "reason" {
        /// Another one from its address.
        Address = "address",
        /// Another one.
        Full = "full",
    }
}

label! {
    /// Why a CONNECT was refused.
    Refused "reason" {
        /// A version of MQTT that is not spoken.
        Version = "version",
        /// A client id that is too long, or empty with a session to keep.
        ClientId = "client_id",
        /// A keepalive outside the range.
        Keepalive = "keepalive",
        /// Username, password or parameters of the client id that can't be those of a device.
        Credentials = "credentials",
        /// A way of authentication that is not offered.
        AuthType = "auth_type",
        /// No such device.
        UnknownDevice = "unknown_device",
        /// A signature that the secret of the device doesn't make.
        Signature = "signature",
        /// A device that has to come with a certificate came without.
        NoCertificate = "no_certificate",
        /// A certificate of another device than the CONNECT names, or of one that is to prove its secret.
        Certificate = "certificate",
        Disabled = "disabled",
        /// What MQTT 5.0 has no place for, or this server not.
        Protocol = "protocol",
        /// The store could not say.
        Unavailable = "unavailable",
        /// Disabled or deleted while it was looked up.
        Kicked = "kicked",
        /// It has connected as often in a minute as it may.
        Rate = "rate",
        /// A device that registers itself was turned down: see [`Registered`].
        Registration = "registration",
    }
}

label! {
    /// How a proof or a message of a device by HTTP ended.
    DeviceHttp "outcome" {
        Done = "done",
        Unavailable = "unavailable",
        Parameter = "parameter",
        /// No proof of a secret.
        Auth = "auth",
        TokenExpired = "token_expired",
        NoToken = "no_token",
        /// A token of nobody, or of a device that is gone, disabled or has another secret.
        Token = "token",
        /// To a topic that the device may not use, or not by HTTP.
        Topic = "topic",
        /// No room for its body.
        TooMany = "too_many",
    }
}

impl DeviceHttp {
    pub fn of<T>(outcome: &Result<T, HttpError>) -> Self {
        match outcome {
            Ok(_) => Self::Done,
            Err(HttpError::Common) => Self::Unavailable,
            Err(HttpError::Parameter) => Self::Parameter,
            Err(HttpError::Auth) => Self::Auth,
            Err(HttpError::TokenExpired) => Self::TokenExpired,
            Err(HttpError::NoToken) => Self::NoToken,
            Err(HttpError::Token) => Self::Token,
            Err(HttpError::Publish) => Self::Topic,
            Err(HttpError::TooMany) => Self::TooMany,
        }
    }
}

label! {
    /// What became of a device that registers itself.
    Registered "outcome" {
        Done = "done",
        Parameter = "parameter",
        Internal = "internal",
        NoDevice = "no_device",
        Disabled = "disabled",
        NoProduct = "no_product",
        Off = "off",
        Active = "active",
        Method = "method",
        Sign = "sign",
        BoundElsewhere = "bound_elsewhere",
        TooMany = "too_many",
    }
}

impl From<Option<RegisterError>> for Registered {
    fn from(error: Option<RegisterError>) -> Self {
        match error {
            None => Self::Done,
            Some(RegisterError::Parameter) => Self::Parameter,
            Some(RegisterError::Internal) => Self::Internal,
            Some(RegisterError::NoDevice) => Self::NoDevice,
            Some(RegisterError::Disabled) => Self::Disabled,
            Some(RegisterError::NoProduct) => Self::NoProduct,
            Some(RegisterError::Off) => Self::Off,
            Some(RegisterError::Active) => Self::Active,
            Some(RegisterError::Method) => Self::Method,
            Some(RegisterError::Sign) => Self::Sign,
            Some(RegisterError::BoundElsewhere) => Self::BoundElsewhere,
            Some(RegisterError::TooMany) => Self::TooMany,
        }
    }
}

label! {
    /// With which code a message of a device to its shadow was answered.
    ShadowRefused "code" {
        Json = "400",
        NoMethod = "401",
        NoState = "402",
        Version = "403",
        NoReported = "404",
        EmptyReported = "405",
        Method = "406",
        Empty = "407",
        TooMany = "408",
        Conflict = "409",
    }
}

impl From<ShadowError> for ShadowRefused {
    fn from(error: ShadowError) -> Self {
        match error {
            ShadowError::Json => Self::Json,
            ShadowError::NoMethod => Self::NoMethod,
            ShadowError::NoState => Self::NoState,
            ShadowError::Version => Self::Version,
            ShadowError::NoReported => Self::NoReported,
            ShadowError::EmptyReported => Self::EmptyReported,
            ShadowError::Method => Self::Method,
            ShadowError::Empty => Self::Empty,
            ShadowError::TooMany => Self::TooMany,
            ShadowError::Conflict => Self::Conflict,
        }
    }
}

label! {
    /// Why a message went nowhere.
    Dropped "reason" {
        /// From a device, to a topic that is not its own.
        Foreign = "foreign_topic",
        /// From a device, to a topic of its own that nobody hears.
        Unheard = "unheard_topic",
        /// From a device, to a topic of its own that no class of its product lets it publish to.
        NotAllowed = "not_allowed",
        /// From a device, no report or request of the form that its topic asks for.
        Malformed = "malformed",
        /// To a device that is not connected.
        Offline = "offline",
        /// To a device that has not subscribed to the topic.
        NotSubscribed = "not_subscribed",
        /// To a device, when its time is over.
        Expired = "expired",
        /// To a device that said that it takes no packets so long.
        TooLarge = "too_large",
        /// To a device that doesn't read: its connection is given up.
        Slow = "slow",
        /// To a device for which, or for all, as many wait as may.
        Full = "full",
        /// At QoS 0, beyond what the device may say or hear.
        Rate = "rate",
        /// From a device, to a topic of its own with more bytes or slashes than may be.
        Topic = "topic",
    }
}

label! {
    /// Why a device is not read, or not written to, for a moment.
    Delayed "reason" {
        /// Its reports wait for their commit.
        Reports = "reports",
        /// Its messages wait for their acknowledgement.
        Acknowledgements = "acknowledgements",
        /// It has said or heard as much as it may.
        Rate = "rate",
    }
}

label! {
    /// How a connection to the HTTP listener ended.
    HttpEnded "reason" {
        /// In order.
        Done = "done",
        /// Too many were open, and it had no request under way.
        Evicted = "evicted",
        /// No whole head came in its time.
        HeadTimeout = "head_timeout",
        /// A head that is longer than hyper reads.
        HeadTooLarge = "head_too_large",
        /// Bytes that are no HTTP.
        Malformed = "malformed",
        /// It took nothing of an answer in its time, or too little.
        Stalled = "stalled",
        /// The peer closed in the middle, or the socket failed.
        Broken = "broken",
    }
}

label! {
    /// Why the body of a request did not come in.
    BodyCut "reason" {
        /// It brought nothing in its time, or too little.
        Slow = "slow",
        /// All bodies together took as much as they may.
        Full = "full",
    }
}

label! {
    /// What the two sides of a TLS handshake agreed on.
    TlsKind "kind" {
        Tls13 = "tls13",
        /// TLS 1.2 with forward secrecy.
        Ecdhe = "tls12_ecdhe",
        /// TLS 1.2 with key exchange by RSA, as the old C SDKs do it.
        Rsa = "tls12_rsa",
        /// TLS 1.2 with a key that comes of the device's secret.
        Psk = "tls12_psk",
    }
}

label! {
    /// Why a TLS handshake failed.
    TlsFailed "reason" {
        /// It was not over in its time.
        Timeout = "timeout",
        /// Too many others were under way for all of its time.
        Busy = "busy",
        /// The peer closed.
        Eof = "eof",
        /// The socket failed.
        Broken = "broken",
        /// What came is no TLS.
        NotTls = "not_tls",
        /// An older version than 1.2.
        Version = "version",
        /// No suite that both sides have.
        Suite = "suite",
        /// The peer doesn't trust our certificate.
        Distrusted = "distrusted",
        /// No such device, or a key that doesn't come of its secret.
        Psk = "psk",
        /// The device's certificate comes of no CA that is trusted for devices, or is for something else.
        ClientUntrusted = "client_untrusted",
        /// It is not valid yet, or not any more.
        ClientExpired = "client_expired",
        /// It was revoked.
        ClientRevoked = "client_revoked",
        Other = "other",
    }
}

label! {
    /// Code of a refusal by the file doors.
    FileCode "code" {
        MalformedPost = "MalformedPOSTRequest",
        FileCount = "IncorrectNumberOfFilesInPOSTRequest",
        LongField = "FieldItemTooLong",
        UnknownKey = "InvalidAccessKeyId",
        Signature = "SignatureDoesNotMatch",
        Denied = "AccessDenied",
        TooLarge = "EntityTooLarge",
        NoSuchKey = "NoSuchKey",
        Method = "MethodNotAllowed",
        Range = "InvalidRange",
        Timeout = "RequestTimeout",
        Unavailable = "ServiceUnavailable",
        Other = "other",
    }
}

label! {
    /// Code of a gateway error of the signed API. Those that end with the name of a parameter are one each.
    RpcCode "code" {
        Missing = "Missing*",
        Invalid = "Invalid*",
        Method = "UnsupportedHTTPMethod",
        Length = "ContentLengthDoesNotMatch",
        ContentMd5 = "ContentMD5NotMatched",
        Format = "InvalidParameter.Format",
        UnknownAction = "InvalidAction.NotFound",
        IncompleteSignature = "IncompleteSignature",
        SignatureMethod = "InvalidSignatureMethod",
        TimestampFormat = "InvalidTimeStamp.Format",
        TimestampExpired = "InvalidTimeStamp.Expired",
        UnknownKey = "InvalidAccessKeyId.NotFound",
        InactiveKey = "InvalidAccessKeyId.Inactive",
        DisabledAccount = "Forbidden.AccessKeyDisabled",
        ForeignToken = "InvalidSecurityToken.Malformed",
        TokenOfOtherKey = "InvalidSecurityToken.MismatchWithAccessKey",
        TokenExpired = "InvalidSecurityToken.Expired",
        Signature = "SignatureDoesNotMatch",
        NonceUsed = "SignatureNonceUsed",
        ThrottledUser = "Throttling.User",
        ThrottledServer = "Throttling.Api",
        Unavailable = "ServiceUnavailable",
        Internal = "InternalError",
        Other = "other",
    }
}

impl FileCode {
    pub fn of(code: &str) -> Self {
        Self::ALL.iter().copied().find(|known| known.as_str() == code).unwrap_or(Self::Other)
    }
}

impl RpcCode {
    pub fn of(code: &str) -> Self {
        let exact = Self::ALL.iter().copied().find(|known| known.as_str() == code);
        exact.unwrap_or(match code {
            _ if code.starts_with("Missing") => Self::Missing,
            _ if code.starts_with("Invalid") => Self::Invalid,
            _ => Self::Other,
        })
    }
}

impl<A: Labels, B: Labels> Labels for (A, B) {
    fn all() -> Vec<Self> {
        A::all().into_iter().flat_map(|a| B::all().into_iter().map(move |b| (a, b))).collect()
    }

    fn index(self) -> usize {
        self.0.index() * B::all().len() + self.1.index()
    }

    fn pairs(self) -> Vec<(&'static str, &'static str)> {
        [self.0.pairs(), self.1.pairs()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::DoorError;
    use crate::rpc::error::GatewayError;

    #[test]
    fn every_refusal_of_the_file_doors_has_its_series() {
        for error in [
            DoorError::malformed(),
            DoorError::file_count(),
            DoorError::long_field(),
            DoorError::unknown_key_id(),
            DoorError::wrong_signature(),
            DoorError::policy(""),
            DoorError::expired_url(),
            DoorError::too_large(1),
            DoorError::no_such_key(),
            DoorError::method(),
            DoorError::range(1),
            DoorError::unavailable(),
            DoorError::timeout(),
        ] {
            assert_eq!(FileCode::of(error.code).as_str(), error.code);
        }
        assert_eq!(FileCode::of("NewCode"), FileCode::Other);
    }

    #[test]
    fn every_refusal_of_a_shadow_is_counted_under_the_code_that_the_device_gets() {
        for error in ShadowError::ALL {
            assert_eq!(ShadowRefused::from(error).as_str(), error.code().to_string());
        }
    }

    #[test]
    fn no_caller_can_make_a_series_by_naming_a_parameter() {
        for (error, want) in [
            (GatewayError::missing("FirmwareId"), "Missing*"),
            (GatewayError::invalid("whatever a caller repeats"), "Invalid*"),
            (GatewayError::method(), "UnsupportedHTTPMethod"),
            (GatewayError::length(), "ContentLengthDoesNotMatch"),
            (GatewayError::content_md5(), "ContentMD5NotMatched"),
            (GatewayError::format(), "InvalidParameter.Format"),
            (GatewayError::unknown_action(), "InvalidAction.NotFound"),
            (GatewayError::incomplete_signature(), "IncompleteSignature"),
            (GatewayError::signature_method(), "InvalidSignatureMethod"),
            (GatewayError::timestamp_format(), "InvalidTimeStamp.Format"),
            (GatewayError::timestamp_expired(), "InvalidTimeStamp.Expired"),
            (GatewayError::unknown_key(), "InvalidAccessKeyId.NotFound"),
            (GatewayError::inactive_key(), "InvalidAccessKeyId.Inactive"),
            (GatewayError::disabled_account(), "Forbidden.AccessKeyDisabled"),
            (GatewayError::foreign_token(), "InvalidSecurityToken.Malformed"),
            (GatewayError::token_of_other_key(), "InvalidSecurityToken.MismatchWithAccessKey"),
            (GatewayError::token_expired(), "InvalidSecurityToken.Expired"),
            (GatewayError::signature("x"), "SignatureDoesNotMatch"),
            (GatewayError::nonce_used(), "SignatureNonceUsed"),
            (GatewayError::throttled_user(), "Throttling.User"),
            (GatewayError::throttled_server(), "Throttling.Api"),
            (GatewayError::unavailable(), "ServiceUnavailable"),
            (GatewayError::internal(), "InternalError"),
        ] {
            assert_eq!(RpcCode::of(&error.code).as_str(), want, "{}", error.code);
        }
        assert_eq!(RpcCode::of("Strange"), RpcCode::Other);
    }
}
