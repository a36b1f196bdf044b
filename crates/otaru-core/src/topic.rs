//! Topics of their own that a back end and devices talk over. Source: the device protocol reference, topic rules.

use crate::id::ProductKey;

/// Bytes that a topic has at most.
pub const TOPIC_BYTES_MAX: usize = 128;
/// Slashes that a topic has at most.
pub const TOPIC_SLASHES_MAX: usize = 7;

/// A topic that a back end may publish to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomTopic {
    /// `/{ProductKey}/{DeviceName}/{tail}`; the name as it was written.
    OfDevice { product_key: ProductKey, device_name: String, tail: String },
    /// `/broadcast/{ProductKey}/…`: all devices of the product that have subscribed to it.
    Broadcast { product_key: ProductKey },
}

/// Why a topic can't be published to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// No `/` at its start, an empty level, a wildcard, a control character, too long or too deep.
    #[error("no topic")]
    Format,
    /// A topic, but neither of the two kinds.
    #[error("no topic that a back end may publish to")]
    Kind,
}

impl CustomTopic {
    /// # Errors
    /// [`TopicError`]
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let bad = |c: char| c.is_control() || "+#?".contains(c);
        let levels: Vec<&str> =
            text.strip_prefix('/').ok_or(TopicError::Format)?.split('/').collect();
        if text.len() > TOPIC_BYTES_MAX
            || levels.len() > TOPIC_SLASHES_MAX
            || text.contains(bad)
            || levels.iter().any(|level| level.is_empty())
        {
            return Err(TopicError::Format);
        }
        let key = |text: &str| text.parse::<ProductKey>().map_err(|_| TopicError::Kind);
        match levels.as_slice() {
            ["broadcast", product_key, _, ..] => {
                Ok(Self::Broadcast { product_key: key(product_key)? })
            }
            // What the server itself talks over is no topic of a product.
            ["ota" | "sys" | "ext" | "shadow" | "broadcast", ..] => Err(TopicError::Kind),
            [product_key, device_name, tail @ ..] if !tail.is_empty() => Ok(Self::OfDevice {
                product_key: key(product_key)?,
                device_name: (*device_name).to_owned(),
                tail: tail.join("/"),
            }),
            _ => Err(TopicError::Kind),
        }
    }

    pub fn product_key(&self) -> &ProductKey {
        match self {
            Self::OfDevice { product_key, .. } | Self::Broadcast { product_key } => product_key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_of_a_device_or_a_broadcast_of_a_product() {
        let product_key: ProductKey = "a1B2".parse().unwrap();
        let device = |tail: &str| CustomTopic::OfDevice {
            product_key: product_key.clone(),
            device_name: "dev-001".into(),
            tail: tail.into(),
        };
        let broadcast = || CustomTopic::Broadcast { product_key: product_key.clone() };
        let long = format!("/a1B2/dev-001/user/{}", "x".repeat(200));
        for (text, want) in [
            ("/a1B2/dev-001/user/get", Ok(device("user/get"))),
            ("/a1B2/dev-001/get", Ok(device("get"))),
            ("/broadcast/a1B2/news", Ok(broadcast())),
            ("/broadcast/a1B2/user/news", Ok(broadcast())),
            ("/a1B2/dev-001", Err(TopicError::Kind)),
            ("/broadcast/a1B2", Err(TopicError::Kind)),
            ("/broadcast/no-key/x", Err(TopicError::Kind)),
            ("/sys/a1B2/dev-001/thing/x", Err(TopicError::Kind)),
            ("/ota/device/upgrade/a1B2/dev-001", Err(TopicError::Kind)),
            ("/ext/ntp/a1B2/dev-001/response", Err(TopicError::Kind)),
            ("/no-key/dev-001/user/get", Err(TopicError::Kind)),
            ("", Err(TopicError::Format)),
            ("a1B2/dev-001/user/get", Err(TopicError::Format)),
            ("/a1B2/dev-001/user/", Err(TopicError::Format)),
            ("/a1B2//user/get", Err(TopicError::Format)),
            ("/a1B2/dev-001/user/+", Err(TopicError::Format)),
            ("/a1B2/dev-001/user/a/b/c/d", Ok(device("user/a/b/c/d"))),
            ("/a1B2/dev-001/user/a/b/c/d/e", Err(TopicError::Format)),
            ("/a1B2/dev-001/#", Err(TopicError::Format)),
            ("/a1B2/dev-001/user/a\u{7}", Err(TopicError::Format)),
            (&long, Err(TopicError::Format)),
        ] {
            assert_eq!(CustomTopic::parse(text), want, "{text}");
        }
    }
}
