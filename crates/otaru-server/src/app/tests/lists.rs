use super::*;
use crate::store::UploadKind;

impl World {
    /// Uploads a list of names and returns its URL.
    async fn list(&self, content: &str) -> String {
        let slot = self.app.issue_upload(self.caller, UploadKind::DeviceList, "csv".into()).await;
        let slot = slot.unwrap();
        let mut file = self.files.create(64 * 1024 * 1024).unwrap();
        assert!(file.write(&[content.as_bytes().to_vec().into()]).unwrap());
        let blob = file.keep().unwrap();
        assert!(self.app.uploaded(slot.form.key, blob).await.unwrap());
        slot.file_url
    }

    async fn list_job(&self, package: &str, content: &str) -> NewJob {
        self.job(package, Target::List(self.list(content).await))
    }

    /// Registers `count` devices at once.
    pub(super) async fn fleet(&self, count: u32) {
        let (account, product) = (self.caller.account, self.product.no);
        self.app
            .change(move |rows, now, _| {
                for n in 0..count {
                    let device = Device {
                        no: otaru_core::id::DeviceNo(0),
                        product,
                        name: format!("device-{n:06}").parse().unwrap(),
                        iot_id: otaru_core::id::IotId::generate(rows.random()),
                        secret: String::new(),
                        nickname: String::new(),
                        disabled: false,
                        created_at: now,
                        activated_at: None,
                        online_at: None,
                        address: String::new(),
                        status_at: now,
                    };
                    rows.insert_device(account, &device)?;
                }
                Ok(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_listed_device_counts_once_and_skips_at_the_destination() {
    let world = World::new().await;
    let (_, b, _) =
        (world.device("dev-a").await, world.device("dev-b").await, world.device("dev-c").await);
    world.informs(&b, "2.0").await;
    let package = world.package("2.0").await;
    let new = world.list_job(&package, "DeviceName\r\ndev-a\r\ndev-b\r\ndev-a\r\n").await;
    let job = world.create(new).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED");
    let view = world.app.job(world.caller, job).await.unwrap();
    assert_eq!((view.job.selection.target_wire(), view.job.list), ("SPECIFIC", None));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_refused_by_what_it_holds() {
    let world = World::new().await;
    let (a, b) = (world.device("dev-a").await, world.device("dev-b").await);
    world.informs(&a, "2.0").await;
    world.informs(&b, "1.5").await;
    let full = world.package("2.0").await;
    let delta =
        world.package_of("2.0", Some("1.0"), otaru_core::package::PackageStatus::NoVerify).await;
    for (package, content, code) in [
        (&full, "\n\n", "iot.firmware.NullTargetDeviceNames"),
        (&full, "dev-a\nx y z\n", "iot.device.InvalidFormattedDeviceNameInNameArray"),
        (&full, "dev-a\ndev-zz\n", "iot.device.NotExistedDevice"),
        (&full, "dev-a\n", "iot.firmware.DeviceWithDestinationVersionInArray"),
        (&delta, "dev-b\n", "iot.firmware.NoDeviceCanUpgrade"),
    ] {
        let new = world.list_job(package, content).await;
        assert_eq!(world.refused(new).await, code, "{content:?}");
    }
    let unknown = world.list_job(&full, &"dev-zz\ndev-a\n".repeat(12)).await;
    let Err(AppError::Refused(refusal)) = world.app.create_job(world.caller, unknown).await else {
        panic!("it names unknown devices")
    };
    assert!(refusal.detail.unwrap().starts_with("12: dev-zz"), "the count and the first ten");
    let url = format!("{}x", world.list("dev-b\n").await);
    assert_eq!(
        world.refused(world.job(&full, Target::List(url))).await,
        "iot.firmware.InvalidFirmwareUrl"
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_list_becomes_tasks_slice_by_slice_and_each_device_once() {
    let world = World::new().await;
    world.fleet(12_000).await;
    let package = world.package("2.0").await;
    let lines: Vec<_> = (0..12_000).chain(0..500).map(|n| format!("device-{n:06}\n")).collect();
    let new = world.list_job(&package, &lines.concat()).await;
    let job = world.create(new).await;
    let id: otaru_core::id::JobId = job.parse().unwrap();
    world.passes(60_000).await;
    let counts = world.app.view(move |view| {
        let job = view.job_by_id(&id)?.expect("it was made");
        Ok((view.counts(job.no)?.total(), job.fill, job.list.clone()))
    });
    assert_eq!(counts.await.unwrap(), (12_000, None, None));
}

#[tokio::test(start_paused = true)]
async fn a_large_product_becomes_tasks_slice_by_slice_all_of_it_or_its_share() {
    let world = World::new().await;
    world.fleet(24_000).await;
    let share = otaru_core::job::GrayPercent::parse("50").unwrap();
    for (target, want) in [(Target::All(vec![]), 24_000), (Target::Gray(share, vec![]), 12_000)] {
        let package = world.package(&format!("{want}")).await;
        let replace = otaru_core::policy::Policy {
            overwrite: otaru_core::policy::OverwriteMode::Replace,
            ..otaru_core::policy::Policy::default()
        };
        let job = world.create(NewJob { policy: replace, ..world.job(&package, target) }).await;
        let id: otaru_core::id::JobId = job.parse().unwrap();
        world.passes(60_000).await;
        let counts = world.app.view(move |view| {
            let job = view.job_by_id(&id)?.expect("it was made");
            Ok((view.counts(job.no)?.total(), job.fill))
        });
        assert_eq!(counts.await.unwrap(), (want, None));
    }
}
