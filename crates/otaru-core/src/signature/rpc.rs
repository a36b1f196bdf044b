//! The two signatures of the cloud API: version 1.0 (HMAC-SHA1 over all parameters) and `ACS3-HMAC-SHA256` (over the
//! request as it is sent). Source: the public API reference, request signatures.

use base64::Engine;

use super::{enc, hmac_sha1, hmac_sha256, sha256_hex};

/// The algorithm token that opens the `Authorization` header of a v3 signature.
pub const V3_ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// What a v1 signature signs: all decoded parameters of query and body but `Signature`, empty ones included.
/// `method` is upper case; `params` may come in any order.
pub fn v1_string_to_sign<'a>(
    method: &str,
    params: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut params: Vec<_> = params.into_iter().filter(|(name, _)| *name != "Signature").collect();
    params.sort_unstable();
    format!("{method}&%2F&{}", enc(&canonical_pairs(&params)))
}

/// The value of the parameter `Signature`.
pub fn v1_sign(access_key_secret: &str, string_to_sign: &str) -> String {
    let key = format!("{access_key_secret}&");
    base64::engine::general_purpose::STANDARD
        .encode(hmac_sha1(key.as_bytes(), string_to_sign.as_bytes()))
}

/// What a v3 signature is computed over: the request as it travels.
#[derive(Debug, Clone, Copy)]
pub struct V3Request<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Decoded parameters of the query, in any order; those of a form body are signed through `payload_sha256`.
    pub query: &'a [(String, String)],
    /// Every header of the request. Names are compared without case; a header may occur more than once.
    pub headers: &'a [(String, String)],
    /// Names of the signed headers as the request lists them, separated by `;`.
    pub signed_headers: &'a str,
    /// Lower-case hex SHA-256 of the body.
    pub payload_sha256: &'a str,
}

impl V3Request<'_> {
    /// The canonical request. A signed header that the request lacks stands there empty, so it can't verify by
    /// being left out.
    pub fn canonical(&self) -> String {
        let mut query: Vec<_> =
            self.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        query.sort_unstable();
        let mut names: Vec<_> =
            self.signed_headers.split(';').map(|name| name.trim().to_ascii_lowercase()).collect();
        names.sort_unstable();
        // A name that is listed a thousand times would otherwise copy its header a thousand times.
        names.dedup();
        let mut headers = String::new();
        for name in &names {
            headers.extend([name, ":", &self.header(name), "\n"]);
        }
        format!(
            "{}\n/\n{}\n{headers}\n{}\n{}",
            self.method,
            canonical_pairs(&query),
            names.join(";"),
            self.payload_sha256
        )
    }

    /// What the secret signs.
    pub fn string_to_sign(&self) -> String {
        format!("{V3_ALGORITHM}\n{}", sha256_hex(self.canonical().as_bytes()))
    }

    fn header(&self, name: &str) -> String {
        let mut values: Vec<_> = self
            .headers
            .iter()
            .filter(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect();
        values.sort_unstable();
        values.join(",")
    }
}

/// The value after `Signature=` in the `Authorization` header: lower-case hex.
pub fn v3_sign(access_key_secret: &str, string_to_sign: &str) -> String {
    hex::encode(hmac_sha256(access_key_secret.as_bytes(), string_to_sign.as_bytes()))
}

