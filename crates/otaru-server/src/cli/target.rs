//! Which server a command calls, and as whom.

use super::client::Endpoint;
use crate::rpc::client::Credentials;
use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Where calls go and what signs them; what is not given comes from the data folder of a server on this machine.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Address of the server
    #[arg(long, env = "OTARU_ENDPOINT", value_name = "http://HOST:PORT")]
    endpoint: Option<String>,
    /// Access key that signs the call
    #[arg(long, env = "OTARU_ACCESS_KEY_ID", value_name = "ID")]
    access_key_id: Option<String>,
    /// Secret of the access key
    #[arg(long, env = "OTARU_ACCESS_KEY_SECRET", value_name = "SECRET", hide_env_values = true)]
    access_key_secret: Option<String>,
    /// Token of a temporary access key
    #[arg(long, env = "OTARU_SECURITY_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    security_token: Option<String>,
    /// Data folder of a server on this machine, for what is not given otherwise
    #[arg(long, env = "OTARU_DATA", value_name = "DIR", default_value = "otaru-data")]
    pub(super) data: PathBuf,
}

impl Target {
    /// Takes from `late` what was `typed` there.
    pub(super) fn overridden_by(self, late: Self, typed: impl Fn(&str) -> bool) -> Self {
        let pick = |name: &str, early, late| if typed(name) { late } else { early };
        Self {
            endpoint: pick("endpoint", self.endpoint, late.endpoint),
            access_key_id: pick("access_key_id", self.access_key_id, late.access_key_id),
            access_key_secret: pick(
                "access_key_secret",
                self.access_key_secret,
                late.access_key_secret,
            ),
            security_token: pick("security_token", self.security_token, late.security_token),
            data: if typed("data") { late.data } else { self.data },
        }
    }

    /// # Errors
    /// A sentence when it is no address, or none is given and the data folder has none.
    pub(super) fn endpoint(&self) -> anyhow::Result<Endpoint> {
        match &self.endpoint {
            Some(endpoint) => Endpoint::parse(endpoint),
            None => endpoint_of(&self.data),
        }
    }

    /// Where the server of the data folder last listened for `protocol`.
    ///
    /// # Errors
    /// A sentence when the folder doesn't say.
    pub(super) fn listener(&self, protocol: &str) -> anyhow::Result<String> {
        listener_of(&self.data, protocol)
    }

    /// # Errors
    /// A sentence when half of a key is given, or none is and the data folder has none.
    pub(super) fn credentials(&self) -> anyhow::Result<Credentials> {
        match (&self.access_key_id, &self.access_key_secret) {
            (Some(id), Some(secret)) => Ok(Credentials {
                access_key_id: id.clone(),
                access_key_secret: secret.clone(),
                security_token: self.security_token.clone(),
            }),
            (None, None) if self.security_token.is_none() => credentials_of(&self.data),
            _ => bail!(
                "give both --access-key-id and --access-key-secret, with --security-token or without, or none"
            ),
        }
    }
}

/// The address that the server of a data folder last listened on.
///
/// # Errors
/// A sentence when the folder doesn't say.
pub fn endpoint_of(data: &Path) -> anyhow::Result<Endpoint> {
    Endpoint::parse(&listener_of(data, "http").context("no --endpoint is given")?)
}

fn listener_of(data: &Path, protocol: &str) -> anyhow::Result<String> {
    let path = data.join("endpoint");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} can't be read", path.display()))?;
    let mut pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    let address = pairs.find_map(|(name, address)| (name == protocol).then_some(address));
    let address =
        address.ok_or_else(|| anyhow!("{} names no {protocol} address", path.display()))?;
    Ok(address.to_owned())
}

/// The access key that the server of a data folder made at its first start.
///
/// # Errors
/// A sentence when the folder has none.
pub fn credentials_of(data: &Path) -> anyhow::Result<Credentials> {
    #[derive(Deserialize)]
    struct File {
        access_key_id: String,
        access_key_secret: String,
    }
    let path = data.join("access-key.toml");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!("no --access-key-id given, and {} cannot be read", path.display())
    })?;
    let File { access_key_id, access_key_secret } =
        toml::from_str(&text).with_context(|| format!("{} holds no access key", path.display()))?;
    Ok(Credentials { access_key_id, access_key_secret, security_token: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_key_come_from_the_data_folder() {
        let data = tempfile::tempdir().unwrap();
        assert!(endpoint_of(data.path()).is_err() && credentials_of(data.path()).is_err());
        std::fs::write(data.path().join("endpoint"), "http=127.0.0.1:8080 mqtt=127.0.0.1:1883\n")
            .unwrap();
        let key = "access_key_id = 'id'\naccess_key_secret = 'secret'\n";
        std::fs::write(data.path().join("access-key.toml"), key).unwrap();
        assert_eq!(endpoint_of(data.path()).unwrap().host(), "127.0.0.1:8080");
        let credentials = credentials_of(data.path()).unwrap();
        assert_eq!(
            (&*credentials.access_key_id, &*credentials.access_key_secret),
            ("id", "secret")
        );
    }
}
