//! Modules: the parts of a product that are upgraded each by itself.

use crate::refusal::{self, Refusal};
use crate::time::Timestamp;
use crate::version::{ModuleName, is_reserved};

/// Modules of a product beside the default one.
pub const CUSTOM_MAX: usize = 10;

/// A module of a product. The default one stands for the whole device and is there from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    pub name: ModuleName,
    /// Empty: none.
    pub alias: String,
    /// Empty: none.
    pub description: String,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

/// Checks the name of a new module (rows of `CreateOTAModule` in the refusals).
///
/// # Errors
/// Not 1 to 64 of `A-Z a-z 0-9 . - _`; `default` or a member name of the upgrade message, in any case form.
pub fn check_name(text: &str) -> Result<ModuleName, Refusal> {
    let name = ModuleName::parse(text).map_err(|_| refusal::CREATE_MODULE_PARAMETER.with(text))?;
    if name.is_default() || is_reserved(text) {
        return Err(refusal::MODULE_NAME_RESERVED.with(text));
    }
    Ok(name)
}

/// Whether `text` can be an alias: at most 64 characters, none of them a control character.
pub fn is_alias(text: &str) -> bool {
    text.chars().count() <= 64 && !text.contains(char::is_control)
}

/// Whether `text` can be a description: at most 100 characters.
pub fn is_description(text: &str) -> bool {
    text.chars().count() <= 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_module_has_a_name_of_its_own() {
        for good in ["MCU", "a.b-c_1", "defaults", &"x".repeat(64)] {
            assert_eq!(check_name(good).unwrap().as_str(), good);
        }
        for (bad, code) in [
            ("", "iot.ota.CreateOTAModuleParamError"),
            ("模块", "iot.ota.CreateOTAModuleParamError"),
            (&"x".repeat(65), "iot.ota.CreateOTAModuleParamError"),
            ("default", "iot.firmware.ModuleNameReserved"),
            ("DEFAULT", "iot.firmware.ModuleNameReserved"),
            ("signMETHOD", "iot.firmware.ModuleNameReserved"),
        ] {
            assert_eq!(check_name(bad).unwrap_err().code, code, "{bad}");
        }
    }

    #[test]
    fn aliases_and_descriptions_have_a_length() {
        assert!(is_alias(&"灯".repeat(64)) && is_alias("with blanks"));
        assert!(!is_alias(&"x".repeat(65)) && !is_alias("a\nb"));
        assert!(is_description(&"灯".repeat(100)) && !is_description(&"x".repeat(101)));
    }
}
