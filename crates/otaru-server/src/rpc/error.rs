//! The two layers of errors: the gateway refuses requests (HTTP 4xx and 5xx), the service refuses acts (HTTP 200).

use otaru_core::refusal::Refusal;

use super::tree::{Fields, Node};

/// A request that never reached its operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct GatewayError {
    /// `Code` in the body. Clients match on it: add codes, never rename one.
    pub code: String,
    pub status: u16,
    pub message: String,
    /// Seconds after which to try again, for the header `x-acs-retry-after`.
    pub retry_after: Option<u32>,
}

impl GatewayError {
    fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), status, message: message.into(), retry_after: None }
    }

    /// A required parameter is absent or empty. Lists are named without `.N`.
    pub fn missing(name: &str) -> Self {
        Self::new(400, format!("Missing{name}"), format!("{name} is mandatory for this action."))
    }

    /// A parameter is not of its type, or stands twice in the request.
    pub fn invalid(name: &str) -> Self {
        let name = shown(name);
        Self::new(
            400,
            format!("Invalid{name}"),
            format!("Specified parameter {name} is not valid."),
        )
    }

    pub fn method() -> Self {
        Self::new(400, "UnsupportedHTTPMethod", "The HTTP method is not supported.")
    }

    pub fn length() -> Self {
        Self::new(400, "ContentLengthDoesNotMatch", "The length of the request is not accepted.")
    }

    pub fn content_md5() -> Self {
        Self::new(400, "ContentMD5NotMatched", "The Content-MD5 does not match the body.")
    }

    pub fn format() -> Self {
        Self::new(400, "InvalidParameter.Format", "Specified parameter format is not valid.")
    }

    pub fn unknown_action() -> Self {
        Self::new(
            404,
            "InvalidAction.NotFound",
            "Specified api is not found, please check your url and method.",
        )
    }

    /// The colon has to stay: an official SDK reads what follows it.
    pub fn incomplete_signature() -> Self {
        Self::new(
            400,
            "IncompleteSignature",
            "signature does not conform to standards. server string to sign is:",
        )
    }

    pub fn signature_method() -> Self {
        Self::new(400, "InvalidSignatureMethod", "Specified signature method is not valid.")
    }

    pub fn timestamp_format() -> Self {
        Self::new(
            400,
            "InvalidTimeStamp.Format",
            "Specified time stamp or date value is not well formatted.",
        )
    }

    pub fn timestamp_expired() -> Self {
        Self::new(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
    }

    pub fn unknown_key() -> Self {
        Self::new(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    }

    pub fn inactive_key() -> Self {
        Self::new(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
    }

    pub fn disabled_account() -> Self {
        Self::new(403, "Forbidden.AccessKeyDisabled", "The account of the access key is disabled.")
    }

    pub fn foreign_token() -> Self {
        Self::new(400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")
    }

    pub fn token_of_other_key() -> Self {
        let message = "Specified SecurityToken mismatch with the AccessKey.";
        Self::new(400, "InvalidSecurityToken.MismatchWithAccessKey", message)
    }

    pub fn token_expired() -> Self {
        Self::new(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
    }

    /// Ends with what the server signed: official SDKs compare it with their own to tell a wrong secret from a
    /// wrong request.
    pub fn signature(string_to_sign: &str) -> Self {
        Self::new(
            400,
            "SignatureDoesNotMatch",
            format!(
                "Specified signature is not matched with our calculation. server string to sign is:{string_to_sign}"
            ),
        )
    }

    pub fn nonce_used() -> Self {
        Self::new(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
    }

    pub fn throttled_user() -> Self {
        let message = "Request was denied due to user flow control.";
        Self { retry_after: Some(1), ..Self::new(400, "Throttling.User", message) }
    }

    pub fn throttled_server() -> Self {
        let message = "Request was denied due to api flow control.";
        Self { retry_after: Some(1), ..Self::new(400, "Throttling.Api", message) }
    }

    pub fn unavailable() -> Self {
        Self::new(
            503,
            "ServiceUnavailable",
            "The request has failed due to a temporary failure of the server.",
        )
    }

    pub fn internal() -> Self {
        Self::new(
            500,
            "InternalError",
            "The request processing has failed due to some unknown error, exception or failure.",
        )
    }

    /// The body. `Success` and `ErrorMessage` stand there too, since the page of `ListOTAJobByDevice` documents them
    /// for gateway codes; SDKs read `Code` and `Message`.
    pub fn into_fields(self, request_id: String, host: &str) -> Fields {
        let error_message = self.message.strip_suffix('.').unwrap_or(&self.message).to_owned();
        vec![
            ("RequestId", Node::Text(request_id)),
            ("HostId", Node::Text(shown(host))),
            ("Code", Node::Text(self.code)),
            ("Message", Node::Text(self.message)),
            ("Success", Node::Boolean(false)),
            ("ErrorMessage", Node::Text(error_message)),
        ]
    }
}

/// The body of a refused act: no data, a code and a sentence.
pub fn refusal_fields(refusal: &Refusal, request_id: String) -> Fields {
    let mut fields = vec![("RequestId", Node::Text(request_id))];
    fields.extend(refused(refusal));
    fields
}

/// The same without the id of the request, for the operations that add what was wrong as data.
pub fn refused(refusal: &Refusal) -> Fields {
    let mut message = refusal.message.to_owned();
    if let Some(detail) = refusal.detail.as_deref().map(shown).filter(|detail| !detail.is_empty()) {
        message.push(' ');
        message.push_str(&detail);
    }
    vec![
        ("Success", Node::Boolean(false)),
        ("Code", Node::Text(refusal.code.to_owned())),
        ("ErrorMessage", Node::Text(message)),
    ]
}

/// Foreign text as it may stand in a message: no control characters, at most 64 characters.
fn shown(text: &str) -> String {
    text.chars().filter(|&c| !c.is_control() && !super::xml::is_forbidden(c)).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
        match fields.iter().find(|(field, _)| *field == name) {
            Some((_, Node::Text(text))) => text,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn a_missing_parameter_is_worded_for_both_kinds_of_clients() {
        let fields = GatewayError::missing("FirmwareId").into_fields("R".into(), "h:1");
        assert_eq!(text(&fields, "Code"), "MissingFirmwareId");
        assert_eq!(text(&fields, "Message"), "FirmwareId is mandatory for this action.");
        assert_eq!(text(&fields, "ErrorMessage"), "FirmwareId is mandatory for this action");
        assert_eq!(text(&fields, "HostId"), "h:1");
        assert!(fields.contains(&("Success", Node::Boolean(false))));
    }

    #[test]
    fn a_detail_is_cut_and_cleaned() {
        let detail = format!("a\n\u{7}b{}", "x".repeat(100));
        let refusal = Refusal { code: "c", message: "No.", detail: Some(detail) };
        let fields = refusal_fields(&refusal, "R".into());
        assert_eq!(text(&fields, "ErrorMessage"), format!("No. ab{}", "x".repeat(62)));
        let bare = Refusal { code: "c", message: "No.", detail: None };
        assert_eq!(text(&refusal_fields(&bare, "R".into()), "ErrorMessage"), "No.");
    }
}
