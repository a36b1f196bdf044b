//! Which database: what the URL says, and how it is shown without its password.

use super::super::{Result, StoreError};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use postgres_openssl::MakeTlsConnector;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

/// Time that one try to connect has.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// After this time without an answer of the other machine a connection is lost.
const SILENCE_TIME: Duration = Duration::from_secs(30);

/// The URL of a database as it was given: never shown with its password.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Url(String);

impl std::str::FromStr for Url {
    type Err = std::convert::Infallible;

    /// Takes any text: a refusal here would be shown with the text. [`Target::parse`] looks into it.
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

/// A database that can be connected to.
#[derive(Clone)]
pub struct Target {
    pub config: Config,
    pub tls: MakeTlsConnector,
    /// The URL as it may be shown.
    shown: String,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Target {
    /// Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`. `password` is for a URL that has none.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without the password.
    pub fn parse(url: &Url, password: Option<&str>) -> Result<Self> {
        let url = url.0.as_str();
        let shown = shown(url);
        let wrong = |why: &str| StoreError::Engine(format!("{shown} is no database: {why}"));
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(wrong("write it as postgres://user@host:5432/database"));
        }
        let (url, tls) = split_tls(url);
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            wrong(&cause.unwrap_or_else(|| error.to_string()))
        })?;
        if config.get_user().is_none() {
            return Err(wrong("it names no user, as in postgres://user@host:5432/database"));
        }
        if config.get_hosts().is_empty() {
            return Err(wrong("it names no host; for a socket write ?host=/var/run/postgresql"));
        }
        if config.get_dbname().is_none() {
            return Err(wrong("it names no database, as in postgres://user@host:5432/database"));
        }
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        let tls = connector(&mut config, tls.mode.as_deref(), tls.authority.as_deref())
            .map_err(|why| wrong(&why))?;
        config
            .application_name("otaru")
            .connect_timeout(CONNECT_TIME)
            .keepalives_idle(SILENCE_TIME)
            .tcp_user_timeout(SILENCE_TIME);
        Ok(Self { config, tls, shown })
    }
}

/// The URL without its password, whether that stands before the host or among the options.
fn shown(url: &str) -> String {
    let (base, options) = url.split_once('?').unwrap_or((url, ""));
    let base = match (base.split_once("://"), base.rsplit_once('@')) {
        (Some((scheme, _)), Some((before, host))) => {
            let user = before.split_once("://").map_or(before, |(_, user)| user);
            let user = user.split_once(':').map_or(user, |(user, _)| user);
            format!("{scheme}://{user}@{host}")
        }
        _ => base.to_owned(),
    };
    let options: Vec<_> =
        options.split('&').filter(|o| !o.is_empty() && !o.contains("password")).collect();
    if options.is_empty() { base } else { format!("{base}?{}", options.join("&")) }
}

#[derive(Default)]
struct TlsOptions {
    mode: Option<String>,
    authority: Option<String>,
}

/// Takes the options about TLS out of a URL: the client knows other ones.
fn split_tls(url: &str) -> (String, TlsOptions) {
    let mut tls = TlsOptions::default();
    let Some((base, options)) = url.split_once('?') else { return (url.to_owned(), tls) };
    let mut others = Vec::new();
    for option in options.split('&') {
        match option.split_once('=') {
            Some(("sslmode", mode)) => tls.mode = Some(mode.to_owned()),
            Some(("sslrootcert", path)) => tls.authority = Some(path.replace("%2F", "/")),
            _ => others.push(option),
        }
    }
    (format!("{base}?{}", others.join("&")), tls)
}

fn connector(
    config: &mut Config,
    mode: Option<&str>,
    authority: Option<&str>,
) -> std::result::Result<MakeTlsConnector, String> {
    let mut tls = SslConnector::builder(SslMethod::tls()).map_err(|error| error.to_string())?;
    let mut verified = false;
    match mode {
        Some("disable") => drop(config.ssl_mode(SslMode::Disable)),
        None | Some("prefer") => drop(config.ssl_mode(SslMode::Prefer)),
        Some("require") => drop(config.ssl_mode(SslMode::Require)),
        Some("verify-full") => {
            config.ssl_mode(SslMode::Require);
            verified = true;
        }
        Some(other) => {
            return Err(format!(
                "sslmode={other} is none of disable, prefer, require, verify-full"
            ));
        }
    }
    match (verified, authority) {
        (true, Some(path)) => tls
            .set_ca_file(path)
            .map_err(|error| format!("sslrootcert={path} holds no certificates: {error}"))?,
        (true, None) => return Err("sslmode=verify-full needs sslrootcert=FILE".to_owned()),
        // As other clients do: whoever wants to know whom he speaks to asks for verify-full.
        (false, _) => tls.set_verify(SslVerifyMode::NONE),
    }
    let mut tls = MakeTlsConnector::new(tls.build());
    tls.set_callback(move |tls, _| {
        tls.set_verify_hostname(verified);
        Ok(())
    });
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_shown_without_its_password() {
        for (url, seen) in [
            ("postgres://a:s3cret@h:5/d", "postgres://a@h:5/d"),
            ("postgresql://a:s3:cr@t@h/d?sslmode=disable", "postgresql://a@h/d?sslmode=disable"),
            ("postgres://h/d?user=a&password=s3cret", "postgres://h/d?user=a"),
            ("postgres://a@/d?host=/run/pg", "postgres://a@/d?host=/run/pg"),
        ] {
            assert_eq!(shown(url), seen);
        }
        let target = Target::parse(&"postgres://a:s3cret@h:5/d".parse().unwrap(), None).unwrap();
        assert!(!format!("{target} {target:?}").contains("s3cret"));
    }

    #[test]
    fn a_url_that_can_not_be_used_is_refused_by_what_is_wrong_with_it() {
        for (url, why) in [
            ("mysql://a@h/d", "write it as postgres://"),
            ("postgres://h/d", "names no user"),
            ("postgres://a@h", "names no database"),
            ("postgres://a:s3cret@h:port/d", "port"),
            ("postgres://a@h/d?sslmode=verify-ca", "sslmode=verify-ca is none of"),
            ("postgres://a@h/d?sslmode=verify-full", "needs sslrootcert"),
            ("postgres://a@h/d?sslmode=verify-full&sslrootcert=/nowhere", "/nowhere holds no"),
            ("postgres://a@h/d?colour=red", "colour"),
        ] {
            let refused = Target::parse(&url.parse().unwrap(), None).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }

    #[test]
    fn a_password_may_come_beside_the_url() {
        let password = |url: &str| {
            let target = Target::parse(&url.parse().unwrap(), Some("beside")).unwrap();
            target.config.get_password().map(<[u8]>::to_vec)
        };
        assert_eq!(password("postgres://a@h/d").as_deref(), Some(&b"beside"[..]));
        assert_eq!(password("postgres://a:own@h/d").as_deref(), Some(&b"own"[..]));
    }
}
