//! Downloads of simulated devices, plain or under TLS.

use crate::socket::Socket;
use crate::tls::Caller;
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection to one server that stays as long as it can.
#[derive(Debug, Default)]
pub(super) struct Web {
    caller: Option<Caller>,
    open: Option<SendRequest<Empty<Bytes>>>,
}

impl Web {
    /// `caller` opens connections for `https`; without it such URLs are refused.
    pub(super) fn new(caller: Option<Caller>) -> Self {
        Self { caller, open: None }
    }

    /// Asks for a URL, with a range of bytes if one is given as the header spells it.
    ///
    /// # Errors
    /// When no answer comes. All URLs have to be on one server.
    pub(super) async fn get(
        &mut self,
        url: &str,
        range: Option<&str>,
    ) -> anyhow::Result<Response<Incoming>> {
        let uri: Uri = url.parse().context("the URL")?;
        let authority = uri.authority().context("the URL names no host")?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::get(target).header(header::HOST, authority.as_str());
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        let request = request.body(Empty::new()).context("the URL")?;
        // One that the server has closed meanwhile is no use.
        let mut open = self.open.take();
        if let Some(sender) = &mut open
            && sender.ready().await.is_err()
        {
            open = None;
        }
        let mut sender = match open {
            Some(sender) => sender,
            None => self.connect(&uri).await?,
        };
        let response = sender.send_request(request).await?;
        self.open = Some(sender);
        Ok(response)
    }

    async fn connect(&self, uri: &Uri) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
        let host = uri.host().context("the URL names no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let (port, is_secure) = match uri.scheme_str() {
            Some("https") => (443, true),
            Some("http") => (80, false),
            _ => bail!("{uri} is neither http nor https"),
        };
        let port = uri.port_u16().unwrap_or(port);
        let tcp = TcpStream::connect((host, port)).await;
        let tcp = tcp.with_context(|| format!("connecting to {host}:{port}"))?;
        tcp.set_nodelay(true)?;
        let socket: Socket = match &self.caller {
            _ if !is_secure => tcp.into(),
            Some(caller) => caller.connect(tcp).await?.into(),
            None => bail!("{uri} is under TLS: --tls-ca says whom to trust"),
        };
        let (sender, connection) = handshake(TokioIo::new(socket)).await?;
        // It ends with the sender; who asks hears of its errors.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

/// Downloads a whole file.
///
/// # Errors
/// When the server does not answer with the file.
pub(super) async fn download(url: &str, caller: Option<&Caller>) -> anyhow::Result<Bytes> {
    let mut web = Web::new(caller.cloned());
    let response = web.get(url, None).await.context("downloading the package")?;
    ensure!(response.status().is_success(), "the package was answered with {}", response.status());
    Ok(response.into_body().collect().await.context("downloading the package")?.to_bytes())
}
