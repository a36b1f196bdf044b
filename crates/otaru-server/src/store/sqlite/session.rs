//! Sessions that outlive their connection.

use super::super::{Result, SessionRows, SessionView};
use super::beside::{BesideRow, read_qos};
use super::row::Cols;
use super::tx::Tx;
use crate::mqtt::{KeptMessage, KeptSubscription, Message, MessagePage};
use otaru_core::id::{DeviceNo, MessageNo, ProductNo};
use otaru_core::session::{Held, Session};
use otaru_core::time::Timestamp;
use otaru_mqtt::packet::Qos;
use rusqlite::params;
use std::sync::Arc;

fn read_session(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Session> {
    Ok(Session {
        device: DeviceNo(cols.take()?),
        expiry_s: cols.take()?,
        expires_at: cols.time_opt()?,
        sent_to: cols.take::<Option<i64>>()?.map(MessageNo),
        held: read_held(cols)?,
    })
}

fn read_held(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Held> {
    Ok(Held { messages: cols.bits()?, bytes: cols.bits()? })
}

fn read_subscription(cols: &mut Cols<'_, '_>) -> rusqlite::Result<KeptSubscription> {
    Ok(KeptSubscription {
        filter: cols.take::<String>()?.into(),
        qos: read_qos(cols)?,
        id: cols.take()?,
        retain_as_published: cols.take()?,
    })
}

fn read_message(cols: &mut Cols<'_, '_>) -> rusqlite::Result<KeptMessage> {
    let no = MessageNo(cols.take()?);
    let topic = cols.take::<String>()?.into();
    let beside = cols
        .take::<Option<String>>()?
        .map(|text| BesideRow::read(&text).ok_or(rusqlite::Error::InvalidQuery))
        .transpose()?;
    let payload = cols.take::<Vec<u8>>()?.into();
    let message = Message { topic, payload, qos: Qos::AtLeastOnce, beside: beside.map(Arc::new) };
    Ok(KeptMessage { no, message })
}

impl SessionView for Tx<'_> {
    fn session(&mut self, device: DeviceNo) -> Result<Option<Session>> {
        self.one(
            "SELECT device, expiry_s, expires_at, sent_to, messages, bytes FROM session WHERE device = ?1",
            params![device.0],
            read_session,
        )
    }

    fn session_subscriptions(&mut self, device: DeviceNo) -> Result<Vec<KeptSubscription>> {
        self.list(
            "SELECT filter, qos, id, retain_as_published FROM session_subscription WHERE device = ?1 ORDER BY filter",
            params![device.0],
            read_subscription,
        )
    }

    fn session_messages(
        &mut self,
        device: DeviceNo,
        after: MessageNo,
        limit: u32,
        bytes_max: u64,
    ) -> Result<MessagePage> {
        // One more than asked for tells whether there are more.
        let found: Vec<(i64, u64)> = self.list(
            "SELECT no, bytes FROM session_message WHERE device = ?1 AND no > ?2 ORDER BY no LIMIT ?3",
            params![device.0, after.0, i64::from(limit) + 1],
            |cols| Ok((cols.take()?, cols.bits()?)),
        )?;
        let (mut page, mut bytes) = (MessagePage::default(), 0);
        for (no, more) in found {
            if page.messages.len() >= limit as usize || bytes >= bytes_max {
                page.has_more = true;
                break;
            }
            bytes += more;
            page.messages.extend(self.one(
                "SELECT no, topic, beside, payload FROM session_message WHERE no = ?1",
                params![no],
                read_message,
            )?);
        }
        Ok(page)
    }

    fn last_session_message(&mut self, device: DeviceNo) -> Result<Option<MessageNo>> {
        self.one(
            "SELECT no FROM session_message WHERE device = ?1 ORDER BY no DESC LIMIT 1",
            params![device.0],
            |cols| cols.take().map(MessageNo),
        )
    }

    fn sessions_held(&mut self) -> Result<Held> {
        let held =
            self.one("SELECT messages, bytes FROM session_total WHERE no = 1", &[], read_held)?;
        Ok(held.unwrap_or_default())
    }

    fn broadcast_sessions(
        &mut self,
        product: ProductNo,
        after: DeviceNo,
        limit: u32,
    ) -> Result<Vec<DeviceNo>> {
        self.list(
            "SELECT DISTINCT device FROM session_subscription WHERE product = ?1 AND device > ?2
             ORDER BY device LIMIT ?3",
            params![product.0, after.0, limit],
            |cols| cols.take().map(DeviceNo),
        )
    }

    fn endless_sessions(&mut self, after: DeviceNo, limit: u32) -> Result<Vec<DeviceNo>> {
        self.list(
            "SELECT device FROM session INDEXED BY session_endless WHERE expires_at IS NULL AND device > ?1
             ORDER BY device LIMIT ?2",
            params![after.0, limit],
            |cols| cols.take().map(DeviceNo),
        )
    }

    fn sessions_over(&mut self, now: Timestamp, limit: u32) -> Result<Vec<DeviceNo>> {
        self.list(
            "SELECT device FROM session WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
            params![now.0, limit],
            |cols| cols.take().map(DeviceNo),
        )
    }
}

impl SessionRows for Tx<'_> {
    fn put_session(
        &mut self,
        device: DeviceNo,
        expiry_s: u32,
        expires_at: Option<Timestamp>,
    ) -> Result<()> {
        self.run(
            "INSERT INTO session (device, expiry_s, expires_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (device) DO UPDATE SET expiry_s = excluded.expiry_s, expires_at = excluded.expires_at",
            params![device.0, expiry_s, expires_at.map(|at| at.0)],
        )?;
        Ok(())
    }

    fn delete_session(&mut self, device: DeviceNo) -> Result<()> {
        let Some(Session { held, .. }) = self.session(device)? else { return Ok(()) };
        if held != Held::default() {
            self.run("DELETE FROM session_message WHERE device = ?1", params![device.0])?;
            self.take_out(device, held)?;
        }
        self.run("DELETE FROM session_subscription WHERE device = ?1", params![device.0])?;
        self.run_one("DELETE FROM session WHERE device = ?1", params![device.0])
    }

    fn put_session_subscription(
        &mut self,
        device: DeviceNo,
        product: Option<ProductNo>,
        subscription: &KeptSubscription,
    ) -> Result<()> {
        let KeptSubscription { filter, qos, id, retain_as_published } = subscription;
        let qos = i64::from(*qos != Qos::AtMostOnce);
        self.run(
            "INSERT INTO session_subscription (device, filter, qos, id, retain_as_published, product)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (device, filter) DO UPDATE SET qos = excluded.qos, id = excluded.id,
                 retain_as_published = excluded.retain_as_published, product = excluded.product",
            params![device.0, filter, qos, id, retain_as_published, product.map(|no| no.0)],
        )?;
        Ok(())
    }

    fn delete_session_subscription(&mut self, device: DeviceNo, filter: &str) -> Result<()> {
        self.run(
            "DELETE FROM session_subscription WHERE device = ?1 AND filter = ?2",
            params![device.0, filter],
        )?;
        Ok(())
    }

    fn keep_message(
        &mut self,
        device: DeviceNo,
        message: &Message,
        until: Timestamp,
    ) -> Result<MessageNo> {
        let beside = message.beside.as_deref().map(BesideRow::written).transpose()?;
        let bytes = message.bytes().cast_signed();
        let no = self.insert(
            "INSERT INTO session_message (device, bytes, expires_at, topic, beside, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![device.0, bytes, until.0, &*message.topic, beside, &message.payload[..]],
        )?;
        self.run_one(
            "UPDATE session SET messages = messages + 1, bytes = bytes + ?2 WHERE device = ?1",
            params![device.0, bytes],
        )?;
        self.run_one(
            "UPDATE session_total SET messages = messages + 1, bytes = bytes + ?1 WHERE no = 1",
            params![bytes],
        )?;
        Ok(MessageNo(no))
    }

    fn forget_messages(&mut self, device: DeviceNo, messages: &[MessageNo]) -> Result<()> {
        let mut out = Held::default();
        for no in messages {
            let bytes = self.one(
                "DELETE FROM session_message WHERE no = ?1 AND device = ?2 RETURNING bytes",
                params![no.0, device.0],
                |cols| cols.take::<i64>().map(i64::cast_unsigned),
            )?;
            if let Some(bytes) = bytes {
                out = Held { messages: out.messages + 1, bytes: out.bytes + bytes };
            }
        }
        self.take_out(device, out)
    }

    fn note_sent(&mut self, device: DeviceNo, sent_to: Option<MessageNo>) -> Result<()> {
        self.run(
            "UPDATE session SET sent_to = ?2 WHERE device = ?1",
            params![device.0, sent_to.map(|no| no.0)],
        )?;
        Ok(())
    }

    fn purge_session_messages(&mut self, now: Timestamp, limit: u32) -> Result<u32> {
        let over: Vec<(i64, DeviceNo)> = self.list(
            "SELECT no, device FROM session_message WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
            params![now.0, limit],
            |cols| Ok((cols.take()?, DeviceNo(cols.take()?))),
        )?;
        for &(no, device) in &over {
            self.forget_messages(device, &[MessageNo(no)])?;
        }
        Ok(u32::try_from(over.len()).unwrap_or(u32::MAX))
    }
}

impl Tx<'_> {
    /// Counts messages that are no longer in the session of a device.
    fn take_out(&mut self, device: DeviceNo, out: Held) -> Result<()> {
        if out == Held::default() {
            return Ok(());
        }
        let (messages, bytes) = (out.messages.cast_signed(), out.bytes.cast_signed());
        self.run_one(
            "UPDATE session SET messages = messages - ?2, bytes = bytes - ?3 WHERE device = ?1",
            params![device.0, messages, bytes],
        )?;
        self.run_one(
            "UPDATE session_total SET messages = messages - ?1, bytes = bytes - ?2 WHERE no = 1",
            params![messages, bytes],
        )
    }
}
