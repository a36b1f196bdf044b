//! Uploading a file and making a package of it, as a back end does.

use super::client::{Client, text};
use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;

/// A package of one file.
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// Whether it has to be verified on a few devices first.
    pub(super) verified_first: bool,
    pub(super) content: Bytes,
}

impl Package<'_> {
    /// Uploads the file and makes the package; its `FirmwareId`.
    ///
    /// # Errors
    /// When a call or the upload is refused.
    pub(super) async fn create(self, client: &Client, product_key: &str) -> anyhow::Result<String> {
        let ticket = client.call("GenerateOTAUploadURL", &[]).await?;
        let field = |name: &str| text(&ticket, &["Data", name]);
        let fields = [
            ("key", field("Key")?),
            ("policy", field("Policy")?),
            ("OSSAccessKeyId", field("OSSAccessKeyId")?),
            ("signature", field("Signature")?),
            ("success_action_status", "200".to_owned()),
        ];
        upload(&field("Host")?, &fields, &self.content).await?;
        let url = field("FirmwareUrl")?;
        let verified_first = self.verified_first.to_string();
        let params = [
            ("FirmwareName", self.name),
            ("NeedToVerify", &verified_first),
            ("DestVersion", self.version),
            ("ProductKey", product_key),
            ("FirmwareUrl", &url),
            ("SignMethod", "SHA256"),
        ];
        let reply = client.call("CreateOTAFirmware", &params).await?;
        text(&reply, &["Data", "FirmwareId"])
    }
}

/// Uploads a file as the vendor's sample does: text fields first, the file last.
async fn upload(host: &str, fields: &[(&str, String)], content: &Bytes) -> anyhow::Result<()> {
    const BOUNDARY: &str = "otaru-upload-boundary";
    let texts = fields.iter().map(|(name, value)| {
        format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
    });
    let file = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"package.bin\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let body: String = texts.chain([file]).collect();
    let mut body = body.into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    let request = Request::post(format!("{}/", host.trim_end_matches('/')))
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(Full::new(Bytes::from(body)))?;
    let client = HttpClient::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.context("uploading the package")?;
    let status = response.status();
    let answer = response.into_body().collect().await?.to_bytes();
    ensure!(
        status == 200,
        "the upload was answered with {status}: {}",
        String::from_utf8_lossy(&answer)
    );
    Ok(())
}
