use otaru_core::signature::rpc::v1_sign;

use super::*;
use crate::rpc::auth::{AccessKey, KeyStatus, Temporary};
use crate::rpc::client::{Credentials, Moment, Signed, Signing, sign};

const NOW: Timestamp = Timestamp(1_767_323_045_000); // 2026-01-02T03:04:05Z
const HOST: &str = "127.0.0.1:8080";

fn key(status: KeyStatus) -> AccessKey {
    AccessKey { secret: "secret".into(), status, temporary: None, token_is_ours: false }
}

fn signed(signing: Signing, params: &[(&str, &str)]) -> Signed {
    let credentials = Credentials {
        access_key_id: "id".into(),
        access_key_secret: "secret".into(),
        security_token: None,
    };
    let params: Vec<_> =
        params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let moment = Moment { now: NOW, nonce: "nonce" };
    sign(signing, &credentials, HOST, "QueryOTAJob", &params, Format::Json, moment)
}

/// The code that a request ends with when its key is `status`, or `ok`.
fn code_with(request: &Signed, now: Timestamp, status: Option<KeyStatus>) -> String {
    let (_, checked) = check(&request.incoming(), now);
    let key = status.map(key);
    match checked.and_then(|checked| checked.claim.verify(key.as_ref(), now)) {
        Ok(()) => "ok".into(),
        Err(error) => error.code,
    }
}

fn code(request: &Signed) -> String {
    code_with(request, NOW, Some(KeyStatus::Active))
}

/// A v1 request with a parameter changed (`Some`) or left out (`None`), unsigned from then on.
fn v1_with(changes: &[(&str, Option<&str>)]) -> Signed {
    let mut request = signed(Signing::V1, &[("JobId", "j")]);
    let body = String::from_utf8(request.body).unwrap();
    let mut pairs: Vec<(String, String)> = body
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for (name, value) in changes {
        pairs.retain(|(given, _)| given != name);
        pairs.extend(value.map(|value| ((*name).to_owned(), value.to_owned())));
    }
    let body: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    request.body = body.join("&").into_bytes();
    request
}

/// A v3 request with a header changed or left out.
fn v3_with(changes: &[(&str, Option<&str>)]) -> Signed {
    let mut request = signed(Signing::V3, &[("JobId", "j")]);
    for (name, value) in changes {
        request.headers.retain(|(given, _)| given != name);
        request.headers.extend(value.map(|value| ((*name).to_owned(), value.to_owned())));
    }
    request
}

fn authorization(replace: impl Fn(&str) -> String) -> Signed {
    let request = v3_with(&[]);
    let header = request.headers.iter().find(|(name, _)| name == "authorization");
    v3_with(&[("authorization", Some(&replace(&header.unwrap().1)))])
}

#[test]
fn both_signatures_of_our_own_client_verify() {
    for signing in [Signing::V1, Signing::V3] {
        let params = [("JobId", "j"), ("Note", "a b*c~d/固件+'&=%")];
        let request = signed(signing, &params);
        assert_eq!(code(&request), "ok", "{signing:?}");
        let (format, checked) = check(&request.incoming(), NOW);
        let checked = checked.unwrap();
        assert_eq!(format, Format::Json);
        assert_eq!(checked.params.get("Note"), Some(params[1].1));
        assert_eq!(checked.op.action, "QueryOTAJob");
    }
}

#[test]
fn parameters_may_stand_in_the_query_of_a_get() {
    let mut request = v1_with(&[("Signature", None)]);
    let form = String::from_utf8(std::mem::take(&mut request.body)).unwrap();
    request.method = "GET";
    let params = Params::parse(&form, None).unwrap();
    let text = otaru_core::signature::rpc::v1_string_to_sign("GET", params.all());
    let signature = otaru_core::signature::enc(&v1_sign("secret", &text));
    request.target = format!("/?{form}&Signature={signature}");
    assert_eq!(code(&request), "ok");
}

