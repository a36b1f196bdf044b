//! Values between the two worlds: those of SQLite, in which statements take and give them, and those of PostgreSQL.
//!
//! PostgreSQL can't keep U+0000 in a text. It is kept as U+FDD0 and `0`, and U+FDD0, which is no character and stands in
//! no sane text, as U+FDD0 and `1`: every text comes back as it was.

use super::super::{Result, StoreError};
use bytes::{BufMut, BytesMut};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use std::error::Error;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

const ESCAPE: char = '\u{FDD0}';

pub fn escaped(text: &str) -> String {
    if !text.contains(['\0', ESCAPE]) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => out.extend([ESCAPE, '0']),
            ESCAPE => out.extend([ESCAPE, '1']),
            _ => out.push(c),
        }
    }
    out
}

pub fn unescaped(text: &str) -> String {
    if !text.contains(ESCAPE) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == ESCAPE) {
            (_, true) => out.push(if chars.next() == Some('0') { '\0' } else { ESCAPE }),
            (c, false) => out.push(c),
        }
    }
    out
}

/// A value on its way in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Param {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Param {
    pub fn of(value: &dyn rusqlite::ToSql) -> Result<Self> {
        let value = value.to_sql()?;
        let value = match &value {
            ToSqlOutput::Borrowed(value) => *value,
            ToSqlOutput::Owned(value) => ValueRef::from(value),
            _ => return Err(StoreError::Engine("a value of no known kind".into())),
        };
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Text(text) => Self::Text(escaped(
                std::str::from_utf8(text).map_err(|error| StoreError::Engine(error.to_string()))?,
            )),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
            ValueRef::Real(_) => return Err(StoreError::Engine("a fraction is never kept".into())),
        })
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        let text = match self {
            Self::Null | Self::Integer(_) => 0,
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
        };
        size_of::<Self>() + text
    }

    /// The type that a statement is told of; that of nothing follows from where it stands.
    pub fn kind(&self) -> Type {
        match self {
            Self::Null => Type::UNKNOWN,
            Self::Integer(_) => Type::INT8,
            Self::Text(_) => Type::TEXT,
            Self::Blob(_) => Type::BYTEA,
        }
    }
}

impl ToSql for Param {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Integer(number) => match *kind {
                Type::INT8 => out.put_i64(*number),
                Type::INT4 => out.put_i32((*number).try_into()?),
                Type::BOOL => out.put_u8(u8::from(*number != 0)),
                _ => return Err(format!("a number for {kind}").into()),
            },
            Self::Text(text) => out.put_slice(text.as_bytes()),
            Self::Blob(bytes) => out.put_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A column on its way out.
struct Column(Value);

impl<'a> FromSql<'a> for Column {
    fn from_sql(
        kind: &Type,
        raw: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *kind {
            Type::INT8 => Value::Integer(i64::from_sql(kind, raw)?),
            Type::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Type::BOOL => Value::Integer(bool::from_sql(kind, raw)?.into()),
            Type::TEXT | Type::UNKNOWN => Value::Text(unescaped(std::str::from_utf8(raw)?)),
            Type::BYTEA => Value::Blob(raw.to_vec()),
            _ => return Err(format!("a column of {kind}").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

pub fn values(row: &Row) -> Result<Vec<Value>> {
    let column = |at| match row.try_get::<_, Column>(at) {
        Ok(Column(value)) => Ok(value),
        Err(error) => Err(StoreError::Engine(error.to_string())),
    };
    (0..row.len()).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_zero_in_it_comes_back_and_has_none_on_the_way() {
        for text in [
            "",
            "灯具",
            "a\0b",
            "\0",
            "\u{FDD0}",
            "\u{FDD0}0",
            "\0\u{FDD0}1\0\0",
            "0\u{FDD0}\u{FDD0}",
        ] {
            let kept = escaped(text);
            assert!(!kept.contains('\0'), "{text:?}");
            assert_eq!(unescaped(&kept), text);
        }
        assert_ne!(escaped("\0"), escaped("\u{FDD0}0"));
    }
}
