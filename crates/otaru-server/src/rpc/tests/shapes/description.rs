//! The API description, and whether a reply is as it says, in JSON and in XML.

use std::collections::{BTreeMap, BTreeSet};

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

use super::super::spec;

/// Operations of the description by name.
pub fn operations() -> BTreeMap<String, Value> {
    let name = |op: &Value| op["name"].as_str().unwrap().to_owned();
    spec::operations().into_iter().map(|op| (name(&op), op)).collect()
}

/// Names of the fields below `fields`, with their way from the root; lists add no step of their own.
pub fn paths(fields: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    walk(fields, "", &mut |path| {
        all.insert(path);
    });
    all
}

fn walk(fields: &Value, above: &str, found: &mut impl FnMut(String)) {
    for field in fields.as_array().unwrap() {
        let path = format!("{above}{}", field["name"].as_str().unwrap());
        let below = if field["type"] == "array" { &field["items"] } else { field };
        if below["fields"].is_array() {
            walk(&below["fields"], &format!("{path}."), found);
        }
        found(path);
    }
}

/// Checks that an object has only described fields, each of its type, and notes those that it has.
pub fn check(
    object: &Map<String, Value>,
    fields: &Value,
    above: &str,
    seen: &mut BTreeSet<String>,
) {
    for (name, value) in object {
        let path = format!("{above}{name}");
        let described = fields.as_array().unwrap().iter().find(|field| field["name"] == **name);
        let field = described.unwrap_or_else(|| panic!("{path} is not described"));
        if field["type"] == "array" {
            let rows = value.as_array().unwrap_or_else(|| panic!("{path} is no list: {value}"));
            for row in rows {
                check_value(row, &field["items"], &path, seen);
            }
        } else {
            check_value(value, field, &path, seen);
        }
        seen.insert(path);
    }
}

fn check_value(value: &Value, field: &Value, path: &str, seen: &mut BTreeSet<String>) {
    if field["fields"].is_array() {
        let object = value.as_object().unwrap_or_else(|| panic!("{path} is no object: {value}"));
        return check(object, &field["fields"], &format!("{path}."), seen);
    }
    let fits = match (field["type"].as_str().unwrap(), field["format"].as_str()) {
        ("string", _) => value.is_string(),
        ("boolean", _) => value.is_boolean(),
        ("integer", Some("int32")) => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        ("integer", Some("int64")) => value.is_i64(),
        other => panic!("{path}: type {other:?}"),
    };
    assert!(fits, "{path} is {value}");
}

/// An element of XML with the elements or the text in it.
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

/// Reads XML as the description says it is to be read: the name of the root, and the object that JSON would show.
/// Lists without rows leave nothing behind.
pub fn from_xml(text: &str, fields: &Value) -> (String, Value) {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element { name: String::new(), text: String::new(), children: vec![] }];
    loop {
        match reader.read_event().unwrap() {
            Event::Decl(_) => {}
            Event::Start(start) => {
                let name = start.name().as_ref().to_owned();
                open.push(Element { name, text: String::new(), children: vec![] });
            }
            Event::Empty(empty) => {
                let name = empty.name().as_ref().to_owned();
                let last = open.last_mut().unwrap();
                last.children.push(Element { name, text: String::new(), children: vec![] });
            }
            Event::End(_) => {
                let done = open.pop().unwrap();
                open.last_mut().unwrap().children.push(done);
            }
            Event::Text(text) => open.last_mut().unwrap().text += &text,
            Event::GeneralRef(entity) => {
                let text = quick_xml::escape::resolve_predefined_entity(&entity).unwrap();
                open.last_mut().unwrap().text += text;
            }
            Event::Eof => break,
            other => panic!("{other:?}"),
        }
    }
    let root = open.pop().unwrap().children.pop().unwrap();
    let value = object(&root, fields);
    (root.name, value)
}

fn object(element: &Element, fields: &Value) -> Value {
    let mut object = Map::new();
    for child in &element.children {
        let name = &child.name;
        let described = fields.as_array().unwrap().iter().find(|field| field["name"] == **name);
        let field = described.unwrap_or_else(|| panic!("<{name}> is not described"));
        if field["type"] == "array" {
            let row = scalar_or_object(child, &field["items"]);
            let rows = object.entry(name.clone()).or_insert_with(|| Value::Array(vec![]));
            rows.as_array_mut().unwrap().push(row);
        } else {
            let value = scalar_or_object(child, field);
            assert!(object.insert(name.clone(), value).is_none(), "<{name}> twice");
        }
    }
    Value::Object(object)
}

fn scalar_or_object(element: &Element, field: &Value) -> Value {
    if field["fields"].is_array() {
        assert_eq!(element.text, "", "<{}> is text", element.name);
        return object(element, &field["fields"]);
    }
    assert!(element.children.is_empty(), "<{}> is an object", element.name);
    match field["type"].as_str().unwrap() {
        "string" => element.text.clone().into(),
        "boolean" => element.text.parse::<bool>().unwrap().into(),
        _ => element.text.parse::<i64>().unwrap().into(),
    }
}

/// The same reply without its lists that have no rows: XML does not show those.
pub fn without_empty_lists(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept =
                object.iter().filter(|(_, value)| !value.as_array().is_some_and(Vec::is_empty));
            Value::Object(kept.map(|(k, v)| (k.clone(), without_empty_lists(v))).collect())
        }
        Value::Array(rows) => Value::Array(rows.iter().map(without_empty_lists).collect()),
        other => other.clone(),
    }
}
