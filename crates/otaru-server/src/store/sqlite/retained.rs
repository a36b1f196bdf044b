//! Messages that are retained.

use super::super::{Result, RetainedRows, RetainedView, Shelf};
use super::beside::{BesideRow, read_qos};
use super::row::Cols;
use super::tx::Tx;
use crate::mqtt::Message;
use otaru_core::time::Timestamp;
use otaru_mqtt::packet::Qos;
use rusqlite::params;
use std::sync::Arc;

/// The columns `kind` and `owner`.
fn key(whose: Shelf) -> (i64, i64) {
    match whose {
        Shelf::Device(device) => (0, device.0),
        Shelf::Product(product) => (1, product.0),
    }
}

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Message> {
    let topic = cols.take::<String>()?.into();
    let qos = read_qos(cols)?;
    let beside = cols.decoded(|text: &String| BesideRow::read(text))?;
    let payload = cols.take::<Vec<u8>>()?.into();
    Ok(Message { topic, payload, qos, beside: Some(Arc::new(beside)) })
}

impl RetainedView for Tx<'_> {
    fn retained(&mut self, whose: Shelf, now: Timestamp) -> Result<Vec<Message>> {
        let (kind, owner) = key(whose);
        self.list(
            "SELECT topic, qos, beside, payload FROM retained
             WHERE kind = ?1 AND owner = ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY topic",
            params![kind, owner, now.0],
            read,
        )
    }
}

impl RetainedRows for Tx<'_> {
    fn put_retained(&mut self, whose: Shelf, message: &Message) -> Result<()> {
        let (kind, owner) = key(whose);
        let beside = message.beside.as_deref().cloned().unwrap_or_default();
        self.run(
            "INSERT INTO retained (kind, owner, topic, qos, expires_at, beside, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (kind, owner, topic) DO UPDATE SET qos = excluded.qos, expires_at = excluded.expires_at,
                 beside = excluded.beside, payload = excluded.payload",
            params![
                kind,
                owner,
                &*message.topic,
                i64::from(message.qos >= Qos::AtLeastOnce),
                beside.expires_at.map(|at| at.0),
                BesideRow::written(&beside)?,
                &message.payload[..]
            ],
        )?;
        Ok(())
    }

    fn delete_retained(&mut self, whose: Shelf, topic: &str, now: Timestamp) -> Result<()> {
        let (kind, owner) = key(whose);
        self.run(
            "DELETE FROM retained WHERE kind = ?1 AND owner = ?2 AND (topic = ?3 OR expires_at <= ?4)",
            params![kind, owner, topic, now.0],
        )?;
        Ok(())
    }
}
