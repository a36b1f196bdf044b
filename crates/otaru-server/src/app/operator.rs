//! What the operator of a server does, who needs no key: users of the account, and their keys.
//!
//! An [`Act`] travels as it is between the command and a running server: both ends are this program.

mod key;
mod registration;
mod user;

pub use key::{KEEP_HOURS_MAX, KeyStatus, KeyView, NewKey, TEMPORARY_HOURS_MAX};
pub use user::UserView;

use super::App;
use crate::cli::registration::Mode;
use crate::store::{Account, Permissions, Rows, StoreError, User};
use otaru_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Whose keys are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Owner {
    /// The main account itself.
    Main,
    /// A user by name.
    User(String),
}

/// What a user may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    pub read: bool,
    pub write: bool,
    pub all_products: bool,
    /// Keys of the products that the user may touch, when not all.
    pub products: Vec<String>,
}

impl Grant {
    fn permissions(&self) -> Permissions {
        Permissions { read: self.read, write: self.write, all_products: self.all_products }
    }
}

/// One thing to do or to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Act {
    ListKeys,
    CreateKey {
        owner: Owner,
    },
    /// Makes a key that is only good with a token, and for some hours.
    CreateTemporaryKey {
        owner: Owner,
        hours: u32,
    },
    /// Makes a second key of the owner of a key, which ends after some hours.
    RotateKey {
        id: String,
        keep_hours: u32,
    },
    SetKeyActive {
        id: String,
        active: bool,
    },
    DeleteKey {
        id: String,
    },
    ListUsers,
    CreateUser {
        name: String,
        grant: Grant,
    },
    /// Replaces what a user may do.
    GrantUser {
        name: String,
        grant: Grant,
    },
    SetOwnerDisabled {
        owner: Owner,
        disabled: bool,
    },
    /// Deletes a user with its keys.
    DeleteUser {
        name: String,
    },
    /// Says which devices of a product may register themselves, or shows it.
    Registration {
        product_key: String,
        mode: Option<Mode>,
    },
}

/// What an act came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    Keys(Vec<KeyView>),
    Users(Vec<UserView>),
    /// A new key with its secret, which is shown only now.
    NewKey(NewKey),
    Registration(Mode),
    Nothing,
}

/// Why an act changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("there is no account yet: start the server once")]
    NoAccount,
    #[error("there is no user {0}")]
    NoUser(String),
    #[error("there is a user {0} already")]
    UserExists(String),
    #[error("{0} is no name of 1 to 64 letters, digits, `.`, `-` and `_`")]
    MalformedUser(String),
    #[error("there is no access key {0}")]
    NoKey(String),
    #[error("the access key {0} is a temporary one: it ends by itself, or delete it")]
    TemporaryKey(String),
    #[error("the access key {0} has ended: make another one")]
    EndedKey(String),
    #[error("{hours} hours are not {least} to {most}")]
    Hours { hours: u32, least: u32, most: u32 },
    #[error("there is no product {0}")]
    NoProduct(String),
}

/// Why an act ends without doing what was asked; nothing is written before.
enum Fault {
    Denied(Denied),
    Store(StoreError),
}

impl From<Denied> for Fault {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

type Result<T> = std::result::Result<T, Fault>;

impl App {
    /// Does one thing for the operator, in the first account.
    ///
    /// # Errors
    /// The outer one when the store can't do it now.
    pub async fn operate(&self, act: Act) -> super::Result<std::result::Result<Done, Denied>> {
        self.change(move |rows, now, _| match operate(rows, &act, now) {
            Ok(done) => Ok(Ok(done)),
            Err(Fault::Denied(denied)) => Ok(Err(denied)),
            Err(Fault::Store(error)) => Err(error.into()),
        })
        .await
    }
}

fn operate(rows: &mut dyn Rows, act: &Act, now: Timestamp) -> Result<Done> {
    let account = rows.first_account()?.ok_or(Denied::NoAccount)?;
    match act {
        Act::ListKeys => return Ok(Done::Keys(key::list(rows, account, now)?)),
        Act::ListUsers => return Ok(Done::Users(user::list(rows, account)?)),
        Act::CreateKey { owner } => {
            return Ok(Done::NewKey(key::create(rows, account, owner, now)?));
        }
        Act::CreateTemporaryKey { owner, hours } => {
            return Ok(Done::NewKey(key::create_temporary(rows, account, owner, *hours, now)?));
        }
        Act::RotateKey { id, keep_hours } => {
            return Ok(Done::NewKey(key::rotate(rows, account, id, *keep_hours, now)?));
        }
        Act::SetKeyActive { id, active } => key::set_active(rows, account, id, *active, now)?,
        Act::DeleteKey { id } => key::delete(rows, account, id)?,
        Act::CreateUser { name, grant } => user::create(rows, account, name, grant, now)?,
        Act::GrantUser { name, grant } => user::grant(rows, account, name, grant)?,
        Act::SetOwnerDisabled { owner: Owner::Main, disabled } => {
            rows.update_account(Account { disabled: *disabled, ..account })?;
        }
        Act::SetOwnerDisabled { owner: Owner::User(name), disabled } => {
            user::set_disabled(rows, account, name, *disabled)?;
        }
        Act::DeleteUser { name } => user::delete(rows, account, name)?,
        Act::Registration { product_key, mode } => {
            let mode = mode.map(Into::into);
            let set = registration::set_or_show(rows, account, product_key, mode)?;
            return Ok(Done::Registration(set.into()));
        }
    }
    Ok(Done::Nothing)
}

/// The user of a name.
fn named(rows: &mut dyn Rows, account: Account, name: &str) -> Result<User> {
    let found = rows.user_by_name(account.no, name)?;
    Ok(found.ok_or_else(|| Denied::NoUser(name.to_owned()))?)
}
