//! The API descriptions that the code is compared with.

use serde_json::Value;

fn read(name: &str) -> Value {
    let path = format!("{}/../../tests/spec/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the description is in the repository");
    serde_json::from_str(&text).expect("the description is JSON")
}

/// The description of the OTA family and what supports it, with the codes of all.
pub fn api() -> Value {
    read("api.json")
}

/// Described operations: of that family, then those beside it, in the same form.
pub(in crate::rpc) fn operations() -> Vec<Value> {
    let list = |api: Value| api["operations"].as_array().expect("a list").clone();
    [list(api()), list(read("more.json"))].concat()
}
