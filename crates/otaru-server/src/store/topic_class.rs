//! Which topics of their own the devices of a product may use.

use super::Result;
use otaru_core::id::ProductNo;
use otaru_core::topic_class::{ClassNo, TopicClass};

pub trait TopicClassView {
    /// Classes of a product by rising number.
    fn topic_classes(&mut self, product: ProductNo) -> Result<Vec<(ClassNo, TopicClass)>>;
    fn topic_class(&mut self, no: ClassNo) -> Result<Option<(ProductNo, TopicClass)>>;
}

pub trait TopicClassRows {
    /// A product has each tail once. What belongs to a product goes with it.
    fn insert_topic_class(&mut self, product: ProductNo, new: &TopicClass) -> Result<ClassNo>;
    fn update_topic_class(&mut self, no: ClassNo, class: &TopicClass) -> Result<()>;
    fn delete_topic_class(&mut self, no: ClassNo) -> Result<()>;
}
