//! Devices that are online, and what they hear.

use super::*;
use crate::mqtt::Line;
use serde_json::Value;

/// A device on a connection.
pub(super) struct Online<'w> {
    world: &'w World,
    pub device: Device,
    line: Line,
}

impl World {
    pub(super) async fn online(&self, name: &str) -> Online<'_> {
        let device = self.device(name).await;
        self.plugs_in(device)
    }

    pub(super) fn plugs_in(&self, device: Device) -> Online<'_> {
        let line = self.app.registry.plug_in(device.product, device.no);
        let gatekeeper = Gatekeeper(self.app.clone());
        gatekeeper.came_online(line.peer, IpAddr::V4(Ipv4Addr::LOCALHOST));
        Online { world: self, device, line }
    }

    /// Lets everything happen that is to happen now.
    pub(super) async fn settles(&self) {
        self.passes(50).await;
    }
}

impl Online<'_> {
    pub(super) fn unplugs(self) -> Device {
        self.world.app.registry.unplug(&self.line);
        Gatekeeper(self.world.app.clone()).went_offline(self.line.peer);
        self.device
    }

    pub(super) fn reconnects(self) -> Self {
        let world = self.world;
        world.plugs_in(self.unplugs())
    }

    async fn says(&self, report: Report) {
        let gatekeeper = Gatekeeper(self.world.app.clone());
        gatekeeper.report(self.line.peer, report).await.unwrap().await.unwrap();
        self.world.settles().await;
    }

    pub(super) async fn informs(&self, text: &str) {
        self.informs_of("default", text).await;
    }

    pub(super) async fn informs_of(&self, module: &str, text: &str) {
        let module = ModuleName::parse(module).unwrap();
        self.says(Report::Inform(Inform { module, version: version(text) })).await;
    }

    pub(super) async fn progresses(&self, step: i32) {
        self.progresses_of(None, step, "").await;
    }

    pub(super) async fn progresses_of(&self, module: Option<&str>, step: i32, text: &str) {
        let module = module.map(|module| ModuleName::parse(module).unwrap());
        self.says(Report::Progress(Progress { module, step, description: text.into() })).await;
    }

    /// Data of the upgrade messages since the last look.
    pub(super) fn hears(&self) -> Vec<Value> {
        let texts = self.line.read();
        let data = |text: String| serde_json::from_str::<Value>(&text).unwrap()["data"].clone();
        texts.into_iter().map(data).collect()
    }

    /// Versions that it was told of since the last look.
    pub(super) fn hears_of(&self) -> Vec<String> {
        self.hears().iter().map(|data| data["version"].as_str().unwrap().to_owned()).collect()
    }
}
