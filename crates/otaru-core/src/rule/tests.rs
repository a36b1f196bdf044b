use super::*;
use proptest::prelude::*;

fn rule(text: &str) -> Rule {
    Rule::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect()
}

/// 2020-04-04 16:38:19 in UTC+8.
const ACTIVE: Timestamp = Timestamp(1_585_989_499_000);

fn matches(text: &str) -> bool {
    let tags = pairs(&[("room", "101"), ("floor", "1"), ("it's", "a \"b\"")]);
    let versions = pairs(&[("default", "1.0.0"), ("mcu", "2.5")]);
    rule(text).matches(&Facts {
        product_key: "a1Le6d0xxxx",
        iot_id: "Iot7",
        name: "test_1",
        nickname: "灯具",
        activated_at: Some(ACTIVE),
        created_at: Timestamp(ACTIVE.0 - 1),
        modified_at: ACTIVE,
        status: "ONLINE",
        groups: &["g1".into(), "g2".into()],
        tags: &tags,
        versions: &versions,
    })
}

#[test]
fn each_field_is_compared_by_its_type() {
    for text in [
        r#"product_key = "a1Le6d0xxxx" and ota_module.version = "1.0.0""#,
        "iot_id='Iot7'",
        r#"name LIKE "test%""#,
        r#"name like "%""#,
        r#"nickname="灯具""#,
        r#"status = "ONLINE""#,
        r#"active_time = "2020-04-04 16:38:19.000""#,
        "active_time = 2020-04-04 16:38:19",
        "active_time > 2020-04-04 16:38:18.999 AND active_time < '2020-04-04 16:38:19.001'",
        "gmt_create < 2020-04-04 16:38:19",
        "gmt_modified > 2020-04-04",
        r#"group.group_id = "g1" and group.group_id = "g2""#,
        r#"tag.tag_name = "it's" and tag.tag_value = 'a "b"'"#,
        r#"ota_module.name = "MCU" and ota_module.version LIKE "2.%""#,
        r#"ota_module.name LIKE "MC%""#,
    ] {
        assert!(matches(text), "{text}");
    }
    for text in [
        r#"product_key = "a1le6d0xxxx""#,
        r#"name LIKE "Test%""#,
        r#"name = "test""#,
        r#"status = "OFFLINE""#,
        "active_time > 2020-04-04 16:38:19.000",
        "active_time < 2020-04-04 16:38:19.000",
        "gmt_create = 2020-04-04 16:38:19",
        r#"group.group_id = "g3""#,
        r#"ota_module.name LIKE "灯%""#,
    ] {
        assert!(!matches(text), "{text}");
    }
    let silent = Facts {
        product_key: "p",
        iot_id: "i",
        name: "n",
        nickname: "",
        activated_at: None,
        created_at: ACTIVE,
        modified_at: ACTIVE,
        status: "UNACTIVE",
        groups: &[],
        tags: &[],
        versions: &[],
    };
    for text in
        ["active_time < 2099-01-01", r#"tag.tag_name LIKE "%""#, r#"ota_module.name LIKE "%""#]
    {
        assert!(!rule(text).matches(&silent), "{text}");
    }
}

#[test]
fn conditions_on_tags_and_modules_mean_one_until_a_field_comes_again() {
    let one =
        |name: &str, value: &str| format!(r#"tag.tag_name="{name}" and tag.tag_value="{value}""#);
    assert!(matches(&one("room", "101")));
    assert!(!matches(&one("room", "1")), "the value of another tag");
    assert!(matches(&format!("{} and {}", one("room", "101"), one("floor", "1"))));
    assert!(!matches(&format!("{} and {}", one("room", "101"), one("floor", "101"))));
    assert!(matches(r#"tag.tag_value="1" and name="test_1" and tag.tag_name="floor""#));
    assert!(!matches(r#"ota_module.name = "mcu" and ota_module.version = "1.0.0""#));
}

#[test]
fn and_binds_tighter_than_or() {
    let (yes, no) = (r#"name="test_1""#, r#"name="other""#);
    for (text, want) in [
        (format!("{yes} or {no} and {no}"), true),
        (format!("{no} and {no} or {yes}"), true),
        (format!("{no} or {yes} and {no}"), false),
        (format!("{no} OR {no} oR {yes} AnD {yes} and {yes}"), true),
    ] {
        assert_eq!(matches(&text), want, "{text}");
    }
}

#[test]
fn products_are_known_when_every_alternative_names_one() {
    for (text, want) in [
        (
            r#"product_key="b" or product_key="a" and name="x" or product_key="b""#,
            Some(vec!["a", "b"]),
        ),
        (r#"product_key="a" or name="x""#, None),
        (r#"product_key LIKE "a%""#, None),
    ] {
        assert_eq!(rule(text).product_keys(), want, "{text}");
    }
    assert!(rule(r#"status="ONLINE""#).asks(&[Field::Status]));
    assert!(!rule(r#"name="x""#).asks(&[Field::Status, Field::TagName]));
}

#[test]
fn each_fault_has_its_code_and_the_first_row_wins() {
    use Fault as F;
    let five = [r#"name="x""#; 5].join(" and ");
    let ordered = format!("{five} order by name");
    let six = [r#"name="x""#; 6].join(" and ");
    let long = format!(r#"name="{}""#, "x".repeat(400));
    for (text, fault) in [
        ("", F::Statement),
        ("   ", F::Statement),
        ("name", F::Statement),
        ("name =", F::Statement),
        (r#"name "x""#, F::Statement),
        (r#"name = "x"#, F::Statement),
        (r#"name = "x" and"#, F::Statement),
        (r#"name = "x" name = "y""#, F::Statement),
        (r#""name" = "x""#, F::Statement),
        ("name = test", F::Statement),
        (r#"name = "x"; drop table device"#, F::Statement),
        (&long, F::Statement),
        (r#"nick = "x""#, F::Field),
        (r#"NAME = "x""#, F::Field),
        ("color = 1 and property.x > 11 order by name", F::Field),
        (&six, F::Conditions),
        (r#"name > "x""#, F::Operator),
        ("name = 7", F::Operator),
        (r#"active_time LIKE "2020%""#, F::Operator),
        (r#"active_time = "yesterday""#, F::Operator),
        ("active_time > 2020-02-30", F::Operator),
        (r#"name > "x" order by name"#, F::Operator),
        (r#"name = "x" order by name"#, F::Order),
        ("order by name", F::Order),
        (&ordered, F::Order),
        (r#"name = "x" limit 10"#, F::Offset),
        (r#"name = "x" OFFSET 10"#, F::Offset),
        (r#"(name = "x")"#, F::Clause),
        (r#"select * from device where name = "x""#, F::Clause),
        (r#"name in ("x")"#, F::Clause),
        (r#"not name = "x""#, F::Clause),
        (r#"name != "x""#, F::Clause),
        ("active_time >= 2020-01-01", F::Clause),
        (r#"name LIKE "x""#, F::Clause),
        (r#"name LIKE "%x%""#, F::Clause),
        (r#"name = "x" group by name"#, F::Clause),
        ("property.x > 11", F::Identifier),
        (r#"property.x = "a" and name = "x""#, F::Identifier),
    ] {
        let error = Rule::parse(text).expect_err(text);
        assert_eq!(error.fault, fault, "{text}: {error}");
    }
    let refusal: Refusal = Rule::parse("property.x > 11").unwrap_err().into();
    assert_eq!(refusal.code, "iot.devicesearch.InvalidSQLIdentfierError");
    let five = [r#"name="test_1""#; 5].join(" and ");
    assert!(matches(&five));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,420}") {
        let _ = Rule::parse(&text);
    }

    #[test]
    fn no_row_of_words_makes_it_panic_and_what_is_taken_has_at_most_five_conditions(
        words in proptest::collection::vec(
            prop_oneof![
                Just("name"), Just("status"), Just("active_time"), Just("tag.tag_name"), Just("property.x"),
                Just("="), Just(">"), Just("LIKE"), Just("and"), Just("or"), Just("\"x%\""), Just("'灯'"),
                Just("2020-01-01"), Just("10:00:00.000"), Just("("), Just("order"), Just("\""), Just("7"),
            ],
            0..24,
        )
    ) {
        let text = words.join(" ");
        if let Ok(rule) = Rule::parse(&text) {
            let conditions: usize = rule.any.iter().map(Vec::len).sum();
            prop_assert!((1..=5).contains(&conditions));
            prop_assert_eq!(Rule::parse(rule.as_str()).unwrap(), rule);
        }
    }
}
