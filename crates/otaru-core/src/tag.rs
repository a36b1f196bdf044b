//! Tags of devices and products: texts under keys.

use crate::version::is_unprintable;

/// Tags of one device, and of one call.
pub const DEVICE_TAGS_MAX: usize = 100;
/// Tags of one product.
pub const PRODUCT_TAGS_MAX: usize = 100;
/// Bytes of all tags that one call gives a device.
pub const DEVICE_TAGS_BYTES_MAX: usize = 5 * 1024;

/// Whether `key` can name a tag: 1 to 30 letters, digits and dots.
pub fn is_tag_key(key: &str) -> bool {
    (1..=30).contains(&key.len()) && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
}

/// Whether `key` can name a tag of a device; `abc` is reserved.
pub fn is_device_tag_key(key: &str) -> bool {
    is_tag_key(key) && key != "abc"
}

/// Whether a device can give itself a tag of this key: 1 to 100 letters, digits, dots and underscores. SDKs write some
/// with underscores, which calls can't.
pub fn is_uploaded_tag_key(key: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    (1..=100).contains(&key.len()) && key.chars().all(is_good) && key != "abc"
}

/// Whether `value` can be that of a product's tag: 1 to 128 places, a character beyond ASCII counting two, of letters
/// and digits of any script and `_ -`.
pub fn is_product_tag_value(value: &str) -> bool {
    let width: usize = value.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    (1..=128).contains(&width) && value.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// What is wrong with the tags of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceTagsError {
    Long,
    /// No JSON object of printable strings.
    Format,
    Empty,
    Key(String),
}

/// Reads the tags of a device from the JSON object that a call carries, by rising key.
///
/// # Errors
/// [`DeviceTagsError`], in the order of its variants.
pub fn parse_device_tags(json: &str) -> Result<Vec<(String, String)>, DeviceTagsError> {
    if json.len() > DEVICE_TAGS_BYTES_MAX {
        return Err(DeviceTagsError::Long);
    }
    let tags: std::collections::BTreeMap<String, String> =
        serde_json::from_str(json).map_err(|_| DeviceTagsError::Format)?;
    if tags.values().any(|value| value.contains(is_unprintable)) {
        return Err(DeviceTagsError::Format);
    }
    if tags.is_empty() {
        return Err(DeviceTagsError::Empty);
    }
    match tags.keys().find(|key| !is_device_tag_key(key)) {
        Some(key) => Err(DeviceTagsError::Key(key.clone())),
        None => Ok(tags.into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_a_device_are_a_short_json_object_of_texts() {
        let tags = parse_device_tags(r#"{"room":"1\"01","a.b":""}"#).unwrap();
        assert_eq!(tags, [("a.b".into(), String::new()), ("room".into(), "1\"01".into())]);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(5_120));
        for (json, error) in [
            (long.as_str(), DeviceTagsError::Long),
            ("", DeviceTagsError::Format),
            ("[]", DeviceTagsError::Format),
            (r#"{"a":1}"#, DeviceTagsError::Format),
            (r#"{"a":"\u0001"}"#, DeviceTagsError::Format),
            (r#"{"a":"\uffff"}"#, DeviceTagsError::Format),
            ("{}", DeviceTagsError::Empty),
            (r#"{"":"x"}"#, DeviceTagsError::Key(String::new())),
            (r#"{"a b":"x"}"#, DeviceTagsError::Key("a b".into())),
            (r#"{"abc":"x"}"#, DeviceTagsError::Key("abc".into())),
        ] {
            assert_eq!(parse_device_tags(json), Err(error), "{json}");
        }
        let key = "k".repeat(31);
        let json = format!("{{\"{key}\":\"x\"}}");
        assert_eq!(parse_device_tags(&json), Err(DeviceTagsError::Key(key)));
    }

    #[test]
    fn a_value_of_a_products_tag_has_1_to_128_places() {
        for good in ["1", "北-1_a", &"x".repeat(128), &"区".repeat(64)] {
            assert!(is_product_tag_value(good), "{good}");
        }
        for bad in ["", "a b", "a.b", &"x".repeat(129), &"区".repeat(65)] {
            assert!(!is_product_tag_value(bad), "{bad}");
        }
    }
}
