//! What errors of PostgreSQL say of a transaction, of the connection, and of what an operator can do.

use super::super::StoreError;
use super::target::Target;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

/// The code by which a statement of ours fails that doesn't find its rows, see `flush.rs`.
pub const DIVISION_BY_ZERO: &str = "22012";

/// What a failed statement says of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is over; nothing else is known.
    Failed,
    /// Another transaction was in its way: it may succeed when it is run again.
    InTheWay,
    /// The connection is gone.
    Lost,
    /// Another server has taken the database.
    Superseded,
}

pub fn fault(error: &Error, is_fence: bool, client: &Client) -> Fault {
    let Some(code) = error.code() else {
        let io = std::error::Error::source(error)
            .is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        return if io || error.is_closed() || client.is_closed() {
            Fault::Lost
        } else {
            Fault::Failed
        };
    };
    match code.code() {
        "40001" | "40P01" => Fault::InTheWay,
        DIVISION_BY_ZERO if is_fence => Fault::Superseded,
        // Class 08: the connection; 57P01 to 57P05: the server ends, crashed, starts, or ended what was idle; 25P03: a
        // transaction that stood still for too long.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Fault::Lost,
        code if code.starts_with("08") => Fault::Lost,
        _ => Fault::Failed,
    }
}

/// An error with its cause and code.
pub fn sentence(error: &Error) -> String {
    match error.as_db_error() {
        Some(told) if *told.code() == SqlState::PROGRAM_LIMIT_EXCEEDED => format!(
            "{} (SQLSTATE 54000): PostgreSQL takes no text of more than some 2,700 bytes that it has to find again; \
             keep devices.topic_bytes_max below that",
            told.message()
        ),
        Some(told) => format!("{} (SQLSTATE {})", told.message(), told.code().code()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// Why a connection was not made, and what to do.
pub fn refusal(target: &Target, error: &Error) -> StoreError {
    let told = sentence(error);
    let what_to_do = match error.code().map(SqlState::code) {
        Some("28P01" | "28000") => {
            "check the user and the password of the URL or of PGPASSWORD, and pg_hba.conf"
        }
        Some("3D000") => {
            "make the database: CREATE DATABASE name OWNER user ENCODING 'UTF8' TEMPLATE template0"
        }
        Some(_) => return StoreError::Unreachable(format!("{target} refuses: {told}")),
        None if told.contains("password missing") => {
            "the server asks for a password: put one into the URL or into PGPASSWORD"
        }
        None if told.contains("TLS") || told.contains("SSL") || told.contains("ssl") => {
            "check sslmode and sslrootcert"
        }
        None => {
            return StoreError::Unreachable(format!("{target} can't be reached: {told}"));
        }
    };
    StoreError::Engine(format!("{target} refuses: {told}; {what_to_do}"))
}
