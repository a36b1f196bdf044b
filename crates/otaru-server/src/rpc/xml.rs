//! Prints a reply as XML.

use quick_xml::escape::escape;

use super::tree::{Fields, Node};

/// A document whose root element is `root`, fields in the order given.
pub fn print(root: &str, fields: Fields) -> String {
    let mut out = String::from("<?xml version='1.0' encoding='UTF-8'?>");
    element(&mut out, root, |out| children(out, fields));
    out
}

fn children(out: &mut String, fields: Fields) {
    for (name, node) in fields {
        field(out, name, node);
    }
}

fn field(out: &mut String, name: &str, node: Node) {
    match node {
        Node::Object(fields) => element(out, name, |out| children(out, fields)),
        Node::List { item, rows } => element(out, name, |out| {
            for row in rows {
                field(out, item, row);
            }
        }),
        // The field itself repeats: a bare list has no name for its rows.
        Node::Bare(rows) => {
            for row in rows {
                field(out, name, row);
            }
        }
        Node::Text(text) => element(out, name, |out| out.push_str(&escape(&text))),
        Node::Integer(number) => element(out, name, |out| out.push_str(&number.to_string())),
        Node::Boolean(truth) => element(out, name, |out| out.push_str(&truth.to_string())),
        Node::Absent => {}
    }
}

/// `<name>…</name>`, or `<name/>` when `content` writes nothing.
fn element(out: &mut String, name: &str, content: impl FnOnce(&mut String)) {
    out.extend(["<", name, ">"]);
    let start = out.len();
    content(out);
    if out.len() == start {
        out.truncate(start - 1);
        out.push_str("/>");
    } else {
        out.extend(["</", name, ">"]);
    }
}

/// Whether XML can't carry `c`, not even escaped (XML 1.0, section 2.2).
pub fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::super::{json, tree::reply};
    use super::*;

    reply! {
        struct Tag {
            key: String = "Key",
        }
        struct Row {
            id: String = "Id",
            note: Option<String> = "Note",
            tags: Vec<Tag> = "Tags" list "Tag",
        }
        struct Page {
            rows: Vec<Row> = "Data" listing "Row",
            names: Vec<String> = "Names" bare,
            total: i32 = "Total",
            at: i64 = "At",
            open: bool = "Open",
        }
    }

    fn check(page: Page, want_json: &str, want_xml: &str) {
        use super::super::tree::ReplyObject;
        let fields = page.into_fields();
        assert_eq!(json::print(fields.clone()), want_json);
        let want = format!("<?xml version='1.0' encoding='UTF-8'?>{want_xml}");
        assert_eq!(print("PageResponse", fields), want);
    }

    #[test]
    fn lists_wrap_their_rows_and_bare_lists_repeat_their_field() {
        check(
            Page {
                rows: vec![
                    Row {
                        id: String::new(),
                        note: Some("a<&\"b".into()),
                        tags: vec![Tag { key: "k".into() }],
                    },
                    Row { id: "2".into(), note: None, tags: vec![] },
                ],
                names: vec!["x".into(), "y".into()],
                total: -1,
                at: 1_700_000_000_000,
                open: true,
            },
            r#"{"Data":{"Row":[{"Id":"","Note":"a<&\"b","Tags":{"Tag":[{"Key":"k"}]}},{"Id":"2"}]},"Names":["x","y"],"Total":-1,"At":1700000000000,"Open":true}"#,
            "<PageResponse><Data><Row><Id/><Note>a&lt;&amp;&quot;b</Note><Tags><Tag><Key>k</Key></Tag></Tags></Row>\
             <Row><Id>2</Id></Row></Data><Names>x</Names><Names>y</Names><Total>-1</Total><At>1700000000000</At>\
             <Open>true</Open></PageResponse>",
        );
    }

    #[test]
    fn an_empty_listing_keeps_its_wrapper_and_other_empty_lists_are_left_out() {
        check(
            Page { rows: vec![], names: vec![], total: 0, at: 0, open: false },
            r#"{"Data":{"Row":[]},"Total":0,"At":0,"Open":false}"#,
            "<PageResponse><Data/><Total>0</Total><At>0</At><Open>false</Open></PageResponse>",
        );
    }

    #[test]
    fn nothing_but_absent_fields_is_an_empty_root() {
        assert!(print("XResponse", vec![("A", Node::Absent)]).ends_with("<XResponse/>"));
        assert_eq!(json::print(vec![("A", Node::Absent)]), "{}");
    }
}
