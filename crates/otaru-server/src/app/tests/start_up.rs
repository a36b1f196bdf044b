//! What SDKs ask when a device starts.

use super::*;
use otaru_core::message::{Ask, DeviceTag, Response, code};
use otaru_core::tag::DEVICE_TAGS_MAX;

impl World {
    async fn asks(&self, device: &Device, ask: Ask) -> Response {
        let peer = Peer { device: device.no, epoch: Epoch(1) };
        match self.hears(peer, Report::Ask(ask)).await {
            Told::Response(response) => response,
            other => panic!("{other:?}"),
        }
    }

    async fn tags(&self, name: &str) -> Vec<(String, String)> {
        self.app.device_tags(self.caller, self.device_key(name)).await.unwrap()
    }
}

fn save(tags: &[(&str, &str)]) -> Ask {
    let tag = |&(key, value): &(&str, &str)| DeviceTag { key: key.into(), value: value.into() };
    Ask::SaveTags(tags.iter().map(tag).collect())
}

#[tokio::test(start_paused = true)]
async fn tags_that_a_device_uploads_are_those_that_calls_see() {
    let world = World::new().await;
    let device = world.device("dev1").await;
    world.tag("dev1", "room", "1").await;
    let ok = Response::success(serde_json::json!({}));
    let ask = save(&[("room", "2"), ("SYS_SDK_LANGUAGE", "C"), ("room", "3")]);
    assert_eq!(world.asks(&device, ask).await, ok);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let want = [pair("SYS_SDK_LANGUAGE", "C"), pair("room", "3")];
    assert_eq!(world.tags("dev1").await, want);
    let keys = vec!["room".to_owned(), "unknown".to_owned()];
    assert_eq!(world.asks(&device, Ask::DeleteTags(keys)).await, ok);
    assert_eq!(world.tags("dev1").await, [pair("SYS_SDK_LANGUAGE", "C")]);
}

#[tokio::test(start_paused = true)]
async fn a_device_gives_itself_no_more_tags_than_a_device_may_have() {
    let world = World::new().await;
    let device = world.device("dev1").await;
    for i in 0..DEVICE_TAGS_MAX {
        world.tag("dev1", &format!("k{i}"), "v").await;
    }
    let refusal = Response::refusal(code::PARAMETER);
    assert_eq!(world.asks(&device, save(&[("k0", "new"), ("more", "v")])).await, refusal);
    assert!(world.tags("dev1").await.iter().all(|(_, value)| value == "v"));
    let replaced = world.asks(&device, save(&[("k0", "new")])).await;
    assert_eq!(replaced, Response::success(serde_json::json!({})));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_deleted_meanwhile_is_told_so() {
    let world = World::new().await;
    let device = world.device("dev1").await;
    world.app.delete_device(world.caller, world.device_key("dev1")).await.unwrap();
    let refusal = Response::refusal(code::NO_DEVICE);
    assert_eq!(world.asks(&device, save(&[("k", "v")])).await, refusal);
}
