//! Accounts and the keys that sign their calls.

use super::{App, Result};
use crate::store::AccessKey;
use otaru_core::id::{AccountNo, InstanceNo, UserNo};

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
    /// The main account itself, in the default instance.
    pub fn main(account: AccountNo) -> Self {
        Self { account, instance: InstanceNo(0), user: None }
    }
}

impl App {
    /// The key of this id, for checking a signature.
    pub async fn access_key(&self, id: String) -> Result<Option<AccessKey>> {
        self.view(move |view| Ok(view.access_key(&id)?)).await
    }

    /// Makes the first account with this key when there is no such key; the key that is kept otherwise, which may have
    /// another secret.
    pub async fn ensure_account(&self, credentials: Credentials) -> Result<AccessKey> {
        self.change(move |rows, now, _| {
            let Credentials { access_key_id: id, access_key_secret: secret } = credentials.clone();
            if let Some(key) = rows.access_key(&id)? {
                return Ok(key);
            }
            let account: AccountNo = rows.insert_account("main", now)?;
            let key = AccessKey { id, secret, account, active: true };
            rows.insert_access_key(&key, now)?;
            Ok(key)
        })
        .await
    }

    /// Nonces that are still remembered, for refilling memory at start.
    pub async fn nonces(&self) -> Result<Vec<crate::store::Nonce>> {
        let now = self.clock.now().wall;
        self.view(move |view| Ok(view.nonces(now)?)).await
    }

    /// Remembers a nonce over restarts. It is queued before the call that used it, so whatever that call commits is
    /// never there without its nonce.
    pub fn remember_nonce(&self, nonce: crate::store::Nonce) -> Result<()> {
        Ok(self
            .store
            .change_lazily(move |rows| rows.insert_nonces(std::slice::from_ref(&nonce)))?)
    }
}
