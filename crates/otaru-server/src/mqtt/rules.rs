//! What the topic classes of products let their devices do, at hand for each message. Nothing of it is kept per
//! connection: a change of a class holds for the devices that are online too.

use otaru_core::hash::Map;
use otaru_core::id::ProductNo;
use otaru_core::topic_class::TopicRules;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Rules by product: of those that devices have connected for, at most as many as there are products.
#[derive(Debug, Default)]
pub struct RuleBook(RwLock<Map<ProductNo, Arc<TopicRules>>>);

impl RuleBook {
    fn read(&self) -> RwLockReadGuard<'_, Map<ProductNo, Arc<TopicRules>>> {
        // Each change below is whole before anything could panic.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map<ProductNo, Arc<TopicRules>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn knows(&self, product: ProductNo) -> bool {
        self.read().contains_key(&product)
    }

    /// The rules of a product; of one that is not known, those that allow nothing.
    pub fn of(&self, product: ProductNo) -> Arc<TopicRules> {
        self.read().get(&product).cloned().unwrap_or_default()
    }

    /// Notes rules that were read from the store. A change that was committed meanwhile stands.
    pub fn learn(&self, product: ProductNo, rules: TopicRules) {
        self.write().entry(product).or_insert_with(|| Arc::new(rules));
    }

    /// Notes rules that were committed just now.
    pub fn change(&self, product: ProductNo, rules: TopicRules) {
        self.write().insert(product, Arc::new(rules));
    }

    /// The product is deleted.
    pub fn forget(&self, product: ProductNo) {
        self.write().remove(&product);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_core::topic_class::TopicClass;

    #[test]
    fn what_was_read_before_a_change_does_not_undo_it() {
        let (book, product) = (RuleBook::default(), ProductNo(1));
        let usual = || TopicRules::new(TopicClass::defaults().into());
        let allows = || book.of(product).may_subscribe("user/get");
        assert!(!allows() && !book.knows(product));
        book.learn(product, usual());
        assert!(allows());
        book.change(product, TopicRules::default());
        book.learn(product, usual());
        assert!(!allows() && book.knows(product));
        book.forget(product);
        assert!(!book.knows(product));
    }
}
