//! Accounts, users, access keys and instances.

use super::super::{AccessKey, Account, AccountRows, AccountView, Permissions, Result, User};
use super::row::Cols;
use super::subscription;
use super::tx::Tx;
use otaru_core::id::{AccountNo, InstanceNo, ProductKey, UserNo};
use otaru_core::time::Timestamp;
use rusqlite::params;

macro_rules! select_key {
    ($rest:literal) => {
        concat!(
            "SELECT id, secret, account, user, active, token, expires_at, created_at FROM access_key ",
            $rest
        )
    };
}

macro_rules! select_user {
    ($rest:literal) => {
        concat!(
            "SELECT no, account, name, may_read, may_write, all_products, disabled, created_at FROM user ",
            $rest
        )
    };
}

fn read_account(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Account> {
    Ok(Account { no: AccountNo(cols.take()?), disabled: cols.take()? })
}

fn read_key(cols: &mut Cols<'_, '_>) -> rusqlite::Result<AccessKey> {
    Ok(AccessKey {
        id: cols.take()?,
        secret: cols.take()?,
        account: AccountNo(cols.take()?),
        user: cols.take::<Option<i64>>()?.map(UserNo),
        active: cols.take()?,
        token: cols.take()?,
        expires_at: cols.time_opt()?,
        created_at: cols.time()?,
    })
}

fn read_user(cols: &mut Cols<'_, '_>) -> rusqlite::Result<User> {
    Ok(User {
        no: UserNo(cols.take()?),
        account: AccountNo(cols.take()?),
        name: cols.take()?,
        may: Permissions { read: cols.take()?, write: cols.take()?, all_products: cols.take()? },
        disabled: cols.take()?,
        created_at: cols.time()?,
    })
}

impl AccountView for Tx<'_> {
    fn account(&mut self, no: AccountNo) -> Result<Option<Account>> {
        self.one("SELECT no, disabled FROM account WHERE no = ?1", params![no.0], read_account)
    }

    fn first_account(&mut self) -> Result<Option<Account>> {
        self.one(
            "SELECT no, disabled FROM account WHERE no > 0 ORDER BY no LIMIT 1",
            params![],
            read_account,
        )
    }

    fn access_key(&mut self, id: &str) -> Result<Option<AccessKey>> {
        self.one(select_key!("WHERE id = ?1"), params![id], read_key)
    }

    fn token_exists(&mut self, token: &str) -> Result<bool> {
        self.value("SELECT EXISTS (SELECT 1 FROM access_key WHERE token = ?1)", params![token])
    }

    fn access_keys(&mut self, account: AccountNo) -> Result<Vec<AccessKey>> {
        self.list(
            select_key!("WHERE account = ?1 ORDER BY created_at, id"),
            params![account.0],
            read_key,
        )
    }

    fn user(&mut self, no: UserNo) -> Result<Option<User>> {
        self.one(select_user!("WHERE no = ?1"), params![no.0], read_user)
    }

    fn user_by_name(&mut self, account: AccountNo, name: &str) -> Result<Option<User>> {
        self.one(
            select_user!("WHERE account = ?1 AND name = ?2"),
            params![account.0, name],
            read_user,
        )
    }

    fn users(&mut self, account: AccountNo) -> Result<Vec<User>> {
        self.list(select_user!("WHERE account = ?1 ORDER BY name"), params![account.0], read_user)
    }

    fn user_products(&mut self, user: UserNo) -> Result<Vec<ProductKey>> {
        self.list(
            "SELECT product FROM user_product WHERE user = ?1 ORDER BY product",
            params![user.0],
            |cols: &mut Cols<'_, '_>| cols.parsed(),
        )
    }

    fn user_may_touch(&mut self, user: UserNo, product: &ProductKey) -> Result<bool> {
        self.value(
            "SELECT EXISTS (SELECT 1 FROM user WHERE no = ?1 AND (all_products = 1
                 OR EXISTS (SELECT 1 FROM user_product WHERE user = ?1 AND product = ?2)))",
            params![user.0, product.as_str()],
        )
    }

    fn instance(&mut self, id: &str) -> Result<Option<InstanceNo>> {
        self.one("SELECT no FROM instance WHERE id = ?1", params![id], |cols| {
            cols.take().map(InstanceNo)
        })
    }
}

impl AccountRows for Tx<'_> {
    fn insert_account(&mut self, name: &str, now: Timestamp) -> Result<AccountNo> {
        let no = self
            .insert("INSERT INTO account (name, created_at) VALUES (?1, ?2)", params![name, now.0])
            .map(AccountNo)?;
        subscription::insert_default_group(self, no, now)?;
        Ok(no)
    }

    fn update_account(&mut self, account: Account) -> Result<()> {
        let Account { no, disabled } = account;
        self.run_one("UPDATE account SET disabled = ?2 WHERE no = ?1", params![no.0, disabled])
    }

    fn insert_access_key(&mut self, key: &AccessKey) -> Result<()> {
        let AccessKey { id, secret, account, user, active, token, expires_at, created_at } = key;
        self.run(
            "INSERT INTO access_key (id, secret, account, user, active, token, expires_at, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                id,
                secret,
                account.0,
                user.map(|no| no.0),
                active,
                token,
                expires_at.map(|at| at.0),
                created_at.0
            ],
        )?;
        Ok(())
    }

    fn update_access_key(&mut self, key: &AccessKey) -> Result<()> {
        self.run_one(
            "UPDATE access_key SET active = ?2, expires_at = ?3 WHERE id = ?1",
            params![key.id, key.active, key.expires_at.map(|at| at.0)],
        )
    }

    fn delete_access_key(&mut self, id: &str) -> Result<()> {
        self.run_one("DELETE FROM access_key WHERE id = ?1", params![id])
    }

    fn purge_temporary_keys(&mut self, before: Timestamp, limit: u32) -> Result<()> {
        self.run(
            "DELETE FROM access_key WHERE id IN (SELECT id FROM access_key
                 WHERE token IS NOT NULL AND expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
            params![before.0, limit],
        )?;
        Ok(())
    }

    fn insert_user(&mut self, new: &User) -> Result<UserNo> {
        let User { no: _, account, name, may, disabled, created_at } = new;
        let Permissions { read, write, all_products } = may;
        self.insert(
            "INSERT INTO user (account, name, may_read, may_write, all_products, disabled, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![account.0, name, read, write, all_products, disabled, created_at.0],
        )
        .map(UserNo)
    }

    fn update_user(&mut self, user: &User) -> Result<()> {
        self.run_one(
            "UPDATE user SET may_read = ?2, may_write = ?3, all_products = ?4, disabled = ?5 WHERE no = ?1",
            params![user.no.0, user.may.read, user.may.write, user.may.all_products, user.disabled],
        )
    }

    fn set_user_products(&mut self, user: UserNo, products: &[ProductKey]) -> Result<()> {
        self.run("DELETE FROM user_product WHERE user = ?1", params![user.0])?;
        for product in products {
            self.run(
                "INSERT INTO user_product (user, product) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![user.0, product.as_str()],
            )?;
        }
        Ok(())
    }

    fn delete_user(&mut self, user: UserNo) -> Result<()> {
        self.run("DELETE FROM access_key WHERE user = ?1", params![user.0])?;
        self.run("DELETE FROM user_product WHERE user = ?1", params![user.0])?;
        self.run_one("DELETE FROM user WHERE no = ?1", params![user.0])
    }

    fn insert_instance(&mut self, id: &str) -> Result<InstanceNo> {
        self.insert("INSERT INTO instance (id) VALUES (?1)", params![id]).map(InstanceNo)
    }
}
