//! The main road of the API: what is created is read back.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_was_created_is_read_back() {
    let world = World::new().await;
    let reply = world
        .ok("CreateProduct", "NodeType=1&ProductName=灯具&Description=a%26b&NetType=CELLULAR")
        .await;
    let product = reply["ProductKey"].as_str().unwrap();
    assert_eq!(reply["Data"]["ProductKey"], product);
    world.device(product, "lamp1").await;
    let query = format!("ProductKey={product}");
    let data = &world.ok("QueryProduct", &query).await["Data"];
    assert_eq!(data["ProductName"], "灯具");
    assert_eq!(data["Description"], "a&b");
    assert_eq!(data["GmtCreate"], START.0);
    assert_eq!(
        (&data["DeviceCount"], &data["NodeType"], &data["NetType"], &data["ValidateType"]),
        (&1.into(), &1.into(), &6.into(), &1.into())
    );

    let detail = world.ok("QueryDeviceDetail", &format!("{query}&DeviceName=lamp1")).await;
    let data = &detail["Data"];
    assert_eq!((&data["Status"], &data["NodeType"]), (&"UNACTIVE".into(), &1.into()));
    assert_eq!(data["UtcCreate"], "2026-09-21T14:13:20.000Z");
    assert_eq!(data["GmtCreate"], "2026-09-21 22:13:20");
    assert!(data.get("UtcOnline").is_none() && data.get("FirmwareVersion").is_none());
    let by_id = world
        .ok(
            "QueryDeviceDetail",
            &format!("IotId={}&ProductKey=nope", data["IotId"].as_str().unwrap()),
        )
        .await;
    assert_eq!(&by_id["Data"], data);

    let package = world.package(product, "2.0", "Type=1&SrcVersion=1.0&Udi=u").await;
    let info =
        &world.ok("QueryOTAFirmware", &format!("FirmwareId={package}")).await["FirmwareInfo"];
    assert_eq!(info["FirmwareName"], "to-2-0");
    assert_eq!(
        (&info["Status"], &info["Type"], &info["FirmwareSize"]),
        (&(-1).into(), &1.into(), &4.into())
    );
    assert_eq!(info["FirmwareSign"], "ab".repeat(16));
    assert_eq!(
        (&info["SrcVersion"], &info["Udi"], &info["ModuleName"]),
        (&"1.0".into(), &"u".into(), &"default".into())
    );
    assert!(info["FirmwareUrl"].as_str().unwrap().starts_with("http://"), "{info}");
    assert!(info.get("MultiFiles").is_none());
    let page = world.ok("ListOTAFirmware", "CurrentPage=1&PageSize=10").await;
    let rows = page["FirmwareInfo"]["SimpleFirmwareInfo"].as_array().unwrap();
    assert_eq!((rows.len(), &page["Total"], &page["PageCount"]), (1, &1.into(), &1.into()));
    assert_eq!(rows[0]["SrcVersion"], "1.0");
    let none = world.ok("ListOTAFirmware", "CurrentPage=2&PageSize=10&DestVersion=9").await;
    assert_eq!(none["FirmwareInfo"]["SimpleFirmwareInfo"], serde_json::json!([]));
    assert_eq!(
        (&none["Total"], &none["PageCount"], &none["CurrentPage"]),
        (&0.into(), &0.into(), &2.into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_package_of_several_files_shows_them_as_a_bare_list() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    let (one, two) = (world.uploaded(3).await, world.uploaded(5).await);
    let params = format!(
        "ProductKey={product}&FirmwareName=pair&DestVersion=2&SignMethod=SHA256\
         &MultiFiles.1.Name=a&MultiFiles.1.Url={one}&MultiFiles.1.Size=3\
         &MultiFiles.7.Name=b&MultiFiles.7.Url={two}&MultiFiles.7.FileMd5={}",
        "AB".repeat(16)
    );
    let reply = world.ok("CreateOTAFirmware", &params).await;
    let query = format!("FirmwareId={}", reply["Data"]["FirmwareId"].as_str().unwrap());
    let info = &world.ok("QueryOTAFirmware", &query).await["FirmwareInfo"];
    assert!(info.get("FirmwareUrl").is_none() && info.get("FirmwareSize").is_none());
    let files = info["MultiFiles"].as_array().expect("a bare list");
    assert_eq!((&files[0]["Name"], &files[0]["Size"]), (&"a".into(), &3.into()));
    assert_eq!((&files[1]["Name"], &files[1]["SignValue"]), (&"b".into(), &"cd".repeat(32).into()));
    let xml = world.answer("QueryOTAFirmware", &query, Format::Xml).await.body;
    assert_eq!(xml.matches("<MultiFiles><FileMd5>").count(), 2, "{xml}");
    world.ok("DeleteOTAFirmware", &query).await;
    assert_eq!(world.refused("QueryOTAFirmware", &query).await.1, "iot.firmware.FirmwareNotFound");
}

#[tokio::test(start_paused = true)]
async fn a_job_shows_its_policy_and_its_tasks() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    for name in ["lamp1", "lamp2", "lamp3"] {
        world.device(&product, name).await;
    }
    let package = world.package(&product, "2.0", "").await;
    let at = START.0 + 600_000;
    let more = format!(
        "TargetSelection=GRAY&GrayPercent=67&MaximumPerMinute=10&RetryInterval=10&RetryCount=2\
         &TimeoutInMinutes=60&OverwriteMode=2&NeedPush=False&ScheduleTime={at}&Tag.1.Key=k&Tag.1.Value=v"
    );
    let job = world.static_job(&product, &package, &more).await;
    let data = &world.ok("QueryOTAJob", &format!("JobId={job}")).await["Data"];
    assert_eq!((&data["JobStatus"], &data["TargetSelection"]), (&"PLANNED".into(), &"GRAY".into()));
    assert_eq!((&data["GrayPercent"], &data["Name"]), (&"67.00".into(), &"to-2-0".into()));
    assert_eq!((&data["RetryCount"], &data["RetryInterval"]), (&2.into(), &10.into()));
    assert_eq!((&data["OverwriteMode"], &data["NeedPush"]), (&2.into(), &false.into()));
    assert_eq!(data["UtcScheduleTime"], "2026-09-21T14:23:20.000Z");
    assert_eq!(data["Tags"], serde_json::json!({ "OtaTagDTO": [{ "Key": "k", "Value": "v" }] }));
    for absent in
        ["UtcStartTime", "UtcEndTime", "SrcVersions", "DynamicMode", "UtcScheduleFinishTime"]
    {
        assert!(data.get(absent).is_none(), "{absent}");
    }

    let page = world.ok("ListOTATaskByJob", &format!("JobId={job}&CurrentPage=1&PageSize=1")).await;
    assert_eq!((&page["Total"], &page["PageCount"]), (&2.into(), &2.into()));
    let row = &page["Data"]["SimpleOTATaskInfo"][0];
    assert_eq!((&row["TaskStatus"], &row["Progress"]), (&"QUEUED".into(), &"0.00".into()));
    assert_eq!(
        (&row["SrcVersion"], &row["TaskDesc"], &row["Timeout"]),
        (&"".into(), &"".into(), &"60".into())
    );
    let name = row["DeviceName"].as_str().unwrap();
    let query = format!("JobId={job}&DeviceNames.1={name}&DeviceNames.2=nobody&CurrentPage=0");
    let named = world.ok("ListOTATaskByJob", &query).await;
    assert_eq!((&named["Total"], &named["Data"]["SimpleOTATaskInfo"][0]), (&1.into(), row));
    let none = world
        .ok("ListOTATaskByJob", &format!("JobId={job}&CurrentPage=1&PageSize=9&TaskStatus=FAILED"))
        .await;
    assert_eq!(none["Data"], serde_json::json!({ "SimpleOTATaskInfo": [] }));

    world.ok("CancelOTATaskByJob", &format!("JobId={job}&CancelScheduledTask=True")).await;
    let data = &world.ok("QueryOTAJob", &format!("JobId={job}")).await["Data"];
    assert_eq!(data["JobStatus"], "CANCELED");
}

