//! Who calls: the keys that sign calls, and what their owners may do.

use super::{App, Result};
use crate::store::{AccessKey, Realm, User, View};
use otaru_core::hash::Map;
use otaru_core::id::{AccountNo, InstanceNo, ProductKey, UserNo};

/// Who signs a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub access_key_secret: String,
}

/// On whose behalf a use case runs: what the account has in the instance, as far as the user may touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub account: AccountNo,
    pub instance: InstanceNo,
    /// `None`: the main account itself, which may do everything.
    pub user: Option<UserNo>,
}

impl Caller {
    /// Where that lives which is of no single product.
    pub fn realm(self) -> Realm {
        Realm { account: self.account, instance: self.instance }
    }

    /// The main account itself, in the default instance.
    pub fn main(account: AccountNo) -> Self {
        Self { account, instance: InstanceNo(0), user: None }
    }
}

/// A key with whom it belongs to, as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    pub key: AccessKey,
    /// `None`: the main account itself.
    pub user: Option<User>,
    pub account_disabled: bool,
    /// Whether the token that came along is that of a temporary key, whichever.
    pub token_is_ours: bool,
}

impl App {
    /// The key of this id and its owner, for checking a signature; `token` as it came with the call.
    ///
    /// Nothing of this is kept in memory: a change of a key or user holds for the next call.
    pub async fn signer(&self, id: String, token: Option<String>) -> Result<Option<Signer>> {
        self.view(move |view| {
            let Some(key) = view.access_key(&id)? else { return Ok(None) };
            let account = view.account(key.account)?.expect("a key has an account");
            let user = match key.user {
                Some(no) => Some(view.user(no)?.expect("the keys of a user end with it")),
                None => None,
            };
            let token_is_ours = match &token {
                Some(token) => view.token_exists(token)?,
                None => false,
            };
            Ok(Some(Signer { key, user, account_disabled: account.disabled, token_is_ours }))
        })
        .await
    }

    /// Whether there is such a user and it may touch the product of this key.
    pub async fn user_may_touch(&self, user: UserNo, product: ProductKey) -> Result<bool> {
        self.view(move |view| Ok(view.user_may_touch(user, &product)?)).await
    }

    /// Makes the first account with this key when there is no account. `None`: there is one, and no such key, which
    /// someone has deleted. The key that is kept may have another secret.
    pub async fn ensure_account(&self, credentials: Credentials) -> Result<Option<AccessKey>> {
        self.change(move |rows, now, _| {
            let Credentials { access_key_id: id, access_key_secret: secret } = credentials.clone();
            if let Some(key) = rows.access_key(&id)? {
                return Ok(Some(key));
            }
            if rows.first_account()?.is_some() {
                return Ok(None);
            }
            let key = AccessKey {
                id,
                secret,
                account: rows.insert_account("main", now)?,
                user: None,
                active: true,
                token: None,
                expires_at: None,
                created_at: now,
            };
            rows.insert_access_key(&key)?;
            Ok(Some(key))
        })
        .await
    }

    /// The numbers of these instances, which are made where there are none.
    pub async fn ensure_instances(&self, ids: Vec<String>) -> Result<Map<String, InstanceNo>> {
        self.change(move |rows, _, _| {
            let mut numbers = Map::default();
            for id in &ids {
                let no = match rows.instance(id)? {
                    Some(no) => no,
                    None => rows.insert_instance(id)?,
                };
                numbers.insert(id.clone(), no);
            }
            Ok(numbers)
        })
        .await
    }

    /// Nonces that are still remembered, for refilling memory at start.
    pub async fn nonces(&self) -> Result<Vec<crate::store::Nonce>> {
        let now = self.clock.now().wall;
        self.view(move |view: &mut dyn View| Ok(view.nonces(now)?)).await
    }

    /// Remembers a nonce over restarts. It is queued before the call that used it, so whatever that call commits is
    /// never there without its nonce.
    pub fn remember_nonce(&self, nonce: crate::store::Nonce) -> Result<()> {
        Ok(self
            .store
            .change_lazily(move |rows| rows.insert_nonces(std::slice::from_ref(&nonce)))?)
    }
}