#[test]
fn each_fault_of_a_v1_request_has_its_code() {
    let cases: &[(&[(&str, Option<&str>)], &str)] = &[
        (&[("Action", None), ("Version", None)], "MissingAction"),
        (&[("Action", Some(""))], "MissingAction"),
        (&[("Version", None), ("Format", Some("yaml"))], "MissingVersion"),
        (&[("Version", Some("2018-01-21")), ("Action", Some("x"))], "InvalidVersion"),
        (&[("Action", Some("queryOTAJob"))], "InvalidAction.NotFound"),
        (&[("Format", Some("yaml")), ("AccessKeyId", None)], "InvalidParameter.Format"),
        (&[("X", Some("1&X=2")), ("AccessKeyId", None)], "InvalidX"),
        (&[("AccessKeyId", None), ("SignatureMethod", None)], "MissingAccessKeyId"),
        (&[("SignatureMethod", Some("HMAC-SHA256"))], "InvalidSignatureMethod"),
        (&[("SignatureMethod", None)], "MissingSignatureMethod"),
        (&[("SignatureVersion", None)], "MissingSignatureVersion"),
        (&[("SignatureVersion", Some("2.0"))], "InvalidSignatureVersion"),
        (&[("SignatureType", Some("BEARERTOKEN"))], "InvalidSignatureType"),
        (&[("Timestamp", None), ("SignatureNonce", None)], "MissingTimestamp"),
        (&[("Timestamp", Some("2026-01-02T03:04:05"))], "InvalidTimeStamp.Format"),
        (&[("Timestamp", Some("2026-01-02T03:19:06Z"))], "InvalidTimeStamp.Expired"),
        (&[("Timestamp", Some("2026-01-02T02:49:04Z"))], "InvalidTimeStamp.Expired"),
        (&[("SignatureNonce", None), ("Signature", None)], "MissingSignatureNonce"),
        (&[("Signature", None)], "MissingSignature"),
        (&[("SecurityToken", Some("t"))], "InvalidSecurityToken.Malformed"),
        (&[("JobId", Some("k"))], "SignatureDoesNotMatch"),
        (&[("Extra", Some(""))], "SignatureDoesNotMatch"),
        (&[("Signature", Some("AAAA"))], "SignatureDoesNotMatch"),
        (&[("Broken", Some("%zz"))], "InvalidParameter.Format"),
    ];
    for (changes, want) in cases {
        assert_eq!(code(&v1_with(changes)), *want, "{changes:?}");
    }
}

#[test]
fn each_fault_of_a_v3_request_has_its_code() {
    let cases: &[(Signed, &str)] = &[
        (v3_with(&[("x-acs-action", None)]), "MissingAction"),
        (v3_with(&[("x-acs-version", Some(" "))]), "MissingVersion"),
        (v3_with(&[("x-acs-version", Some("1"))]), "InvalidVersion"),
        (v3_with(&[("x-acs-action", Some("Nope"))]), "InvalidAction.NotFound"),
        (authorization(|_| "ACS3-HMAC-SHA256".into()), "MissingAccessKeyId"),
        (authorization(|all| all.replace("Credential=id", "Credential=")), "MissingAccessKeyId"),
        (authorization(|all| all.replace("Signature=", "Sig=")), "IncompleteSignature"),
        (authorization(|all| all.replace("SignedHeaders=", "Headers=")), "IncompleteSignature"),
        (authorization(|all| all.replace("SHA256", "SM3")), "InvalidSignatureMethod"),
        (v3_with(&[("x-acs-date", None)]), "MissingTimestamp"),
        (v3_with(&[("x-acs-date", Some("now"))]), "InvalidTimeStamp.Format"),
        (v3_with(&[("x-acs-signature-nonce", None)]), "MissingSignatureNonce"),
        (v3_with(&[("x-acs-security-token", Some("t"))]), "InvalidSecurityToken.Malformed"),
        (v3_with(&[("x-acs-content-sha256", Some("00"))]), "SignatureDoesNotMatch"),
        (v3_with(&[("x-acs-extra", Some("1"))]), "SignatureDoesNotMatch"),
        (v3_with(&[("x-acs-signature-nonce", Some("other"))]), "SignatureDoesNotMatch"),
        (authorization(|all| all.replace(";host", "")), "SignatureDoesNotMatch"),
        (v3_with(&[("host", Some("elsewhere"))]), "SignatureDoesNotMatch"),
    ];
    for (request, want) in cases {
        assert_eq!(code(request), *want, "{:?}", request.headers);
    }
    let mut request = v3_with(&[]);
    request.body.extend(b"&More=1");
    assert_eq!(code(&request), "SignatureDoesNotMatch");
}

#[test]
fn a_request_is_in_time_up_to_a_quarter_of_an_hour_either_way() {
    let request = v1_with(&[]);
    for (shift_ms, want) in [
        (900_000, "ok"),
        (-900_000, "ok"),
        (900_001, "InvalidTimeStamp.Expired"),
        (-900_001, "InvalidTimeStamp.Expired"),
    ] {
        let now = NOW.plus_ms(shift_ms);
        assert_eq!(code_with(&request, now, Some(KeyStatus::Active)), want, "{shift_ms}");
    }
}

#[test]
fn the_key_is_looked_at_before_the_signature() {
    let request = v1_with(&[("Signature", Some("AAAA")), ("SecurityToken", Some("t"))]);
    for (status, want) in [
        (None, "InvalidAccessKeyId.NotFound"),
        (Some(KeyStatus::Inactive), "InvalidAccessKeyId.Inactive"),
        (Some(KeyStatus::AccountDisabled), "Forbidden.AccessKeyDisabled"),
        (Some(KeyStatus::Active), "InvalidSecurityToken.Malformed"),
    ] {
        assert_eq!(code_with(&request, NOW, status), want);
    }
}

