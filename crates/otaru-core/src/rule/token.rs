//! Cuts a rule into words.

use super::{Fault, RuleError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Bare letters, digits and `_ . : -`: a field, a keyword, a number or a part of a date.
    Word(&'a str),
    Quoted(&'a str),
    /// `=`, `>`, `<`, and others that the language doesn't have.
    Operator(&'a str),
    /// Parentheses, commas, stars.
    Mark(char),
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_.:-%".contains(c)
}

fn is_operator(c: char) -> bool {
    "=<>!".contains(c)
}

/// # Errors
/// A quote that doesn't end, or a character that the language has no use for.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, RuleError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '"' | '\'' => {
                let inner = &rest[1..];
                let end = inner.find(first).ok_or_else(|| {
                    RuleError::new(Fault::Statement, format!("{rest} has no end"))
                })?;
                (Token::Quoted(&inner[..end]), &inner[end + 1..])
            }
            c if is_word(c) => {
                let (word, after) = split(rest, is_word);
                (Token::Word(word), after)
            }
            c if is_operator(c) => {
                let (operator, after) = split(rest, is_operator);
                (Token::Operator(operator), after)
            }
            c if "(),*".contains(c) => (Token::Mark(c), &rest[c.len_utf8()..]),
            c => return Err(RuleError::new(Fault::Statement, format!("{c:?} is not expected"))),
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn split(text: &str, belongs: fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}
