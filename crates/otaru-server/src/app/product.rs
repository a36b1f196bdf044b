//! Products.

use super::{App, Caller, Result, lookup, topic_class};
use crate::store::{Listed, Page};
use otaru_core::id::{ProductKey, ProductNo, spell};
use otaru_core::product::{Product, ProductProfile};
use otaru_core::refusal;
use otaru_core::registration::Registration;

/// A product to make; its name and profile are checked.
#[derive(Debug, Clone)]
pub struct NewProduct {
    pub name: String,
    pub profile: ProductProfile,
}

impl App {
    pub async fn create_product(&self, caller: Caller, new: NewProduct) -> Result<Product> {
        let products_max = self.limits.products_max;
        self.change(move |rows, now, effects| {
            if lookup::listed_for(rows, caller)?.is_some() {
                // Nobody can have listed it yet.
                return Err(refusal::RAM_DENIED.with("a new product").into());
            }
            let NewProduct { name, profile } = new.clone();
            if rows.product_name_exists(caller.account, caller.instance, &name)? {
                return Err(refusal::PRODUCT_NAME_TAKEN.with(name).into());
            }
            if rows.product_count(caller.account, caller.instance)? >= products_max {
                return Err(refusal::TOO_MANY_PRODUCTS.with(products_max).into());
            }
            let mut product = Product {
                no: ProductNo(0),
                account: caller.account,
                instance: caller.instance,
                key: ProductKey::generate(rows.random()),
                secret: spell(rows.random(), 16),
                name,
                profile,
                created_at: now,
                registration: Registration::Off,
                deleted_at: None,
            };
            product.no = rows.insert_product(&product)?;
            topic_class::make_defaults(rows, product.no, effects)?;
            Ok(product)
        })
        .await
    }

    /// Products, newest first, each with how many devices it has.
    pub async fn products(
        &self,
        caller: Caller,
        commodity_code: Option<String>,
        page: Page,
    ) -> Result<Listed<(Product, u64)>> {
        self.view(move |view| {
            let commodity_code = commodity_code.clone();
            let filter = lookup::product_filter(view, caller, commodity_code)?;
            let Listed { rows, total } = view.products(&filter, page)?;
            let mut products = Vec::with_capacity(rows.len());
            for product in rows {
                let devices = view.device_count(product.no)?;
                products.push(((*product).clone(), devices));
            }
            Ok(Listed { rows: products, total })
        })
        .await
    }

    /// Gives a product another name, and another description when there is one; both are checked.
    pub async fn update_product(
        &self,
        caller: Caller,
        key: String,
        name: String,
        description: Option<String>,
    ) -> Result<()> {
        self.change(move |rows, _, _| {
            let product = lookup::product(rows, caller, &key)?;
            if name != product.name
                && rows.product_name_exists(caller.account, caller.instance, &name)?
            {
                return Err(refusal::PRODUCT_NAME_TAKEN.with(&name).into());
            }
            let description = description.as_deref().unwrap_or(&product.profile.description);
            Ok(rows.rename_product(product.no, &name, description)?)
        })
        .await
    }

    /// A product and how many devices it has.
    pub async fn product(&self, caller: Caller, key: String) -> Result<(Product, u64)> {
        self.view(move |view| {
            let product = lookup::product(view, caller, &key)?;
            let devices = view.device_count(product.no)?;
            Ok(((*product).clone(), devices))
        })
        .await
    }
}
