//! Accounts, their users, the keys that sign calls, and instances.

use super::Result;
use otaru_core::id::{AccountNo, InstanceNo, ProductKey, UserNo};
use otaru_core::time::Timestamp;

/// A main account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub no: AccountNo,
    pub disabled: bool,
}

/// What a user may do. Which products it may touch, when not all, is kept beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions {
    pub read: bool,
    pub write: bool,
    pub all_products: bool,
}

/// A user of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub no: UserNo,
    pub account: AccountNo,
    /// Unique within the account.
    pub name: String,
    pub may: Permissions,
    pub disabled: bool,
    pub created_at: Timestamp,
}

/// A key that signs calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    pub id: String,
    pub secret: String,
    pub account: AccountNo,
    /// `None`: the key is the account's own.
    pub user: Option<UserNo>,
    pub active: bool,
    /// A temporary key is only good together with this.
    pub token: Option<String>,
    /// From then on the key signs nothing.
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

pub trait AccountView {
    fn account(&mut self, no: AccountNo) -> Result<Option<Account>>;
    /// The account that was made first.
    fn first_account(&mut self) -> Result<Option<Account>>;

    fn access_key(&mut self, id: &str) -> Result<Option<AccessKey>>;
    /// Whether a temporary key has this token.
    fn token_exists(&mut self, token: &str) -> Result<bool>;
    /// Keys of an account and its users, oldest first.
    fn access_keys(&mut self, account: AccountNo) -> Result<Vec<AccessKey>>;

    fn user(&mut self, no: UserNo) -> Result<Option<User>>;
    fn user_by_name(&mut self, account: AccountNo, name: &str) -> Result<Option<User>>;
    /// Users of an account by name.
    fn users(&mut self, account: AccountNo) -> Result<Vec<User>>;
    /// What a user may touch unless it may touch all; in order.
    fn user_products(&mut self, user: UserNo) -> Result<Vec<ProductKey>>;
    /// Whether there is such a user and it may touch the product.
    fn user_may_touch(&mut self, user: UserNo, product: &ProductKey) -> Result<bool>;

    /// The number of an instance by its id, unless it is the default one.
    fn instance(&mut self, id: &str) -> Result<Option<InstanceNo>>;
}

pub trait AccountRows: AccountView {
    fn insert_account(&mut self, name: &str, now: Timestamp) -> Result<AccountNo>;
    fn update_account(&mut self, account: Account) -> Result<()>;

    fn insert_access_key(&mut self, key: &AccessKey) -> Result<()>;
    /// Writes what can change of a key: whether it is active, and when it ends.
    fn update_access_key(&mut self, key: &AccessKey) -> Result<()>;
    fn delete_access_key(&mut self, id: &str) -> Result<()>;
    /// Forgets temporary keys that ended before `before`, at most `limit`.
    fn purge_temporary_keys(&mut self, before: Timestamp, limit: u32) -> Result<()>;

    /// Inserts a user; `new.no` is not looked at.
    fn insert_user(&mut self, new: &User) -> Result<UserNo>;
    /// Writes all that can change of a user: everything but its account and name.
    fn update_user(&mut self, user: &User) -> Result<()>;
    fn set_user_products(&mut self, user: UserNo, products: &[ProductKey]) -> Result<()>;
    /// Deletes a user with its keys.
    fn delete_user(&mut self, user: UserNo) -> Result<()>;

    fn insert_instance(&mut self, id: &str) -> Result<InstanceNo>;
}
