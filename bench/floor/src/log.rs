//! A file that grows: what waits is appended in one write, made durable by one fdatasync, and only then acknowledged.

use std::fs::File;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// What waits for the next sync.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    acks: Vec<(Arc<TcpStream>, u16)>,
}

/// Both ends of the log: many records come in, one thread keeps them.
#[derive(Default)]
pub struct Log {
    waiting: Mutex<Batch>,
    filled: Condvar,
}

/// Records of one round of reads, handed over together.
#[derive(Default)]
pub struct Round(Batch);

impl Round {
    /// Takes a record; `ack` is who waits for it, under which packet id.
    pub fn push(&mut self, record: &[u8], ack: Option<(Arc<TcpStream>, u16)>) {
        // A packet is far shorter than 4 GiB.
        let size = u32::try_from(record.len()).unwrap_or(u32::MAX);
        self.0.bytes.extend_from_slice(&size.to_le_bytes());
        self.0.bytes.extend_from_slice(record);
        self.0.acks.extend(ack);
    }
}

impl Log {
    /// Hands a round over and empties it.
    pub fn append(&self, round: &mut Round) {
        let Batch { bytes, acks } = &mut round.0;
        if bytes.is_empty() {
            return;
        }
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.bytes.append(bytes);
            waiting.acks.append(acks);
        }
        self.filled.notify_one();
    }

    /// Keeps what comes, for ever.
    ///
    /// # Errors
    /// When the file can't be written; whatever waits is then never acknowledged.
    pub fn keep(&self, mut file: File) -> io::Result<()> {
        let mut batch = Batch::default();
        loop {
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let mut waiting = self
                .filled
                .wait_while(waiting, |batch| batch.bytes.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut *waiting, &mut batch);
            drop(waiting);
            file.write_all(&batch.bytes)?;
            file.sync_data()?;
            batch.bytes.clear();
            for (peer, id) in batch.acks.drain(..) {
                let [high, low] = id.to_be_bytes();
                if !matches!((&*peer).write(&[0x40, 2, high, low]), Ok(4)) {
                    // A peer that doesn't read its acknowledgements is no peer.
                    let _ = peer.shutdown(Shutdown::Both);
                }
            }
        }
    }
}
