//! What a topic means, and whose it is. A device uses its own topics only, so there is nothing to route. Source: the
//! device protocol reference, topic rules and other topics.

use otaru_core::id::{DeviceName, ProductKey};
use otaru_core::topic_class::TopicRules;
use otaru_core::topology::TopoAsk;
use std::sync::Arc;

/// What the topic of a request begins with, when a topic of the product's own follows.
const CUSTOM_RRPC: &str = "/ext/rrpc/";

/// Whose topics are one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) product_key: ProductKey,
    pub(super) device_name: DeviceName,
}

/// What a message of a device is, by its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uplink<'a> {
    /// Version of a module.
    Inform,
    Progress,
    /// Asks for its open task.
    Pull,
    /// Asks for its open task the old way, and hears on the same topic.
    LegacyPull,
    /// Asks for the time.
    Time,
    /// Asks for a block of a file.
    Block,
    /// A gateway asks for something about its sub-devices.
    Topology,
    /// Answers a request of a back end, which this number names.
    Rrpc(i64),
    /// It says something of its shadow, or asks for it.
    Shadow,
    /// Another request, by what follows `/thing/`.
    Thing(&'a str),
    /// A topic of the product's own, by what follows `/{ProductKey}/{DeviceName}/`.
    Custom(&'a str),
    /// One of its own topics that nobody listens to.
    Unheard,
    /// A topic that the device may not publish to.
    Foreign,
}

/// The product and device that a topic or filter names, in whichever place it has them.
pub(super) fn named(topic: &str) -> Option<(&str, &str)> {
    const PREFIXES: [&str; 9] = [
        "/ota/device/inform/",
        "/ota/device/progress/",
        "/ota/device/request/",
        "/ota/device/upgrade/",
        "/sys/",
        "/ext/ntp/",
        "/ext/session/",
        "/shadow/update/",
        "/shadow/get/",
    ];
    let rest = match topic.strip_prefix(CUSTOM_RRPC) {
        Some(rest) => &rest[rest.find('/')? + 1..],
        None => PREFIXES
            .iter()
            .find_map(|prefix| topic.strip_prefix(prefix))
            .or_else(|| topic.strip_prefix('/'))?,
    };
    let mut levels = rest.split(['/', '?']);
    Some((levels.next()?, levels.next()?)).filter(|(key, name)| !key.is_empty() && !name.is_empty())
}

/// Where a request to `topic` is answered.
pub(super) fn reply_topic(topic: &str) -> String {
    format!("{}_reply", without_query(topic))
}

/// A topic as it is compared: the C SDK 4.x appends `?_rid=…`.
pub(super) fn without_query(topic: &str) -> &str {
    topic.split_once('?').map_or(topic, |(topic, _)| topic)
}

impl Owner {
    /// What follows `/{pk}/{dn}` at the start of `text`: nothing, or `/` and more.
    fn own<'a>(&self, text: &'a str) -> Option<&'a str> {
        let rest = text
            .strip_prefix('/')?
            .strip_prefix(self.product_key.as_str())?
            .strip_prefix('/')?
            .strip_prefix(self.device_name.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// What follows `{prefix}/{pk}/{dn}`.
    fn after<'a>(&self, prefix: &str, text: &'a str) -> Option<&'a str> {
        self.own(text.strip_prefix(prefix)?)
    }

    fn is(&self, prefix: &str, text: &str) -> bool {
        self.after(prefix, text) == Some("")
    }

    fn is_below(&self, prefix: &str, text: &str) -> bool {
        self.after(prefix, text).is_some_and(|rest| rest.len() > 1)
    }

    fn is_topology(&self, prefix: &str, text: &str) -> bool {
        self.after(prefix, text).is_some_and(|rest| TopoAsk::is_one(prefix, rest))
    }

    /// The id when `text` is `/ext/rrpc/{id}` and then an own topic.
    fn custom_rrpc<'a>(&self, text: &'a str) -> Option<&'a str> {
        let rest = text.strip_prefix(CUSTOM_RRPC)?;
        let (id, tail) = rest.split_at(rest.find('/')?);
        (self.is_below("", tail) || self.is_below("/sys", tail)).then_some(id)
    }

    /// The number of the request that a message to `topic` answers.
    fn answered(&self, topic: &str) -> Option<i64> {
        let id = self
            .after("/sys", topic)
            .and_then(|rest| rest.strip_prefix("/rrpc/response/"))
            .or_else(|| self.custom_rrpc(topic));
        id?.parse().ok()
    }

    /// What a message to `topic` is.
    pub(super) fn uplink<'a>(&self, topic: &'a str) -> Uplink<'a> {
        let topic = without_query(topic);
        if self.is("/ota/device/inform", topic) {
            Uplink::Inform
        } else if self.is("/ota/device/progress", topic) {
            Uplink::Progress
        } else if self.is("/ota/device/request", topic) {
            Uplink::LegacyPull
        } else if self.is_topology("/sys", topic) || self.is_topology("/ext/session", topic) {
            Uplink::Topology
        } else if let Some(id) = self.answered(topic) {
            Uplink::Rrpc(id)
        } else if let Some(rest) = self.after("/sys", topic) {
            match rest.strip_prefix("/thing/") {
                Some("ota/firmware/get") => Uplink::Pull,
                Some("file/download") => Uplink::Block,
                // A message in a format of the product's own: it has no id to be answered by.
                Some("model/up_raw") => Uplink::Unheard,
                // What ends so is the device's answer to us.
                Some(request) if !request.is_empty() && !request.ends_with("_reply") => {
                    Uplink::Thing(request)
                }
                _ => Uplink::Unheard,
            }
        } else if self.after("/ext/ntp", topic) == Some("/request") {
            Uplink::Time
        } else if self.is("/shadow/update", topic) {
            Uplink::Shadow
        } else if self.is_below("/ext/session", topic) || self.custom_rrpc(topic).is_some() {
            Uplink::Unheard
        } else if let Some(tail) = self.tail(topic) {
            Uplink::Custom(tail)
        } else {
            Uplink::Foreign
        }
    }

    /// What follows `/{ProductKey}/{DeviceName}/` in a topic or filter of the product's own.
    pub(super) fn tail<'a>(&self, topic: &'a str) -> Option<&'a str> {
        self.own(topic)?.strip_prefix('/').filter(|tail| !tail.is_empty())
    }

    /// Whether the device may subscribe to `filter`. System topics arrive without it, but SDKs ask all the same.
    pub(super) fn may_subscribe(
        &self,
        filter: &str,
        rules: impl FnOnce() -> Arc<TopicRules>,
    ) -> bool {
        if let Some(tail) = self.tail(filter) {
            return rules().may_subscribe(tail);
        }
        let broadcast = || {
            filter
                .strip_prefix("/broadcast/")
                .and_then(|rest| rest.strip_prefix(self.product_key.as_str()))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.is("/ota/device/upgrade", filter)
            || self.is("/ota/device/request", filter)
            || self.is_below("/sys", filter)
            || self.is("/shadow/get", filter)
            || self.after("/ext/ntp", filter) == Some("/response")
            || self.is_below("/ext/session", filter)
            || self.is("/ext/error", filter)
            || self.custom_rrpc(filter).is_some()
            || broadcast()
    }

    /// Whether the device hears a topic only when it has subscribed to it. Source: the device protocol reference, what
    /// breaks a real SDK first.
    pub(super) fn needs_subscription(&self, topic: &str) -> bool {
        self.is_below("", topic)
            || topic.starts_with("/broadcast/")
            || self.custom_rrpc(topic).is_some()
    }
}

