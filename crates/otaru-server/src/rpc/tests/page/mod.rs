//! `docs/api.md`: written from the operation table, and held to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use otaru_core::refusal;
use serde::Deserialize;
use serde_json::Value;

use super::codes;
use super::shapes::{Walk, scene};
use super::spec;
use crate::cli::call;
use crate::rpc::op::{self, Access, Op};
use crate::rpc::request::{Kind, ParamRow};
use crate::rpc::tree::{FieldRow, Shape};

/// Set to write the page instead of comparing it.
const WRITE: &str = "OTARU_WRITE_DOCS";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Notes {
    params: BTreeMap<String, String>,
    ops: BTreeMap<String, OpNotes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpNotes {
    does: String,
    #[serde(default)]
    params: BTreeMap<String, String>,
}

/// All that the page is made of.
struct Page {
    notes: Notes,
    described: BTreeMap<String, Value>,
    /// Errors of the gateway in the API description, by code.
    gateway: BTreeMap<String, Value>,
    /// Codes that refused calls of an operation got.
    codes: BTreeMap<String, BTreeSet<String>>,
    calls: Calls,
}

/// A call of each operation that succeeded.
type Calls = BTreeMap<String, String>;

#[test]
fn the_page_says_what_the_table_and_the_tests_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api.md");
    let page = Page::gather().print();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let stale = kept.lines().zip(page.lines()).find(|(kept, made)| kept != made);
    assert!(
        kept == page,
        "docs/api.md is stale; write it again: {WRITE}=1 cargo test -p otaru-server --lib page\n{stale:?}"
    );
}

#[test]
fn every_example_is_a_command_of_its_operation() {
    let (_, calls) = walk();
    for op in op::all() {
        let words = example(op, &calls);
        let params = call::parameters(op.action, words[3..].to_vec());
        let params = params.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert_eq!(params.len(), (words.len() - 3) / 2, "{words:?}");
    }
}

#[test]
fn notes_name_operations_and_parameters_that_are_there() {
    let notes = notes();
    let ours: BTreeSet<_> = op::all().map(|op| op.action).collect();
    assert_eq!(notes.ops.keys().map(String::as_str).collect::<BTreeSet<_>>(), ours);
    let has = |op: &Op, name: &str| op.params.iter().any(|row| row.name == name);
    for name in notes.params.keys() {
        assert!(op::all().any(|op| has(op, name)), "{name}");
    }
    for op in op::all() {
        for name in notes.ops[op.action].params.keys() {
            assert!(has(op, name), "{} {name}", op.action);
        }
    }
}

fn notes() -> Notes {
    toml::from_str(include_str!("notes.toml")).expect("notes are TOML")
}

/// The described operations, and a call of each.
fn walk() -> (BTreeMap<String, Value>, Calls) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let walk = Walk::new().await;
        scene::play(&walk).await;
        (walk.described, walk.calls.take())
    })
}

fn gateway_errors() -> BTreeMap<String, Value> {
    let api = spec::api();
    let rows = api["gateway_errors"].as_array().unwrap();
    rows.iter().map(|row| (row["code"].as_str().unwrap().to_owned(), row.clone())).collect()
}

impl Page {
    fn gather() -> Self {
        let codes = codes::refused_by_operation();
        let (described, calls) = walk();
        Self { notes: notes(), described, gateway: gateway_errors(), codes, calls }
    }

    fn print(&self) -> String {
        let mut page = include_str!("head.md").to_owned();
        let mut families: Vec<(&str, Vec<&Op>)> = Vec::new();
        for op in op::all() {
            let name = op.family.as_str();
            match families.iter_mut().find(|(family, _)| *family == name) {
                Some((_, ops)) => ops.push(op),
                None => families.push((name, vec![op])),
            }
        }
        page.push_str("\n## Operations\n\n");
        for (family, ops) in &families {
            let links = ops.iter().map(|op| format!("[{0}](#{1})", op.action, anchor(op.action)));
            let links: Vec<_> = links.collect();
            writeln!(page, "- **{family}:** {}", links.join(", ")).unwrap();
        }
        for op in families.iter().flat_map(|(_, ops)| ops) {
            self.operation(&mut page, op);
        }
        self.gateway(&mut page);
        page
    }

    fn operation(&self, page: &mut String, op: &Op) {
        let notes = &self.notes.ops[op.action];
        let access = match op.access() {
            Access::Read => "read",
            Access::Write => "write",
        };
        write!(page, "\n### {}\n\n{}\n\n", op.action, notes.does).unwrap();
        writeln!(
            page,
            "Permission: {access}. The original allows {} calls a second.\n",
            op.per_second
        )
        .unwrap();
        page.push_str(
            "| Parameter | Type | Needed | Values | What it is |\n|---|---|---|---|---|\n",
        );
        let described = self.described[op.action]["params"].as_array().unwrap();
        for row in op.params {
            let facts = described.iter().find(|param| param["name"] == row.name).unwrap();
            let needed = if row.required { "yes" } else { "" };
            let note = notes.params.get(row.name).or_else(|| self.notes.params.get(row.name));
            let note = note.map_or("", String::as_str).replace('|', "\\|");
            writeln!(
                page,
                "| `{}` | {} | {needed} | {} | {note} |",
                row.name,
                kind(row),
                values(row, facts),
            )
            .unwrap();
        }
        let reply = fields(op.reply);
        if reply.is_empty() {
            page.push_str("\nThe reply holds nothing more.\n");
        } else {
            writeln!(page, "\nReply: {reply}").unwrap();
        }
        let codes = self.codes.get(op.action).into_iter().flatten();
        let mut codes: BTreeSet<_> = codes
            .filter(|code| !self.gateway.contains_key(code.as_str()) && code.contains('.'))
            .map(String::as_str)
            .collect();
        codes.insert(op.failure.code);
        page.push_str("\nCodes:\n\n");
        for code in codes {
            let row = refusal::ALL.iter().find(|row| row.code == code);
            let message = row.map_or("", |row| row.message);
            writeln!(page, "- `{code}`: {message}").unwrap();
        }
        writeln!(page, "\n```sh\n{}\n```", example(op, &self.calls).join(" ")).unwrap();
    }

