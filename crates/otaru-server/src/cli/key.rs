//! `otaru key`: access keys of the account and its users.

use std::io::{self, Write};

use anyhow::bail;
use clap::{Args, Subcommand};

use super::admin::{self, DataArgs};
use crate::app::operator::{
    Act, Done, KEEP_HOURS_MAX, KeyStatus, KeyView, NewKey, Owner, TEMPORARY_HOURS_MAX,
};

/// Make, list, disable, rotate and delete access keys.
///
/// The command works on the data folder of a server on this machine. While the server runs it is asked through the
/// socket `admin.sock` in that folder, which only the user who runs the server may open, and every change holds for
/// the next call; otherwise the command works on the folder itself. A secret is shown once, when its key is made.
#[derive(Debug, Args)]
pub struct KeyArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show all keys, without their secrets
    List,
    /// Make a key, and show it with its secret
    Create {
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Make a key that ends by itself and is only good with its security token
    Temporary {
        #[command(flatten)]
        owner: OwnerArgs,
        /// Hours that the key lasts
        #[arg(long, value_name = "N", default_value_t = 1,
            value_parser = clap::value_parser!(u32).range(1..=i64::from(TEMPORARY_HOURS_MAX)))]
        hours: u32,
    },
    /// Make a second key of the same owner; the first one goes on for a while, then it ends
    ///
    /// When it is the key in access-key.toml, the new one takes its place there.
    Rotate {
        /// Id of the key
        id: String,
        /// Hours that it goes on; 0: it ends at once
        #[arg(long, value_name = "N", default_value_t = 24,
            value_parser = clap::value_parser!(u32).range(0..=i64::from(KEEP_HOURS_MAX)))]
        keep_hours: u32,
    },
    /// Refuse what the key signs, until it is enabled again
    Disable {
        /// Id of the key
        id: String,
    },
    /// Take what the key signs again
    Enable {
        /// Id of the key
        id: String,
    },
    /// Forget the key for good
    Delete {
        /// Id of the key
        id: String,
    },
}

#[derive(Debug, Args)]
struct OwnerArgs {
    /// User of the account that the key is for [default: the main account itself]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

impl From<OwnerArgs> for Owner {
    fn from(args: OwnerArgs) -> Self {
        args.user.map_or(Self::Main, Self::User)
    }
}

impl From<Command> for Act {
    fn from(command: Command) -> Self {
        match command {
            Command::List => Self::ListKeys,
            Command::Create { owner } => Self::CreateKey { owner: owner.into() },
            Command::Temporary { owner, hours } => {
                Self::CreateTemporaryKey { owner: owner.into(), hours }
            }
            Command::Rotate { id, keep_hours } => Self::RotateKey { id, keep_hours },
            Command::Disable { id } => Self::SetKeyActive { id, active: false },
            Command::Enable { id } => Self::SetKeyActive { id, active: true },
            Command::Delete { id } => Self::DeleteKey { id },
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A sentence when it is refused, or there is no data.
pub async fn run(args: KeyArgs) -> anyhow::Result<()> {
    let text = match admin::act(&args.data, args.command.into()).await? {
        Done::Keys(keys) => table(&keys),
        Done::NewKey(key) => shown(&key),
        Done::Nothing => return Ok(()),
        Done::Users(_) | Done::Registration(_) => bail!("the server answers something else"),
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// A new key as TOML, like the file `access-key.toml`.
fn shown(key: &NewKey) -> String {
    let NewKey { access_key_id, access_key_secret, security_token, expires_at } = key;
    let expires_at = expires_at.map(admin::moment);
    let pairs = [
        ("access_key_id", Some(access_key_id)),
        ("access_key_secret", Some(access_key_secret)),
        ("security_token", security_token.as_ref()),
        ("expires_at", expires_at.as_ref()),
    ];
    let lines =
        pairs.iter().filter_map(|(name, value)| Some(format!("{name} = \"{}\"", (*value)?)));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn table(keys: &[KeyView]) -> String {
    let row = |key: &KeyView| {
        let status = match key.status {
            KeyStatus::Active => "active",
            KeyStatus::Disabled => "disabled",
            KeyStatus::Ended => "ended",
        };
        [
            key.id.clone(),
            key.user.clone().unwrap_or_else(|| "(main account)".to_owned()),
            if key.is_temporary { "temporary" } else { "permanent" }.to_owned(),
            status.to_owned(),
            admin::moment(key.created_at),
            key.expires_at.map_or_else(|| "-".to_owned(), admin::moment),
        ]
    };
    let head = ["KEY", "OWNER", "KIND", "STATUS", "CREATED", "ENDS"].map(str::to_owned);
    admin::table(std::iter::once(head).chain(keys.iter().map(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_shown_as_a_key_file_and_a_temporary_one_with_its_token() {
        let mut key = NewKey {
            access_key_id: "id".into(),
            access_key_secret: "s".into(),
            security_token: None,
            expires_at: None,
        };
        assert_eq!(shown(&key), "access_key_id = \"id\"\naccess_key_secret = \"s\"\n");
        key.security_token = Some("t".into());
        key.expires_at = Some(1_767_323_045_999);
        let text = shown(&key);
        let more = "security_token = \"t\"\nexpires_at = \"2026-01-02T03:04:05Z\"\n";
        assert!(text.ends_with(more), "{text}");
    }

    #[test]
    fn keys_stand_in_columns_without_their_secrets() {
        let key = |id: &str, user: Option<&str>, status| KeyView {
            id: id.into(),
            user: user.map(str::to_owned),
            is_temporary: user.is_some(),
            status,
            created_at: 0,
            expires_at: user.map(|_| 1_000),
        };
        let keys =
            [key("a", None, KeyStatus::Active), key("longer", Some("ada"), KeyStatus::Ended)];
        assert_eq!(
            table(&keys),
            "\
KEY     OWNER           KIND       STATUS  CREATED               ENDS
a       (main account)  permanent  active  1970-01-01T00:00:00Z  -
longer  ada             temporary  ended   1970-01-01T00:00:00Z  1970-01-01T00:00:01Z
"
        );
    }
}