/// Whether requests come on topics of this kind, which devices have to say that they know.
pub(super) fn is_custom_rrpc(topic: &str) -> bool {
    topic.starts_with(CUSTOM_RRPC)
}

/// Where a device hears a request of a back end: on the system's topic, or on one of the product's own.
pub fn rrpc_topic(
    product_key: &ProductKey,
    device_name: &DeviceName,
    id: i64,
    custom: Option<&str>,
) -> String {
    match custom {
        Some(topic) => format!("{CUSTOM_RRPC}{id}{topic}"),
        None => format!("/sys/{product_key}/{device_name}/rrpc/request/{id}"),
    }
}

/// Where a device hears what is said to all of its product.
pub fn broadcast_topic(product_key: &ProductKey, device_name: &DeviceName, id: i64) -> String {
    format!("/sys/{product_key}/{device_name}/broadcast/request/{id}")
}

/// Where the device that asks for the time on `topic` hears it.
pub(super) fn time_topic(topic: &str) -> String {
    let topic = without_query(topic);
    format!("{}response", topic.strip_suffix("request").unwrap_or(topic))
}

/// Where a device hears of its shadow.
pub fn shadow_topic(product_key: &ProductKey, device_name: &DeviceName) -> String {
    format!("/shadow/get/{product_key}/{device_name}")
}

