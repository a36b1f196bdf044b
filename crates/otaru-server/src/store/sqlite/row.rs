//! Columns to values: every row is read left to right, in the order of its query's list.

use otaru_core::time::Timestamp;
use otaru_core::version::Version;
use rusqlite::types::{FromSql, FromSqlError, Type, Value, ValueRef};
use rusqlite::{Error, Result, Row};
use std::str::FromStr;

/// The columns of a row that are still to be read.
pub struct Cols<'r, 's> {
    row: Source<'r, 's>,
    at: usize,
}

enum Source<'r, 's> {
    Row(&'r Row<'s>),
    Values(&'r [Value]),
}

impl<'r, 's> Cols<'r, 's> {
    pub fn new(row: &'r Row<'s>) -> Self {
        Self { row: Source::Row(row), at: 0 }
    }

    /// A row of an engine that hands out its values.
    pub fn of_values(values: &'r [Value]) -> Self {
        Self { row: Source::Values(values), at: 0 }
    }

    pub fn take<T: FromSql>(&mut self) -> Result<T> {
        let at = self.at;
        self.at += 1;
        let values = match self.row {
            Source::Row(row) => return row.get(at),
            Source::Values(values) => values,
        };
        let value = ValueRef::from(values.get(at).ok_or(Error::InvalidColumnIndex(at))?);
        T::column_result(value).map_err(|error| match error {
            FromSqlError::OutOfRange(number) => Error::IntegralValueOutOfRange(at, number),
            other => Error::FromSqlConversionFailure(at, value.data_type(), other.into()),
        })
    }

    pub fn time(&mut self) -> Result<Timestamp> {
        Ok(Timestamp(self.take()?))
    }

    pub fn time_opt(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp))
    }

    /// A number that uses all 64 bits.
    pub fn bits(&mut self) -> Result<u64> {
        Ok(self.take::<i64>()?.cast_unsigned())
    }

    pub fn bits_opt(&mut self) -> Result<Option<u64>> {
        Ok(self.take::<Option<i64>>()?.map(i64::cast_unsigned))
    }

    pub fn parsed<T: FromStr>(&mut self) -> Result<T> {
        self.decoded(|text: &String| text.parse().ok())
    }

    pub fn version(&mut self) -> Result<Version> {
        self.decoded(|text: &String| Version::reported(text))
    }

    pub fn version_opt(&mut self) -> Result<Option<Version>> {
        self.take::<Option<String>>()?
            .map(|text| self.check(Version::reported(&text), &text))
            .transpose()
    }

    /// A column that is a code for a value of ours.
    pub fn decoded<C: FromSql + std::fmt::Debug, T>(
        &mut self,
        decode: impl Fn(&C) -> Option<T>,
    ) -> Result<T> {
        let code = self.take::<C>()?;
        self.check(decode(&code), &code)
    }

    /// A list that is kept as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        self.decoded(|text: &String| serde_json::from_str(text).ok())
    }

    fn check<T>(&self, value: Option<T>, code: &impl std::fmt::Debug) -> Result<T> {
        value.ok_or_else(|| {
            let cause = format!("{code:?} is no value of this column");
            Error::FromSqlConversionFailure(self.at - 1, Type::Null, cause.into())
        })
    }
}
