//! Blocks of files for devices that download through MQTT. Asking for them changes no task.

use super::task::Judged;
use super::{App, Limits};
use crate::clock::Clock;
use crate::files::{BlockCache, Files};
use crate::mqtt::Peer;
use crate::store::{Result, View};
use bytes::Bytes;
use otaru_core::block::{BlockError, BlockRequest, StreamId, frame};
use otaru_core::hash::Map;
use otaru_core::id::DeviceNo;
use otaru_core::job::JobStatus;
use otaru_core::package::Blob;
use otaru_core::policy::DownloadProtocol;
use otaru_core::task::TaskStatus;
use otaru_core::time::Timestamp;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// Devices whose pace is remembered before those that may go on are forgotten.
const PACES_KEPT: usize = 1_024;

/// What serving blocks needs beside the store.
pub(super) struct Blocks {
    cache: BlockCache,
    pace: Mutex<Pace>,
}

/// When the next block may leave, in microseconds of the monotonic clock.
struct Pace {
    /// Between two blocks of one device; 0: no pace.
    device_us: u64,
    /// Between two blocks of anybody.
    total_us: u64,
    devices: Map<DeviceNo, u64>,
    total: u64,
}

impl App {
    /// The hot parts of files, for downloads by HTTP too.
    pub fn block_cache(&self) -> BlockCache {
        self.blocks.cache.clone()
    }
}

impl Blocks {
    pub fn new(files: Files, limits: &Limits) -> Self {
        let between = |per_second: u32| 1_000_000_u64.checked_div(per_second.into()).unwrap_or(0);
        let pace = Pace {
            device_us: between(limits.blocks_per_second),
            total_us: between(limits.blocks_per_second_total),
            devices: Map::default(),
            total: 0,
        };
        let cache = BlockCache::new(files, limits.block_cache_bytes);
        Self { cache, pace: Mutex::new(pace) }
    }

    /// Waits for the turn of a device: too many requests are answered late, since three refusals in a row end a
    /// download.
    async fn turn(&self, device: DeviceNo, clock: &Clock) {
        let now_ms = clock.mono_ms();
        let turn_us =
            self.pace.lock().unwrap_or_else(PoisonError::into_inner).reserve(device, now_ms);
        let at_ms = turn_us.div_ceil(1_000);
        if at_ms > now_ms {
            clock.sleep_until(at_ms).await;
        }
    }
}

impl Pace {
    /// The moment at which a block of this device may leave, which is taken by it.
    fn reserve(&mut self, device: DeviceNo, now_ms: u64) -> u64 {
        let now = now_ms * 1_000;
        if self.devices.len() >= PACES_KEPT {
            self.devices.retain(|_, free| *free > now);
        }
        let free = self.devices.get(&device).copied().unwrap_or(0);
        // A device that has to wait for itself keeps nobody else waiting.
        let turn = now.max(self.total);
        self.total = turn + self.total_us;
        let at = turn.max(free);
        if self.device_us > 0 {
            self.devices.insert(device, at + self.device_us);
        }
        at
    }
}

/// The contents that a device means: those of its open task that was told to download through MQTT.
fn contents(
    view: &mut dyn View,
    device: DeviceNo,
    request: &BlockRequest,
    now: Timestamp,
) -> Result<std::result::Result<Blob, BlockError>> {
    if view.device(device)?.is_none() {
        return Ok(Err(BlockError::UnknownDevice));
    }
    for task in view.unfinished_tasks(device)? {
        if !request.names(StreamId::of(task.no)) {
            continue;
        }
        let judged = Judged::load(view, task)?;
        let is_told = judged.job.status != JobStatus::Planned
            && matches!(
                judged.status(now),
                TaskStatus::Queued | TaskStatus::Notified | TaskStatus::InProgress
            );
        if let (DownloadProtocol::Mqtt, true, [file]) =
            (judged.job.policy.download, is_told, &judged.package.files[..])
        {
            return Ok(Ok(file.blob.clone()));
        }
    }
    Ok(Err(BlockError::Parameter))
}

impl App {
    /// The answer with a block, once it is its turn.
    pub(super) async fn block(
        &self,
        peer: Peer,
        id: &Value,
        request: BlockRequest,
    ) -> std::result::Result<Bytes, BlockError> {
        self.blocks.turn(peer.device, &self.clock).await;
        let now = self.clock.now().wall;
        let asked = request.clone();
        let found = self.store.view(move |view| contents(view, peer.device, &asked, now)).await;
        let blob = found.map_err(|error| {
            tracing::warn!(%error, "a block is not served: {error}");
            BlockError::Internal
        })??;
        let range = request.range(blob.size_bytes)?;
        let offset = range.start;
        let data = self.blocks.cache.read(&blob.sha256, range).await.map_err(|error| {
            tracing::error!(%error, "a file can't be read: {error}");
            BlockError::Internal
        })?;
        Ok(frame(id, offset, blob.size_bytes, &data).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_leave_one_after_the_other_and_never_too_early() {
        let mut pace =
            Pace { device_us: 10_000, total_us: 1_000, devices: Map::default(), total: 0 };
        let (one, two) = (DeviceNo(1), DeviceNo(2));
        // One device waits for itself; another only for what all share.
        assert_eq!(pace.reserve(one, 5), 5_000);
        assert_eq!(pace.reserve(two, 5), 6_000);
        assert_eq!(pace.reserve(one, 5), 15_000);
        // What was not used is not saved up.
        assert_eq!(pace.reserve(one, 500), 500_000);
        assert_eq!(pace.reserve(two, 500), 501_000);
        let mut free = Pace { device_us: 0, total_us: 0, devices: Map::default(), total: 0 };
        assert_eq!([free.reserve(one, 7), free.reserve(one, 7)], [7_000, 7_000]);
        assert!(free.devices.is_empty());
    }

    #[test]
    fn the_paces_of_devices_that_may_go_on_are_forgotten() {
        let mut pace = Pace { device_us: 10_000, total_us: 0, devices: Map::default(), total: 0 };
        for device in 0..10 * PACES_KEPT {
            pace.reserve(DeviceNo(i64::try_from(device).unwrap()), 20 * device as u64);
        }
        assert!(pace.devices.len() <= PACES_KEPT);
    }
}