/// Where the device that speaks of its shadow on `topic` hears of it.
pub(super) fn shadow_reply_topic(topic: &str) -> String {
    without_query(topic).replacen("/update/", "/get/", 1)
}

/// The topic of a push to a device.
pub fn upgrade_topic(product_key: &ProductKey, device_name: &DeviceName) -> String {
    format!("/ota/device/upgrade/{product_key}/{device_name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_core::topic_class::TopicClass;

    fn owner() -> Owner {
        let (product_key, device_name) = ("a1B2".parse().unwrap(), "dev-001".parse().unwrap());
        Owner { product_key, device_name }
    }

    #[test]
    fn a_topic_says_what_its_message_is() {
        use Uplink::*;
        for (topic, want) in [
            ("/ota/device/inform/a1B2/dev-001", Inform),
            ("/ota/device/inform/a1B2/dev-001?_rid=1795486091797123", Inform),
            ("/ota/device/progress/a1B2/dev-001", Progress),
            ("/ota/device/request/a1B2/dev-001", LegacyPull),
            ("/sys/a1B2/dev-001/thing/ota/firmware/get", Pull),
            ("/sys/a1B2/dev-001/thing/ota/firmware/get?_rid=1", Pull),
            ("/sys/a1B2/dev-001/thing/file/download", Block),
            ("/sys/a1B2/dev-001/thing/deviceinfo/update", Thing("deviceinfo/update")),
            ("/sys/a1B2/dev-001/thing/config/log/get", Thing("config/log/get")),
            ("/sys/a1B2/dev-001/thing/config/push_reply", Unheard),
            ("/sys/a1B2/dev-001/thing/", Unheard),
            ("/sys/a1B2/dev-001/thing/model/up_raw", Unheard),
            ("/sys/a1B2/dev-001/rrpc/response/1", Rrpc(1)),
            (
                "/sys/a1B2/dev-001/rrpc/response/889455942124347392?_rid=1",
                Rrpc(889_455_942_124_347_392),
            ),
            ("/sys/a1B2/dev-001/rrpc/response/x", Unheard),
            ("/sys/a1B2/dev-001/rrpc/response/9999999999999999999", Unheard),
            ("/sys/a1B2/dev-001/rrpc/request/1", Unheard),
            ("/sys/a1B2/dev-001", Unheard),
            ("/ext/ntp/a1B2/dev-001/request", Time),
            ("/ext/session/a1B2/dev-001/combine/login", Topology),
            ("/sys/a1B2/dev-001/thing/topo/add?_rid=1", Topology),
            ("/sys/a1B2/dev-001/thing/topo/change", Thing("topo/change")),
            ("/ext/session/a1B2/dev-001/combine/login_reply", Unheard),
            ("/ext/rrpc/123/a1B2/dev-001/user/x", Rrpc(123)),
            ("/ext/rrpc/123/sys/a1B2/dev-001/x", Rrpc(123)),
            ("/ext/rrpc/x/a1B2/dev-001/user/x", Unheard),
            ("/shadow/update/a1B2/dev-001", Shadow),
            ("/a1B2/dev-001/user/update", Custom("user/update")),
            ("/a1B2/dev-001/update?_rid=1", Custom("update")),
            ("/a1B2/dev-001/", Foreign),
            ("/a1B2/dev-001", Foreign),
            ("/ota/device/inform/a1B2/dev-002", Foreign),
            ("/ota/device/inform/a1B3/dev-001", Foreign),
            ("/ota/device/inform/a1B2/dev-0011", Foreign),
            ("/ota/device/inform/a1B2/dev-001/x", Foreign),
            ("/ota/device/inform", Foreign),
            ("/ota/device/upgrade/a1B2/dev-001", Foreign),
            ("/sys/a1B2/dev-002/thing/ota/firmware/get", Foreign),
            ("/sys/a1B2/dev-001x/thing/ota/firmware/get", Foreign),
            ("/ext/ntp/a1B2/dev-001/response", Foreign),
            ("/ext/rrpc/123/a1B2/dev-002/user/x", Foreign),
            ("/ext/rrpc/123", Foreign),
            ("/a1B2/dev-002/user/update", Foreign),
            ("ota/device/inform/a1B2/dev-001", Foreign),
            ("/broadcast/a1B2/x", Foreign),
            ("?", Foreign),
            ("/", Foreign),
        ] {
            assert_eq!(owner().uplink(topic), want, "{topic}");
        }
    }

    #[test]
    fn system_topics_are_heard_without_a_subscription() {
        for (topic, want) in [
            ("/ota/device/upgrade/a1B2/dev-001", false),
            ("/sys/a1B2/dev-001/thing/ota/firmware/get_reply", false),
            ("/ext/ntp/a1B2/dev-001/response", false),
            ("/shadow/get/a1B2/dev-001", false),
            ("/a1B2/dev-001/user/get", true),
            ("/broadcast/a1B2/news", true),
            ("/sys/a1B2/dev-001/rrpc/request/1", false),
            ("/sys/a1B2/dev-001/broadcast/request/1", false),
            ("/ext/rrpc/1/a1B2/dev-001/user/get", true),
        ] {
            assert_eq!(owner().needs_subscription(topic), want, "{topic}");
        }
    }

    #[test]
    fn only_own_topics_can_be_subscribed_to() {
        for (filter, want) in [
            ("/ota/device/upgrade/a1B2/dev-001", true),
            ("/ota/device/request/a1B2/dev-001", true),
            ("/sys/a1B2/dev-001/thing/event/+/post_reply", true),
            ("/sys/a1B2/dev-001/rrpc/request/+", true),
            ("/sys/a1B2/dev-001/#", true),
            ("/shadow/get/a1B2/dev-001", true),
            ("/ext/ntp/a1B2/dev-001/response", true),
            ("/ext/session/a1B2/dev-001/combine/login_reply", true),
            ("/ext/error/a1B2/dev-001", true),
            ("/ext/rrpc/+/a1B2/dev-001/user/x", true),
            ("/broadcast/a1B2/#", true),
            ("/a1B2/dev-001/user/get", true),
            ("/a1B2/dev-001/get", false),
            ("/a1B2/dev-001/user/update", false),
            ("/a1B2/dev-001/user/#", false),
            ("/a1B2/dev-001/#", false),
            ("#", false),
            ("/#", false),
            ("/+/dev-001/user/get", false),
            ("/a1B2/+/user/get", false),
            ("/ota/device/upgrade/+/+", false),
            ("/ota/device/upgrade/a1B2/dev-002", false),
            ("/ota/device/upgrade/a1B2/dev-001/#", false),
            ("/sys/a1B2/+/thing/ota/firmware/get_reply", false),
            ("/sys/a1B2/dev-002/#", false),
            ("/sys/#", false),
            ("/ext/rrpc/+/#", false),
            ("/ext/rrpc/+/a1B2/+/user/x", false),
            ("/broadcast/a1B3/#", false),
            ("/broadcast/+/#", false),
            ("/broadcast/a1B22", false),
            ("$SYS/#", false),
        ] {
            let rules = || Arc::new(TopicRules::new(TopicClass::defaults().into()));
            assert_eq!(owner().may_subscribe(filter, rules), want, "{filter}");
        }
    }
}