    fn gateway(&self, page: &mut String) {
        let answered: BTreeSet<_> = self.codes.values().flatten().collect();
        page.push_str("\n## Codes of the gateway\n\n| Code | Status | Message |\n|---|---|---|\n");
        for (code, row) in &self.gateway {
            // `Missing{Name}` and `Invalid{Name}` stand for a code per parameter.
            if answered.contains(code) || code.contains('{') {
                let status = &row["http_status"];
                let message = row["message"].as_str().unwrap_or_default().replace('|', "\\|");
                writeln!(page, "| `{code}` | {status} | {message} |").unwrap();
            }
        }
    }
}

/// The call of an operation as a command. What the server gave out is a variable.
fn example(op: &Op, calls: &Calls) -> Vec<String> {
    let mut words = vec!["otaru".to_owned(), "call".to_owned(), op.action.to_owned()];
    for (name, value) in super::pairs(&calls[op.action]) {
        let base = name.split('.').next().unwrap();
        if !op.params.iter().any(|row| row.name == base) {
            // The door reads past what an operation doesn't have.
            continue;
        }
        let field = name.rsplit('.').find(|part| part.parse::<u32>().is_err()).unwrap();
        let value =
            if is_given_out(field) { format!("${}", variable(field)) } else { shell(&value) };
        words.extend([format!("--{name}"), value]);
    }
    words
}

/// Parameters whose values come from replies.
fn is_given_out(name: &str) -> bool {
    let ids = ["ProductKey", "ProductKeyList", "DnListFileUrl", "FirmwareUrl", "Url", "NextToken"];
    ids.contains(&name) || name.ends_with("Id") || name.ends_with("Ids") || name == "TopicFullName"
}

/// `ProductKey` as `PRODUCT_KEY`.
fn variable(name: &str) -> String {
    let mut variable = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !variable.is_empty() {
            variable.push('_');
        }
        variable.push(c.to_ascii_uppercase());
    }
    variable
}

/// A word that a shell leaves as it is.
fn shell(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@,%+=".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

fn anchor(action: &str) -> String {
    action.to_ascii_lowercase()
}

fn kind(row: &ParamRow) -> String {
    match row.kind {
        Kind::Text => "text".to_owned(),
        Kind::Int32 => "int32".to_owned(),
        Kind::Int64 => "int64".to_owned(),
        Kind::Boolean => "boolean".to_owned(),
        Kind::Texts => "list of texts".to_owned(),
        Kind::Objects(fields) => {
            let names: Vec<_> = fields.iter().map(|field| field.name).collect();
            format!("list of {}", names.join(", "))
        }
    }
}

/// What a parameter may be, as the API description has it.
fn values(row: &ParamRow, facts: &Value) -> String {
    let mut said = Vec::new();
    if let Some(most) = facts["max_items"].as_i64() {
        said.push(format!("up to {most}"));
    }
    let is_unique = facts["unique"] == true;
    said.extend(is_unique.then(|| "no two alike".to_owned()));
    said.extend(range(facts));
    match row.kind {
        Kind::Objects(fields) => {
            for field in fields {
                let all = facts["items"]["fields"].as_array().into_iter().flatten();
                let facts = all.into_iter().find(|facts| facts["name"] == field.name);
                let range = facts.map(range).unwrap_or_default();
                if !range.is_empty() {
                    said.push(format!("{}: {}", field.name, range.join(", ")));
                }
            }
        }
        _ => said.extend(range(&facts["items"])),
    }
    if let Some(usual) = facts.get("default").filter(|usual| !usual.is_null() && **usual != "") {
        let usual = usual.as_str().map_or_else(|| usual.to_string(), str::to_owned);
        said.push(format!("default {usual}"));
    }
    said.join("; ").replace('|', "\\|")
}

fn range(facts: &Value) -> Vec<String> {
    let number = |name: &str| facts[name].as_i64();
    let between = |least: Option<i64>, most: Option<i64>, what: &str| match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{what}")),
        (Some(least), None) => Some(format!("at least {least}{what}")),
        (None, Some(most)) => Some(format!("up to {most}{what}")),
        (None, None) => None,
    };
    let mut said = Vec::new();
    if let Some(values) = facts["enum"].as_array() {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        said.push(values.iter().map(text).collect::<Vec<_>>().join(", "));
    }
    said.extend(between(number("min"), number("max"), ""));
    said.extend(between(number("min_len"), number("max_len"), " characters"));
    said.extend(between(None, number("max_bytes"), " bytes"));
    said
}

fn fields(rows: &[FieldRow]) -> String {
    let names: Vec<_> =
        rows.iter().map(|row| format!("`{}`{}", row.name, inside(row.shape))).collect();
    names.join(", ")
}

/// What is in a field, in brackets; nothing for a plain value.
fn inside(shape: Shape) -> String {
    match shape {
        Shape::Text | Shape::Int32 | Shape::Int64 | Shape::Boolean => String::new(),
        Shape::Object(rows) => format!(" {{ {} }}", fields(rows)),
        Shape::List { item, of } => format!(" {{ `{item}` [{}] }}", inside(*of).trim()),
        Shape::Bare(of) => format!(" [{}]", inside(*of).trim()),
    }
}
