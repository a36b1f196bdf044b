//! Prints a reply as JSON.

use serde_json::{Map, Value};

use super::tree::{Fields, Node};

/// One JSON object, compact, fields in the order given.
pub fn print(fields: Fields) -> String {
    object(fields).to_string()
}

fn object(fields: Fields) -> Value {
    let fields =
        fields.into_iter().filter_map(|(name, node)| Some((name.to_owned(), value(node)?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn value(node: Node) -> Option<Value> {
    Some(match node {
        Node::Object(fields) => object(fields),
        Node::List { item, rows } => {
            Value::Object(Map::from_iter([(item.to_owned(), array(rows))]))
        }
        Node::Bare(rows) => array(rows),
        Node::Text(text) => Value::String(text),
        Node::Integer(number) => Value::Number(number.into()),
        Node::Boolean(truth) => Value::Bool(truth),
        Node::Absent => return None,
    })
}

fn array(rows: Vec<Node>) -> Value {
    Value::Array(rows.into_iter().filter_map(value).collect())
}
