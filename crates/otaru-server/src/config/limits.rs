//! The table `[limits]`.

use super::table;
use crate::app::Limits;
use anyhow::ensure;

/// Longest time that a push may wait for a device's version, in milliseconds.
const GRACE_MS_MAX: u64 = 60_000;

table! {
    /// The table `[limits]`.
    LimitSettings => Limits, "Limits" {
        /// Packages of an account [default: 500]
        packages_max: u64 = "limits-packages-max", "OTARU_LIMITS_PACKAGES_MAX", "N";
        /// Products of an account [default: 1000]
        products_max: u64 = "limits-products-max", "OTARU_LIMITS_PRODUCTS_MAX", "N";
        /// Consumer groups of an account [default: 1000]
        consumer_groups_max: u64 = "limits-consumer-groups-max", "OTARU_LIMITS_CONSUMER_GROUPS_MAX", "N";
        /// Devices of an account [default: no limit]
        devices_max: u64 = "limits-devices-max", "OTARU_LIMITS_DEVICES_MAX", "N";
        /// Bytes of a package file [default: 1048576000]
        package_bytes_max: u64 = "limits-package-bytes-max", "OTARU_LIMITS_PACKAGE_BYTES_MAX", "BYTES";
        /// Bytes of a file of device names [default: 67108864]
        device_list_bytes_max: u64 = "limits-device-list-bytes-max", "OTARU_LIMITS_DEVICE_LIST_BYTES_MAX", "BYTES";
        /// Devices of a job [default: no limit]
        job_devices_max: u64 = "limits-job-devices-max", "OTARU_LIMITS_JOB_DEVICES_MAX", "N";
        /// Devices of all jobs that are scheduled for one minute [default: no limit]
        minute_devices_max: u64 = "limits-minute-devices-max", "OTARU_LIMITS_MINUTE_DEVICES_MAX", "N";
        /// Devices that are in a new dynamic group [default: no limit]
        group_devices_max: u64 = "limits-group-devices-max", "OTARU_LIMITS_GROUP_DEVICES_MAX", "N";
        /// Pushes per minute of the whole server; 0: no limit [default: 0]
        pushes_per_minute: u32 = "limits-pushes-per-minute", "OTARU_LIMITS_PUSHES_PER_MINUTE", "N";
        /// Pushes per minute of a job that names no rate; 0: no limit [default: 10000]
        job_pushes_per_minute: u32 = "limits-job-pushes-per-minute", "OTARU_LIMITS_JOB_PUSHES_PER_MINUTE", "N";
        /// Milliseconds between a device's connect and its push, unless it reports its version before; up to 60000
        /// [default: 2000]
        grace_ms: u64 = "limits-grace-ms", "OTARU_LIMITS_GRACE_MS", "MS";
        /// Blocks per second of a device that downloads through MQTT, later ones wait; 0: no limit [default: 100]
        blocks_per_second: u32 = "limits-blocks-per-second", "OTARU_LIMITS_BLOCKS_PER_SECOND", "N";
        /// The same of all devices together; 0: no limit [default: 10000]
        blocks_per_second_total: u32 = "limits-blocks-per-second-total", "OTARU_LIMITS_BLOCKS_PER_SECOND_TOTAL", "N";
        /// Bytes of files kept in memory for downloads through MQTT [default: 67108864]
        block_cache_bytes: u64 = "limits-block-cache-bytes", "OTARU_LIMITS_BLOCK_CACHE_BYTES", "BYTES";
        /// Bytes of rows that the server knows without asking PostgreSQL, about; 0: none between batches [default: 67108864]
        store_cache_bytes: usize = "limits-store-cache-bytes", "OTARU_LIMITS_STORE_CACHE_BYTES", "BYTES";
        /// Sub-devices of one gateway, attached and logged in [default: 2000]
        sub_devices_max: u32 = "limits-sub-devices-max", "OTARU_LIMITS_SUB_DEVICES_MAX", "N";
        /// Logins of sub-devices per second through one gateway; 0: no limit [default: 200]
        sub_logins_per_second: u32 = "limits-sub-logins-per-second", "OTARU_LIMITS_SUB_LOGINS_PER_SECOND", "N";
        /// Logins of one sub-device per minute; 0: no limit [default: 5]
        sub_logins_per_minute: u32 = "limits-sub-logins-per-minute", "OTARU_LIMITS_SUB_LOGINS_PER_MINUTE", "N";
        /// Attributes that a device has reported to its shadow, and as many that are wanted of it [default: 128]
        shadow_attributes_max: usize = "limits-shadow-attributes-max", "OTARU_LIMITS_SHADOW_ATTRIBUTES_MAX", "N";
        /// Bytes of a shadow [default: 16384]
        shadow_bytes_max: usize = "limits-shadow-bytes-max", "OTARU_LIMITS_SHADOW_BYTES_MAX", "BYTES";
        /// Messages retained of one device, and of the broadcasts of one product; 0: none are [default: 16]
        retained_messages_max: u32 = "limits-retained-messages-max", "OTARU_LIMITS_RETAINED_MESSAGES_MAX", "N";
        /// Bytes of them: topics and payloads [default: 65536]
        retained_bytes_max: u64 = "limits-retained-bytes-max", "OTARU_LIMITS_RETAINED_BYTES_MAX", "BYTES";
        /// Calls that wait for the answer of a device at one time [default: 10000]
        rrpc_waiting_max: usize = "limits-rrpc-waiting-max", "OTARU_LIMITS_RRPC_WAITING_MAX", "N";
        /// Devices that are kept in memory so that they connect again without a look-up, some 200 bytes each; 0: none [default: 200000]
        identities_max: usize = "limits-identities-max", "OTARU_LIMITS_IDENTITIES_MAX", "N";
    }
}

impl LimitSettings {
    pub(super) fn check(self) -> anyhow::Result<Limits> {
        let limits = self.applied();
        ensure!(
            limits.grace_ms <= GRACE_MS_MAX,
            "limits.grace_ms: {} is more than {GRACE_MS_MAX}",
            limits.grace_ms
        );
        Ok(limits)
    }
}
