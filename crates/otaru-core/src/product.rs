//! Products: what a device is one of.

use crate::id::{AccountNo, InstanceNo, ProductKey, ProductNo};
use crate::registration::Registration;
use crate::time::Timestamp;

/// A product as the rules and the API see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub no: ProductNo,
    pub account: AccountNo,
    pub instance: InstanceNo,
    pub key: ProductKey,
    pub secret: String,
    pub name: String,
    pub profile: ProductProfile,
    /// Which of its devices may register themselves.
    pub registration: Registration,
    pub created_at: Timestamp,
    /// Since when it is found by its number only: its jobs stay as history.
    pub deleted_at: Option<Timestamp>,
}

/// What the API stores of a product and shows again; no rule of upgrades depends on it, and of those of devices only how
/// they prove who they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProductProfile {
    /// 0 device, 1 gateway.
    pub node_type: i32,
    pub commodity_code: String,
    pub auth_type: String,
    /// 0 custom format, 1 the platform's own (ICA).
    pub data_format: Option<i32>,
    pub category_key: String,
    pub description: String,
    pub protocol_type: String,
    pub net_type: i32,
    pub validate_type: i32,
}

impl ProductProfile {
    /// Whether its devices prove who they are with a certificate instead of their secret.
    pub fn is_by_certificate(&self) -> bool {
        self.auth_type == "x509"
    }
}

/// Whether `name` can be the name of a product: 4 to 30 places, a character beyond ASCII counting two, of letters and
/// digits of any script and `_ - @ ( )`.
pub fn is_product_name(name: &str) -> bool {
    let width: usize = name.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    (4..=30).contains(&width)
        && name.chars().all(|c| c.is_alphanumeric() || "_-@()（）".contains(c))
}

/// Whether `name` can be the remark name of a device: 4 to 64 places as above, of letters, digits and `_`.
pub fn is_nickname(name: &str) -> bool {
    let width: usize = name.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    (4..=64).contains(&width) && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_name_has_4_to_30_places() {
        for good in ["lamp", "灯具", "Lamp-1_(EU)@home", &"x".repeat(30), &"灯".repeat(15)] {
            assert!(is_product_name(good), "{good}");
        }
        for bad in ["", "lam", "灯", "a b c", "lamp<1>", &"x".repeat(31), &"灯".repeat(16)] {
            assert!(!is_product_name(bad), "{bad}");
        }
    }
}
