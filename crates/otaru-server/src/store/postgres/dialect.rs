//! Statements are written once, as SQLite reads them; this spells one for PostgreSQL.
//!
//! What differs is little: how parameters are written, hints of an index, which PostgreSQL doesn't have, `ON` after
//! `CROSS JOIN`, the name of one function, and that `user` is a reserved word.

/// `sql` as PostgreSQL reads it.
pub fn translated(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '\'' | '"' => quoted(rest, first),
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, tail) = rest.split_at(len);
        rest = tail;
        match token {
            "?" => out.push('$'),
            "user" => out.push_str("\"user\""),
            "instr" => out.push_str("strpos"),
            "CROSS" => rest = rest.trim_start(),
            "INDEXED" => rest = after_hint(rest),
            _ => out.push_str(token),
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Bytes of a text in quotes; a quote in it is written twice, and is then two texts here, which comes to the same.
fn quoted(text: &str, quote: char) -> usize {
    text[1..].find(quote).map_or(text.len(), |end| end + 2)
}

/// What follows `BY index`.
fn after_hint(rest: &str) -> &str {
    let rest = rest.trim_start().strip_prefix("BY").unwrap_or(rest).trim_start();
    rest.trim_start_matches(is_word).trim_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engines_spell_differently_is_spelt_for_postgresql() {
        for (sqlite, postgres) in [
            ("SELECT no FROM job WHERE no = ?12", "SELECT no FROM job WHERE no = $12"),
            ("FROM t INDEXED BY t_by_a WHERE a = ?1", "FROM t WHERE a = $1"),
            (
                "FROM (SELECT 1) page\n CROSS JOIN t ON t.a = page.a",
                "FROM (SELECT 1) page\n JOIN t ON t.a = page.a",
            ),
            ("SELECT user FROM user_product", "SELECT \"user\" FROM user_product"),
            ("instr(name, ?1) > 0", "strpos(name, $1) > 0"),
            ("SELECT '', 'user ? it''s', é", "SELECT '', 'user ? it''s', é"),
        ] {
            assert_eq!(translated(sqlite), postgres);
        }
    }
}
