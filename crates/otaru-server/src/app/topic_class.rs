//! Topic classes of products.

use super::effect::Effects;
use super::{App, Caller, Result, lookup};
use crate::mqtt::RuleBook;
use crate::store::{self, Rows, View};
use otaru_core::id::ProductNo;
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::topic_class::{CLASSES_MAX, ClassNo, Right, TopicClass, TopicRules};

/// A class as a caller words it; right and description are checked.
#[derive(Debug, Clone)]
pub struct ClassText {
    /// In short or in full, see [`TopicClass::tail`].
    pub name: String,
    pub right: Right,
    pub description: Option<String>,
    pub subscribes_by_itself: Option<bool>,
}

/// What the classes of a product let its devices do.
pub(super) fn rules(view: &mut dyn View, product: ProductNo) -> store::Result<TopicRules> {
    let classes = view.topic_classes(product)?;
    Ok(TopicRules::new(classes.into_iter().map(|(_, class)| class).collect()))
}

/// Has the rules of a product at hand, for its devices that come online.
pub(super) fn learn(view: &mut dyn View, book: &RuleBook, product: ProductNo) -> store::Result<()> {
    if !book.knows(product) {
        book.learn(product, rules(view, product)?);
    }
    Ok(())
}

/// Gives a new product the classes that each has.
pub(super) fn make_defaults(
    rows: &mut dyn Rows,
    product: ProductNo,
    effects: &mut Effects,
) -> store::Result<()> {
    for class in TopicClass::defaults() {
        rows.insert_topic_class(product, &class)?;
    }
    changed(rows, product, effects)
}

/// Devices that are online are held to the classes as they are now, once they are committed.
fn changed(rows: &mut dyn Rows, product: ProductNo, effects: &mut Effects) -> store::Result<()> {
    let rules = rules(rows, product)?;
    effects.rules.push((product, Some(rules)));
    Ok(())
}

/// The tail of a class that is free; `except` may have it.
fn tail(
    view: &mut dyn View,
    product: &Product,
    text: &ClassText,
    except: Option<ClassNo>,
) -> Result<String> {
    let tail = TopicClass::tail(&text.name, &product.key, text.right)
        .map_err(|error| refusal::MALFORMED_TOPIC.with(format!("{}: {error}", text.name)))?;
    let classes = view.topic_classes(product.no)?;
    if classes.iter().any(|(no, class)| class.tail == tail && Some(*no) != except) {
        return Err(refusal::CREATE_TOPIC_FAILED.with(format!("{tail} exists")).into());
    }
    if except.is_none() && classes.len() >= CLASSES_MAX {
        let detail = format!("a product has at most {CLASSES_MAX}");
        return Err(refusal::CREATE_TOPIC_FAILED.with(detail).into());
    }
    Ok(tail)
}

/// The class of a number, and its product.
fn class(
    view: &mut dyn View,
    caller: Caller,
    number: &str,
) -> Result<(ClassNo, Product, TopicClass)> {
    let unknown = || refusal::NO_TOPIC.with(number);
    let no = number.parse().map(ClassNo).map_err(|_| unknown())?;
    let (product, class) = view.topic_class(no)?.ok_or_else(unknown)?;
    let product = lookup::ours(view, caller, product)?;
    let product = product.filter(|it| it.deleted_at.is_none()).ok_or_else(unknown)?;
    Ok((no, (*product).clone(), class))
}

impl App {
    pub async fn create_topic_class(
        &self,
        caller: Caller,
        product_key: String,
        text: ClassText,
    ) -> Result<ClassNo> {
        self.change(move |rows, _, effects| {
            let product = lookup::product(rows, caller, &product_key)?;
            let class = TopicClass {
                tail: tail(rows, &product, &text, None)?,
                right: text.right,
                subscribes_by_itself: text.subscribes_by_itself.unwrap_or_default(),
                description: text.description.clone().unwrap_or_default(),
            };
            let no = rows.insert_topic_class(product.no, &class)?;
            changed(rows, product.no, effects)?;
            Ok(no)
        })
        .await
    }

    /// A product with its classes, oldest first.
    pub async fn topic_classes(
        &self,
        caller: Caller,
        product_key: String,
    ) -> Result<(Product, Vec<(ClassNo, TopicClass)>)> {
        self.view(move |view| {
            let product = lookup::product(view, caller, &product_key)?;
            let classes = view.topic_classes(product.no)?;
            Ok(((*product).clone(), classes))
        })
        .await
    }

    /// Replaces a class; what is not given of description and delegation stays.
    pub async fn update_topic_class(
        &self,
        caller: Caller,
        number: String,
        text: ClassText,
    ) -> Result<()> {
        self.change(move |rows, _, effects| {
            let (no, product, before) = class(rows, caller, &number)?;
            let by_itself = text.subscribes_by_itself.unwrap_or(before.subscribes_by_itself);
            let class = TopicClass {
                tail: tail(rows, &product, &text, Some(no))?,
                right: text.right,
                subscribes_by_itself: by_itself && text.right != Right::Publish,
                description: text.description.clone().unwrap_or(before.description),
            };
            rows.update_topic_class(no, &class)?;
            Ok(changed(rows, product.no, effects)?)
        })
        .await
    }

    pub async fn delete_topic_class(&self, caller: Caller, number: String) -> Result<()> {
        self.change(move |rows, _, effects| {
            let (no, product, _) = class(rows, caller, &number)?;
            rows.delete_topic_class(no)?;
            Ok(changed(rows, product.no, effects)?)
        })
        .await
    }
}