#[tokio::test(start_paused = true)]
async fn devices_are_paged_by_number_and_by_token() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    for n in 1..=5 {
        world.device(&product, &format!("lamp{n}")).await;
    }
    let names = |page: &Value| -> Vec<String> {
        let rows = page["Data"]["DeviceInfo"].as_array().unwrap();
        rows.iter().map(|row| row["DeviceName"].as_str().unwrap().to_owned()).collect()
    };
    let query = format!("ProductKey={product}&PageSize=2");
    let first = world.ok("QueryDevice", &query).await;
    assert_eq!(names(&first), ["lamp5", "lamp4"]);
    assert_eq!(
        (&first["Total"], &first["PageCount"], &first["Page"]),
        (&5.into(), &3.into(), &1.into())
    );
    assert_eq!(names(&world.ok("QueryDevice", &format!("{query}&CurrentPage=3")).await), ["lamp1"]);
    let token = first["NextToken"].as_str().unwrap();
    let second =
        world.ok("QueryDevice", &format!("{query}&CurrentPage=90000&NextToken={token}")).await;
    assert_eq!(names(&second), ["lamp3", "lamp2"]);
    let third = world
        .ok("QueryDevice", &format!("{query}&NextToken={}", second["NextToken"].as_str().unwrap()))
        .await;
    assert_eq!(names(&third), ["lamp1"]);
    assert!(third.get("NextToken").is_none());
}

#[tokio::test(start_paused = true)]
async fn upload_slots_spell_their_key_id_in_two_ways() {
    let world = World::new().await;
    let data = &world.ok("GenerateOTAUploadURL", "FileSuffix=tar.gz").await["Data"];
    let key = data["Key"].as_str().unwrap();
    assert!(key.starts_with("ota/") && key.ends_with(".tar.gz"), "{key}");
    assert_eq!(data["FirmwareUrl"], format!("{}/{key}", data["Host"].as_str().unwrap()));
    assert!(data["OSSAccessKeyId"].is_string() && data["ObjectStorage"] == "OSS", "{data}");
    let data = &world.ok("GenerateDeviceNameListURL", "").await["Data"];
    assert!(data["AccessKeyId"].is_string(), "{data}");
    let (_, suffix) = data["FileUrl"].as_str().unwrap().rsplit_once('.').unwrap();
    assert_eq!(suffix, "csv");
}