fn canonical_pairs(sorted: &[(&str, &str)]) -> String {
    sorted
        .iter()
        .map(|(name, value)| format!("{}={}", enc(name), enc(value)))
        .collect::<Vec<_>>()
        .join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "testAccessKeySecret";
    const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// Vector A without `Format`, whose spelling differs between clients.
    const CREATE_FIRMWARE: &[(&str, &str)] = &[
        ("Action", "CreateOTAFirmware"),
        ("Version", "2018-01-20"),
        ("AccessKeyId", "testAccessKeyId"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", "5d41402a-bc4b-4a76-b971-9d911017c592"),
        ("Timestamp", "2026-01-02T03:04:05Z"),
        ("RegionId", "cn-shanghai"),
        ("FirmwareName", "fw(1)"),
        ("DestVersion", "1.0.0"),
        ("FirmwareDesc", "a b*c~d/固件+'"),
        ("NeedToVerify", "true"),
        ("Signature", "is not signed"),
    ];

    fn v1(method: &str, params: &[(&str, &str)]) -> String {
        v1_sign(SECRET, &v1_string_to_sign(method, params.iter().copied()))
    }

    #[test]
    fn vector_a_signs_as_the_public_clients_do() {
        let params: Vec<_> = [CREATE_FIRMWARE, &[("Format", "json")]].concat();
        let want = "GET&%2F&AccessKeyId%3DtestAccessKeyId%26Action%3DCreateOTAFirmware%26DestVersion%3D1.0.0\
            %26FirmwareDesc%3Da%2520b%252Ac~d%252F%25E5%259B%25BA%25E4%25BB%25B6%252B%2527%26FirmwareName%3Dfw\
            %25281%2529%26Format%3Djson%26NeedToVerify%3Dtrue%26RegionId%3Dcn-shanghai%26SignatureMethod%3DHMAC\
            -SHA1%26SignatureNonce%3D5d41402a-bc4b-4a76-b971-9d911017c592%26SignatureVersion%3D1.0%26Timestamp%3D\
            2026-01-02T03%253A04%253A05Z%26Version%3D2018-01-20";
        assert_eq!(v1_string_to_sign("GET", params.iter().copied()), want);
        assert_eq!(v1("GET", &params), "+wRJy1zrYrjAnlWhb9zvj0txSkk=");
        assert_eq!(v1("POST", &params), "H4vGR5A16xT3X8wequ9uwAzf/lo=");
    }

    #[test]
    fn vector_b_signs_the_empty_parameter_too() {
        let params: Vec<_> =
            [CREATE_FIRMWARE, &[("Format", "JSON"), ("SignatureType", "")]].concat();
        let text = v1_string_to_sign("POST", params.iter().copied());
        assert!(
            text.contains("9d911017c592%26SignatureType%3D%26SignatureVersion%3D1.0"),
            "{text}"
        );
        assert_eq!(v1("POST", &params), "mv/5ayQIFTuKXgqLN8Qjx6dpb1E=");
    }

    #[test]
    fn vector_c_signs_lists_and_the_token_of_a_temporary_key() {
        let params = [
            ("Action", "BatchCheckDeviceNames"),
            ("Version", "2018-01-20"),
            ("Format", "JSON"),
            ("AccessKeyId", "testAccessKeyId"),
            ("SecurityToken", "testSecurityToken"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", "5d41402a-bc4b-4a76-b971-9d911017c592"),
            ("Timestamp", "2026-01-02T03:04:05Z"),
            ("ProductKey", "a1Le6d0xxxx"),
            ("DeviceName.1", "dev1"),
            ("DeviceName.2", "dev 2"),
        ];
        assert_eq!(v1("POST", &params), "t87rw1NiJWbvdW2vGgvNaftReEw=");
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Hash of the canonical request and signature.
    fn v3(
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        signed: &str,
        payload: &str,
    ) -> (String, String) {
        let request = V3Request {
            method: "POST",
            query: &pairs(query),
            headers: &pairs(headers),
            signed_headers: signed,
            payload_sha256: payload,
        };
        let hash = sha256_hex(request.canonical().as_bytes());
        (hash, v3_sign(SECRET, &request.string_to_sign()))
    }

    #[test]
    fn vector_d_signs_the_query_and_the_headers() {
        let (hash, signature) = v3(
            &[
                ("ProductKey", "a1Le6d0xxxx"),
                ("FirmwareId", "nx3xxVvFdwvn6dim50PY030100"),
                ("NeedPush", "True"),
                ("Tag.1.Key", "key1"),
                ("Tag.1.Value", "v 1*/~"),
                ("TargetDeviceName.1", "dev1"),
                ("TargetDeviceName.2", "dev2"),
                ("TargetSelection", "SPECIFIC"),
            ],
            &[
                ("Host", "iot.cn-shanghai.aliyuncs.com"),
                ("User-Agent", "not signed"),
                ("x-acs-version", "2018-01-20"),
                ("x-acs-action", "CreateOTAStaticUpgradeJob"),
                ("x-acs-content-sha256", EMPTY_SHA256),
                ("x-acs-date", " 2026-01-02T03:04:05Z "),
                ("x-acs-signature-nonce", "5d41402abc4b4a76b9719d911017c592"),
            ],
            "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version",
            EMPTY_SHA256,
        );
        assert_eq!(hash, "ca9af4ecbff2e34c3f572865867cc8d87333ca9f8dbc6f4528184e8fc47bd1cf");
        assert_eq!(signature, "5669dfafb8dca6d5becb868a6adc84494c744ca851a8141c7bbcb963c7160e1f");
    }

    #[test]
    fn vector_e_signs_a_form_body_with_either_set_of_headers() {
        let payload = sha256_hex(b"MessageContent=aGVsbG8gd29ybGQ%2B%2Fw%3D%3D");
        assert_eq!(payload, "ee98a461f1f9ef573d8e096946d30366dcd6fab02f8f71326542c08899b7b728");
        let query = [
            ("ProductKey", "a1Le6d0xxxx"),
            ("TopicFullName", "/a1Le6d0xxxx/dev1/user/get"),
            ("Qos", "1"),
        ];
        let headers = [
            ("accept", "application/json"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", "iot.cn-shanghai.aliyuncs.com"),
            ("user-agent", "demo/1.0"),
            ("x-acs-accesskey-id", "testAccessKeyId"),
            ("x-acs-action", "Pub"),
            ("x-acs-content-sha256", &payload),
            ("x-acs-date", "2026-01-02T03:04:05Z"),
            ("x-acs-security-token", "testSecurityToken"),
            ("x-acs-signature-nonce", "5d41402abc4b4a76b9719d911017c592"),
            ("x-acs-version", "2018-01-20"),
        ];
        let all = headers.map(|(name, _)| name);
        let (hash, signature) = v3(&query, &headers, &all.join(";"), &payload);
        assert_eq!(hash, "d9ada96c4f2e2d3ae3b2d87946cd97ad3f9480f2c7dada155b90dbb53ff61a1c");
        assert_eq!(signature, "838a63f2a273afbd29fbf1c14bb664129b885efa06fee7dae002e8c5b026c9d8");

        let node: Vec<_> =
            all.into_iter().filter(|name| !["accept", "user-agent"].contains(name)).collect();
        let (_, signature) = v3(&query, &headers, &node.join(";"), &payload);
        assert_eq!(signature, "880cb700d5231e67f3c1561fec5633479e2eb9b9c910adeb2f517730b6090b30");
    }

    #[test]
    fn a_repeated_header_is_signed_as_its_sorted_values() {
        let request = V3Request {
            method: "GET",
            query: &[],
            headers: &pairs(&[("X-Acs-A", "2"), ("x-acs-a", " 1 ")]),
            signed_headers: "x-acs-a",
            payload_sha256: EMPTY_SHA256,
        };
        assert_eq!(
            request.canonical(),
            format!("GET\n/\n\nx-acs-a:1,2\n\nx-acs-a\n{EMPTY_SHA256}")
        );
    }
}
