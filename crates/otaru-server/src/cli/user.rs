//! `otaru user`: users of the account, and what they may do.

use std::io::{self, Write};

use anyhow::bail;
use clap::{ArgGroup, Args, Subcommand};

use super::admin::{self, DataArgs};
use crate::app::operator::{Act, Done, Grant, Owner, UserView};

/// Make, list, permit, disable and delete users of the account.
///
/// Users share the account's products, quotas and limits. A user may call what reads, what writes, or both, for all
/// products or for those of a list; keys for it are made by `otaru key create --user NAME`. Like `otaru key`, the
/// command works on the data folder of a server on this machine, whether the server runs or not.
#[derive(Debug, Args)]
pub struct UserArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show all users and what they may do
    List,
    /// Make a user, which may do nothing but what is said here
    Create {
        /// 1 to 64 letters, digits, `.`, `-` and `_`
        name: String,
        #[command(flatten)]
        grant: GrantArgs,
    },
    /// Say anew what a user may do: what is not said is taken away
    Grant {
        /// Name of the user
        name: String,
        #[command(flatten)]
        grant: GrantArgs,
    },
    /// Refuse whatever keys of the user sign, until it is enabled again
    Disable(WhoArgs),
    /// Take what keys of the user sign again
    Enable(WhoArgs),
    /// Forget the user and its keys for good
    Delete {
        /// Name of the user
        name: String,
    },
}

#[derive(Debug, Args)]
struct GrantArgs {
    /// May call operations that only read: their names begin with Query, List, Get, or Batch and one of these
    #[arg(long)]
    read: bool,
    /// May call all other operations
    #[arg(long)]
    write: bool,
    /// May touch all products, new ones too
    #[arg(long, conflicts_with = "products")]
    all_products: bool,
    /// May touch the product of this key; can be given several times
    #[arg(long = "product", value_name = "KEY")]
    products: Vec<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("who").required(true))]
struct WhoArgs {
    /// Name of the user
    #[arg(group = "who")]
    name: Option<String>,
    /// The main account itself, with all its users
    #[arg(long, group = "who")]
    main_account: bool,
}

impl WhoArgs {
    fn act(self, disabled: bool) -> Act {
        Act::SetOwnerDisabled { owner: self.name.map_or(Owner::Main, Owner::User), disabled }
    }
}

impl From<GrantArgs> for Grant {
    fn from(args: GrantArgs) -> Self {
        let GrantArgs { read, write, all_products, products } = args;
        Self { read, write, all_products, products }
    }
}

impl From<Command> for Act {
    fn from(command: Command) -> Self {
        match command {
            Command::List => Self::ListUsers,
            Command::Create { name, grant } => Self::CreateUser { name, grant: grant.into() },
            Command::Grant { name, grant } => Self::GrantUser { name, grant: grant.into() },
            Command::Disable(who) => who.act(true),
            Command::Enable(who) => who.act(false),
            Command::Delete { name } => Self::DeleteUser { name },
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A sentence when it is refused, or there is no data.
pub async fn run(args: UserArgs) -> anyhow::Result<()> {
    let text = match admin::act(&args.data, args.command.into()).await? {
        Done::Users(users) => table(&users),
        Done::Nothing => return Ok(()),
        Done::Keys(_) | Done::NewKey(_) | Done::Registration(_) => {
            bail!("the server answers something else")
        }
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn table(users: &[UserView]) -> String {
    let row = |user: &UserView| {
        let UserView { name, disabled, grant, created_at } = user;
        let access = match (grant.read, grant.write) {
            (true, true) => "read, write",
            (true, false) => "read",
            (false, true) => "write",
            (false, false) => "nothing",
        };
        let products = match (grant.all_products, grant.products.as_slice()) {
            (true, _) => "all".to_owned(),
            (false, []) => "none".to_owned(),
            (false, products) => products.join(", "),
        };
        let status = if *disabled { "disabled" } else { "active" };
        [name.clone(), status.to_owned(), access.to_owned(), admin::moment(*created_at), products]
    };
    let head = ["USER", "STATUS", "MAY", "CREATED", "PRODUCTS"].map(str::to_owned);
    admin::table(std::iter::once(head).chain(users.iter().map(row)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: UserArgs,
    }

    fn act(line: &str) -> Result<Act, clap::error::ErrorKind> {
        let words = std::iter::once("user").chain(line.split(' '));
        let parsed = Line::try_parse_from(words).map_err(|error| error.kind())?;
        Ok(parsed.args.command.into())
    }

    #[test]
    fn a_user_may_do_only_what_the_line_says() {
        let grant = |line| match act(line) {
            Ok(Act::CreateUser { grant, .. } | Act::GrantUser { grant, .. }) => grant,
            other => panic!("{other:?}"),
        };
        assert_eq!(grant("create ada"), Grant::default());
        let listed = grant("grant ada --read --product a1x --product a1y");
        let products = vec!["a1x".to_owned(), "a1y".to_owned()];
        assert_eq!(listed, Grant { read: true, products, ..Grant::default() });
        let all = grant("create ada --write --all-products");
        assert_eq!(all, Grant { write: true, all_products: true, ..Grant::default() });
        assert!(act("create ada --all-products --product a1x").is_err());
    }

    #[test]
    fn the_main_account_is_disabled_only_when_it_is_named() {
        let disabled = |owner| Ok(Act::SetOwnerDisabled { owner, disabled: true });
        assert_eq!(act("disable ada"), disabled(Owner::User("ada".into())));
        assert_eq!(act("disable --main-account"), disabled(Owner::Main));
        assert!(act("disable").is_err());
        assert!(act("disable ada --main-account").is_err());
    }

    #[test]
    fn users_stand_in_columns() {
        let grant = Grant { read: true, products: vec!["a1x".into()], ..Grant::default() };
        let users = [UserView { name: "ada".into(), disabled: false, grant, created_at: 0 }];
        assert_eq!(
            table(&users),
            "\
USER  STATUS  MAY   CREATED               PRODUCTS
ada   active  read  1970-01-01T00:00:00Z  a1x
"
        );
    }
}