#[test]
fn a_temporary_key_needs_its_own_token_while_it_lasts() {
    let temporary = |token_is_ours| AccessKey {
        temporary: Some(Temporary { token: "t".into(), expires_at: NOW.plus_ms(1) }),
        token_is_ours,
        ..key(KeyStatus::Active)
    };
    let permanent = |token_is_ours| AccessKey { token_is_ours, ..key(KeyStatus::Active) };
    for (token, key, later_ms, want) in [
        (None, temporary(false), 0, "MissingSecurityToken"),
        (Some("x"), temporary(false), 0, "InvalidSecurityToken.Malformed"),
        (Some("u"), temporary(true), 0, "InvalidSecurityToken.MismatchWithAccessKey"),
        (Some("u"), permanent(true), 0, "InvalidSecurityToken.MismatchWithAccessKey"),
        (Some("x"), permanent(false), 0, "InvalidSecurityToken.Malformed"),
        (Some("t"), temporary(true), 1, "InvalidSecurityToken.Expired"),
        // The token fits, so the signature is what is wrong.
        (Some("t"), temporary(true), 0, "SignatureDoesNotMatch"),
    ] {
        for request in [
            v1_with(&[("SecurityToken", token), ("Signature", Some("AAAA"))]),
            v3_with(&[
                ("x-acs-security-token", token),
                ("x-acs-date", Some("2026-01-02T03:04:06Z")),
            ]),
        ] {
            let now = NOW.plus_ms(later_ms);
            let claim = check(&request.incoming(), now).1.unwrap().claim;
            assert_eq!(claim.verify(Some(&key), now).unwrap_err().code, want, "{token:?}");
        }
    }
}

#[test]
fn form_and_size_are_looked_at_before_anything_else() {
    let plain = || Signed {
        method: "GET",
        target: "/?A=%".into(),
        headers: vec![("host".into(), HOST.into())],
        body: vec![],
    };
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut cases = Vec::new();
    cases.push((
        Signed { method: "PUT", body: vec![0; BODY_BYTES_MAX + 1], ..plain() },
        "UnsupportedHTTPMethod",
    ));
    cases.push((
        Signed { body: vec![0; BODY_BYTES_MAX + 1], ..plain() },
        "ContentLengthDoesNotMatch",
    ));
    let target = format!("/?A={}", "x".repeat(HEAD_BYTES_MAX));
    cases.push((Signed { target, ..plain() }, "ContentLengthDoesNotMatch"));
    let headers = vec![header("content-length", "3"), header("Content-MD5", "x")];
    cases.push((Signed { headers, ..plain() }, "ContentLengthDoesNotMatch"));
    cases.push((
        Signed { headers: vec![header("Content-MD5", "x")], ..plain() },
        "ContentMD5NotMatched",
    ));
    let headers = vec![header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
    cases.push((Signed { headers, ..plain() }, "InvalidParameter.Format"));
    for (request, want) in cases {
        assert_eq!(code(&request), want);
    }
}

#[test]
fn an_error_is_printed_in_the_format_that_was_asked_for() {
    let format = |request: &Signed| check(&request.incoming(), NOW).0;
    assert_eq!(format(&v1_with(&[("Format", None)])), Format::Xml);
    assert_eq!(format(&v1_with(&[("Format", Some("yaml"))])), Format::Xml);
    assert_eq!(format(&v1_with(&[("Format", Some("json")), ("Action", None)])), Format::Json);
    assert_eq!(format(&v1_with(&[("Format", Some("Xml"))])), Format::Xml);
    let mut broken = v3_with(&[]);
    broken.body = b"A=%".to_vec();
    assert_eq!(format(&broken), Format::Json);

    let error = GatewayError::throttled_user();
    let answer = Answer::error(Format::Xml, error, "R".into(), "h");
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.headers,
        [
            ("Content-Type", "text/xml;charset=utf-8".to_owned()),
            ("x-acs-retry-after", "1".to_owned())
        ]
    );
    assert_eq!(
        answer.body,
        "<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>R</RequestId><HostId>h</HostId>\
         <Code>Throttling.User</Code><Message>Request was denied due to user flow control.</Message>\
         <Success>false</Success><ErrorMessage>Request was denied due to user flow control</ErrorMessage></Error>"
    );
}

#[test]
fn a_wrong_signature_is_answered_with_what_was_signed() {
    let request = v1_with(&[("Signature", Some("AAAA"))]);
    let (_, checked) = check(&request.incoming(), NOW);
    let error = checked.unwrap().claim.verify(Some(&key(KeyStatus::Active)), NOW).unwrap_err();
    let (_, text) = error.message.split_once(':').expect("SDKs look for the colon");
    assert!(text.starts_with("POST&%2F&AccessKeyId%3Did%26Action%3DQueryOTAJob"), "{text}");
}

#[test]
fn request_ids_are_upper_case_uuids() {
    assert_eq!(request_id(0), "00000000-0000-4000-8000-000000000000");
    assert_eq!(request_id(u128::MAX), "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF");
}
