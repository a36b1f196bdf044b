//! Reads a rule: conditions joined by AND and OR, of which AND binds tighter.

use super::token::{Token, tokens};
use super::{CONDITIONS_MAX, Condition, FIELDS, Fault, Field, LENGTH_MAX, RuleError, Test, date};

/// Operators and clauses of SQL that a rule can't have.
const CLAUSES: &[&str] = &[
    "select", "from", "where", "group", "having", "union", "join", "as", "distinct", "not", "in",
    "between", "is",
];

/// Alternatives, each a list of conditions that all have to hold.
pub(super) fn parse(text: &str) -> Result<Vec<Vec<Condition>>, RuleError> {
    let length = text.chars().count();
    if length > LENGTH_MAX {
        let detail = format!("{length} characters, at most {LENGTH_MAX}");
        return Err(RuleError::new(Fault::Statement, detail));
    }
    let tokens = tokens(text)?;
    let mut reader = Reader { rest: &tokens, conditions: 0, faults: Vec::new() };
    let any = reader.statement()?;
    if reader.conditions > CONDITIONS_MAX {
        let detail = format!("at most {CONDITIONS_MAX} conditions");
        reader.faults.push(RuleError::new(Fault::Conditions, detail));
    }
    match reader.faults.into_iter().min_by_key(|error| error.fault) {
        Some(error) => Err(error),
        None => Ok(any),
    }
}

struct Reader<'t, 'a> {
    rest: &'t [Token<'a>],
    /// Those that have their form, whether anything is wrong with them or not.
    conditions: usize,
    /// What is wrong with conditions that have their form.
    faults: Vec<RuleError>,
}

impl<'a> Reader<'_, 'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first.clone())
    }

    fn statement(&mut self) -> Result<Vec<Vec<Condition>>, RuleError> {
        let mut any = vec![Vec::new()];
        loop {
            match self.condition() {
                Ok(condition) => {
                    any.last_mut().expect("there is one from the start").push(condition);
                }
                // A statement that breaks off can't be read on; otherwise all that is wrong is collected.
                Err(error) if error.fault == Fault::Statement => return Err(error),
                Err(error) => {
                    let is_clause =
                        matches!(error.fault, Fault::Order | Fault::Offset | Fault::Clause);
                    self.faults.push(error);
                    if is_clause {
                        return Ok(any);
                    }
                }
            }
            match self.next() {
                None => return Ok(any),
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("and") => {}
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("or") => any.push(Vec::new()),
                Some(other) => {
                    let error = clause(&other).unwrap_or_else(|| unexpected(&other));
                    if error.fault == Fault::Statement {
                        return Err(error);
                    }
                    self.faults.push(error);
                    return Ok(any);
                }
            }
        }
    }

    /// `field operator value`
    fn condition(&mut self) -> Result<Condition, RuleError> {
        let name = match self.next() {
            Some(Token::Word(word)) if clause(&Token::Word(word)).is_none() => word,
            Some(other) => return Err(clause(&other).unwrap_or_else(|| unexpected(&other))),
            None => return Err(RuleError::new(Fault::Statement, "a condition is missing")),
        };
        let operator = match self.next() {
            Some(Token::Operator(operator)) => operator,
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("like") => "LIKE",
            Some(other) => return Err(clause(&other).unwrap_or_else(|| unexpected(&other))),
            None => {
                return Err(RuleError::new(Fault::Statement, format!("{name} without operator")));
            }
        };
        let value = self.value(name)?;
        self.conditions += 1;
        if name.starts_with("property.") {
            return Err(RuleError::new(Fault::Identifier, name));
        }
        let field = FIELDS.iter().find(|(field, _)| *field == name);
        let (_, field) = field.ok_or_else(|| RuleError::new(Fault::Field, name))?;
        Ok(Condition { field: *field, test: test(*field, operator, &value)? })
    }

    fn value(&mut self, name: &str) -> Result<Value, RuleError> {
        match self.next() {
            Some(Token::Quoted(text)) => Ok(Value { text: text.to_owned(), is_quoted: true }),
            Some(Token::Word(word))
                if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') =>
            {
                let mut text = word.to_owned();
                // The time of day of a date that stands without quotes.
                if let Some(Token::Word(time)) = self.rest.first()
                    && time.starts_with(|c: char| c.is_ascii_digit())
                {
                    text = format!("{text} {time}");
                    self.rest = &self.rest[1..];
                }
                Ok(Value { text, is_quoted: false })
            }
            Some(other) => Err(clause(&other).unwrap_or_else(|| unexpected(&other))),
            None => Err(RuleError::new(Fault::Statement, format!("{name} without value"))),
        }
    }
}

struct Value {
    text: String,
    is_quoted: bool,
}

fn test(field: Field, operator: &str, value: &Value) -> Result<Test, RuleError> {
    let text = value.text.as_str();
    let mismatch = |detail: String| Err(RuleError::new(Fault::Operator, detail));
    if !matches!(operator, "=" | ">" | "<" | "LIKE") {
        return Err(RuleError::new(Fault::Clause, operator));
    }
    if field.is_date() {
        let Some(at) = date::parse(text) else {
            return mismatch(format!("{text} is no date"));
        };
        return match operator {
            "=" => Ok(Test::At(at)),
            ">" => Ok(Test::After(at)),
            "<" => Ok(Test::Before(at)),
            _ => mismatch(format!("{operator} with a date")),
        };
    }
    if !value.is_quoted {
        return mismatch(format!("{text} is no text in quotes"));
    }
    match operator {
        "=" => Ok(Test::Is(text.to_owned())),
        "LIKE" => match text.strip_suffix('%') {
            Some(prefix) if !prefix.contains('%') => Ok(Test::Begins(prefix.to_owned())),
            _ => Err(RuleError::new(Fault::Clause, format!("{text}: LIKE takes one % at the end"))),
        },
        _ => mismatch(format!("{operator} with a text")),
    }
}

/// What a token means that begins something which SQL has and a rule hasn't.
fn clause(token: &Token<'_>) -> Option<RuleError> {
    match token {
        Token::Word(word) if word.eq_ignore_ascii_case("order") => {
            Some(RuleError::new(Fault::Order, *word))
        }
        Token::Word(word)
            if word.eq_ignore_ascii_case("limit") || word.eq_ignore_ascii_case("offset") =>
        {
            Some(RuleError::new(Fault::Offset, *word))
        }
        Token::Word(word) if CLAUSES.iter().any(|clause| clause.eq_ignore_ascii_case(word)) => {
            Some(RuleError::new(Fault::Clause, *word))
        }
        Token::Mark(mark) => Some(RuleError::new(Fault::Clause, mark.to_string())),
        Token::Word(_) | Token::Quoted(_) | Token::Operator(_) => None,
    }
}

fn unexpected(token: &Token<'_>) -> RuleError {
    let text = match token {
        Token::Word(text) | Token::Quoted(text) | Token::Operator(text) => (*text).to_owned(),
        Token::Mark(mark) => mark.to_string(),
    };
    RuleError::new(Fault::Statement, format!("{text} is not expected"))
}
