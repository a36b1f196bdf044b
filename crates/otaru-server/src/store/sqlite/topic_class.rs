//! Topic classes of products.

use super::super::{Result, TopicClassRows, TopicClassView};
use super::row::Cols;
use super::tx::Tx;
use otaru_core::id::ProductNo;
use otaru_core::topic_class::{ClassNo, Right, TopicClass};
use rusqlite::params;

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT no, product, tail, access, by_itself, description FROM topic_class ", $rest)
    };
}

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<(ClassNo, ProductNo, TopicClass)> {
    let (no, product) = (ClassNo(cols.take()?), ProductNo(cols.take()?));
    let class = TopicClass {
        tail: cols.take()?,
        right: cols.decoded(|number: &i64| Right::from_number(*number))?,
        subscribes_by_itself: cols.take()?,
        description: cols.take()?,
    };
    Ok((no, product, class))
}

impl TopicClassView for Tx<'_> {
    fn topic_classes(&mut self, product: ProductNo) -> Result<Vec<(ClassNo, TopicClass)>> {
        let mut rows = self.list(select!("WHERE product = ?1"), params![product.0], read)?;
        rows.sort_by_key(|(no, ..)| *no);
        Ok(rows.into_iter().map(|(no, _, class)| (no, class)).collect())
    }

    fn topic_class(&mut self, no: ClassNo) -> Result<Option<(ProductNo, TopicClass)>> {
        let row = self.one(select!("WHERE no = ?1"), params![no.0], read)?;
        Ok(row.map(|(_, product, class)| (product, class)))
    }
}

impl TopicClassRows for Tx<'_> {
    fn insert_topic_class(&mut self, product: ProductNo, new: &TopicClass) -> Result<ClassNo> {
        let TopicClass { tail, right, subscribes_by_itself, description } = new;
        let no = self.insert(
            "INSERT INTO topic_class (product, tail, access, by_itself, description)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![product.0, tail, right.number(), subscribes_by_itself, description],
        )?;
        Ok(ClassNo(no))
    }

    fn update_topic_class(&mut self, no: ClassNo, class: &TopicClass) -> Result<()> {
        let TopicClass { tail, right, subscribes_by_itself, description } = class;
        self.run_one(
            "UPDATE topic_class SET tail = ?2, access = ?3, by_itself = ?4, description = ?5 WHERE no = ?1",
            params![no.0, tail, right.number(), subscribes_by_itself, description],
        )
    }

    fn delete_topic_class(&mut self, no: ClassNo) -> Result<()> {
        self.run_one("DELETE FROM topic_class WHERE no = ?1", params![no.0])
    }
}
