//! Modules of products, and the versions that devices report of them.

use super::{Page, Result};
use otaru_core::id::{DeviceNo, ProductNo};
use otaru_core::module::Module;
use otaru_core::version::{ModuleName, Version};

pub trait ModuleView {
    /// A module by its name in any case; the default module exists in every product.
    fn module(&mut self, product: ProductNo, name: &ModuleName) -> Result<Option<Module>>;
    /// Modules of a product, by name whatever the case, `default` among them.
    fn modules(&mut self, product: ProductNo) -> Result<Vec<Module>>;
    /// Whether a package of the module exists that is not deleted.
    fn module_has_packages(&mut self, product: ProductNo, name: &ModuleName) -> Result<bool>;
    /// What a device has reported, by name of the module whatever the case; names are spelt as at the creation of the
    /// module, and of those that the product does not have as the device spelt them first.
    fn versions_of_device(
        &mut self,
        product: ProductNo,
        device: DeviceNo,
        page: Page,
    ) -> Result<Vec<(ModuleName, Version)>>;
    /// Modules whose version a device has reported.
    fn version_count(&mut self, device: DeviceNo) -> Result<u64>;
}

pub trait ModuleRows: ModuleView {
    fn insert_module(&mut self, product: ProductNo, new: &Module) -> Result<()>;
    /// Writes alias, description and the time of the change.
    fn update_module(&mut self, product: ProductNo, module: &Module) -> Result<()>;
    fn delete_module(&mut self, product: ProductNo, name: &ModuleName) -> Result<()>;
}
