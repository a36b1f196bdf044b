//! Downloads through MQTT: who is given which bytes, and when no more.

use super::*;
use otaru_core::block::{BLOCK_BYTES_MAX, BlockRequest, FILE_BYTES_MAX, crc};
use otaru_core::message::Source;
use otaru_core::policy::{DownloadProtocol, Policy};
use serde_json::Value;

const CONTENTS: &[u8; 5_092] = &[b'A'; 5_092];

impl World {
    /// A package whose file is there.
    async fn stored(&self, dest: &str, size_bytes: u64) -> String {
        let mut file = self.files.create(u64::MAX).unwrap();
        file.write(&[CONTENTS[..].into()]).unwrap();
        let mut blob = file.keep().unwrap();
        let id = self.package(dest).await;
        let package = id.clone();
        blob.size_bytes = size_bytes;
        self.app
            .change(move |rows, _, _| {
                let package = rows.package_by_id(&package.parse().unwrap())?.unwrap();
                rows.delete_package(package.no, START)?;
                let file = PackageFile { blob: blob.clone(), ..package.files[0].clone() };
                let id = otaru_core::id::FirmwareId::generate(rows.random());
                rows.insert_package(&Package {
                    id: id.clone(),
                    files: vec![file],
                    ..(*package).clone()
                })?;
                Ok(id.to_string())
            })
            .await
            .unwrap()
    }

    fn job_by_mqtt(&self, firmware_id: &str, target: Target) -> NewJob {
        let policy = Policy { download: DownloadProtocol::Mqtt, ..Policy::default() };
        NewJob { policy, ..self.job(firmware_id, target) }
    }

    /// Code and data of the answer.
    async fn block(&self, device: &Device, stream: u64, offset: u64, size: u64) -> (u64, Vec<u8>) {
        let peer = Peer { device: device.no, epoch: Epoch(1) };
        let request = BlockRequest { stream, file: 1, offset, size };
        let frame = Gatekeeper(self.app.clone()).block(peer, "1".into(), request).await.unwrap();
        let length = 2 + usize::from(u16::from_be_bytes([frame[0], frame[1]]));
        let json: Value = serde_json::from_slice(&frame[2..length]).unwrap();
        let data = frame[length..frame.len() - 2].to_vec();
        assert_eq!(crc(&data).to_le_bytes(), frame[frame.len() - 2..]);
        (json["code"].as_u64().unwrap(), data)
    }

    async fn stream(&self, device: &Device) -> u64 {
        let upgrade = self.says(device, Report::Pull(ModuleName::default())).await.unwrap();
        match upgrade.files[0].source {
            Source::Stream(id) => id.get().into(),
            Source::Url(_) => panic!("a URL"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_fetches_its_own_file_until_its_task_ends_and_the_task_stays_as_it_is() {
    let world = World::new().await;
    let (device, other) = (world.device("dev-1").await, world.device("dev-2").await);
    world.informs(&device, "1.0.0").await;
    let package = world.stored("2.0.0", 5_092).await;
    let names = vec!["dev-1".to_owned(), "dev-2".to_owned()];
    let job = world.create(world.job_by_mqtt(&package, Target::Specific(names))).await;
    let stream = world.stream(&device).await;
    assert_eq!(world.block(&device, stream, 0, 5_120).await, (200, CONTENTS.to_vec()));
    assert_eq!(world.block(&device, stream, 5_000, 256).await, (200, vec![b'A'; 92]));
    assert_eq!(world.state(&job).await, "IN_PROGRESS: NOTIFIED QUEUED");
    for (device, stream, offset, size) in [
        (&other, stream, 0, 256),
        (&device, stream + 1, 0, 256),
        (&device, u64::MAX, 0, 256),
        (&device, stream, 5_092, 256),
        (&device, stream, 0, 0),
        (&device, stream, 0, BLOCK_BYTES_MAX + 1),
    ] {
        assert_eq!(
            world.block(device, stream, offset, size).await,
            (460, vec![]),
            "{offset} {size}"
        );
    }
    // Told again, it has the same name.
    world.progresses(&device, 10).await;
    assert_eq!(world.stream(&device).await, stream);
    assert_eq!(world.block(&device, stream, 0, 5_120).await.0, 200);
    world.informs(&device, "2.0.0").await;
    assert_eq!(world.block(&device, stream, 0, 256).await.0, 460);
    let key = DeviceKey { iot_id: Some(device.iot_id.to_string()), ..DeviceKey::default() };
    world.app.delete_device(world.caller, key).await.unwrap();
    assert_eq!(world.block(&device, stream, 0, 256).await.0, 6_100);
}

#[tokio::test(start_paused = true)]
async fn a_job_by_https_gives_no_blocks_and_a_file_that_is_lost_is_an_error_of_the_server() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    let package = world.stored("2.0.0", 5_092).await;
    let target = || Target::Specific(vec!["dev-1".into()]);
    let job = world.create(world.job(&package, target())).await;
    assert!(world.pulls(&device).await);
    let task = world.tasks(&job).await[0].no.0;
    assert_eq!(world.block(&device, task.try_into().unwrap(), 0, 256).await.0, 460);
    world.informs(&device, "2.0.0").await;
    let lost = world.package("3.0.0").await;
    world.create(world.job_by_mqtt(&lost, target())).await;
    let stream = world.stream(&device).await;
    assert_eq!(world.block(&device, stream, 0, 4).await.0, 500);
}

#[tokio::test(start_paused = true)]
async fn only_a_file_of_at_most_16_mb_goes_through_mqtt() {
    let world = World::new().await;
    world.device("dev-1").await;
    let target = || Target::Specific(vec!["dev-1".into()]);
    let big = world.stored("2.0.0", FILE_BYTES_MAX + 1).await;
    let code = world.refused(world.job_by_mqtt(&big, target())).await;
    assert_eq!(code, "iot.firmware.InvalidFirmware");
    let largest = world.stored("3.0.0", FILE_BYTES_MAX).await;
    world.create(world.job_by_mqtt(&largest, target())).await;
}

#[tokio::test(start_paused = true)]
async fn too_many_blocks_a_second_come_late_and_are_not_refused() {
    let limits = Limits { blocks_per_second: 10, ..Limits::default() };
    let world = World::with_limits(limits).await;
    let device = world.device("dev-1").await;
    let package = world.stored("2.0.0", 5_092).await;
    world.create(world.job_by_mqtt(&package, Target::Specific(vec!["dev-1".into()]))).await;
    let stream = world.stream(&device).await;
    let start_ms = world.app.clock.now().mono_ms;
    for _ in 0..11 {
        assert_eq!(world.block(&device, stream, 0, 256).await.0, 200);
    }
    // On paused time, which moves for waits alone.
    assert_eq!(world.app.clock.now().mono_ms - start_ms, 1_000);
}
