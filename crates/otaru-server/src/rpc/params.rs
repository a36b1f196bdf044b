//! The parameters of a call: query string and form body as one namespace.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::error::GatewayError;
use super::xml;

/// Decoded parameters. An empty value counts as absent in every typed reading, but stays in what is signed.
#[derive(Debug, Default)]
pub struct Params {
    values: BTreeMap<String, String>,
    /// Decoded pairs of the query alone: a v3 signature covers them apart from the body.
    query: Vec<(String, String)>,
    /// The first name that came a second time.
    repeated: Option<String>,
}

impl Params {
    /// Reads `query` (without `?`) and, when the request carries one, a form body.
    ///
    /// # Errors
    /// `InvalidParameter.Format` for broken percent-encoding, bytes that are no UTF-8, and characters that an XML
    /// reply couldn't give back.
    pub fn parse(query: &str, form: Option<&[u8]>) -> Result<Self, GatewayError> {
        let mut params = Self { query: pairs(query.as_bytes())?, ..Self::default() };
        let form = form.map_or(Ok(Vec::new()), pairs)?;
        for (name, value) in params.query.clone().into_iter().chain(form) {
            match params.values.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(first) => {
                    params.repeated.get_or_insert_with(|| first.key().clone());
                }
            }
        }
        Ok(params)
    }

    /// The value of a parameter; `None` when it is absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Every parameter, empty ones too.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// The first name that stands in the request twice.
    pub fn repeated(&self) -> Option<&str> {
        self.repeated.as_deref()
    }

    /// The elements `name.1`, `name.2`, … in the order of their indices, gaps closed, empty ones included unless all
    /// are.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let elements: BTreeMap<u32, &str> =
            self.under(name).filter_map(|(rest, value)| Some((index(rest)?, value))).collect();
        if elements.values().all(|value| value.is_empty()) {
            return Vec::new();
        }
        elements.into_values().collect()
    }

    /// The indices N for which some `name.N.Field` has a value.
    pub fn indices(&self, name: &str) -> Vec<u32> {
        let mut indices: Vec<u32> = self
            .under(name)
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(rest, _)| index(rest.split_once('.')?.0))
            .collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    }

    /// Whether `name` or an element of a list of that name was sent with a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some() || !self.list(name).is_empty()
    }

    /// Parameters whose names begin with `name.`, each with the rest of its name.
    fn under(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let prefix = format!("{name}.");
        let end = format!("{name}/"); // the character after '.'
        self.values
            .range(prefix..end)
            .map(move |(full, value)| (&full[name.len() + 1..], value.as_str()))
    }
}

/// An index as SDKs write it. `0`, `01` and `+1` are none, so that no two names mean one element.
fn index(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| *number > 0 && number.to_string() == text)
}

fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, GatewayError> {
    text.split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let equals = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            let value = pair.get(equals + 1..).unwrap_or_default();
            Ok((decode(&pair[..equals])?, decode(value)?))
        })
        .collect()
}

fn decode(text: &[u8]) -> Result<String, GatewayError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || hex_digit(*rest.next()?);
                let pair = digit().zip(digit());
                let (high, low) = pair.ok_or_else(GatewayError::format)?;
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains(xml::is_forbidden))
        .ok_or_else(GatewayError::format)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str, form: &str) -> Params {
        Params::parse(query, Some(form.as_bytes())).unwrap()
    }

    #[test]
    fn query_and_form_are_one_namespace() {
        let params = parse("Action=X&A=1%2F2&Empty=&bare", "B=a+b%20c&&C=%E5%9B%BA");
        let want = [
            ("A", "1/2"),
            ("Action", "X"),
            ("B", "a b c"),
            ("C", "固"),
            ("Empty", ""),
            ("bare", ""),
        ];
        assert_eq!(params.all().collect::<Vec<_>>(), want);
        assert_eq!(params.get("Empty"), None);
        assert_eq!(params.repeated(), None);
        assert_eq!(params.query().len(), 4);
    }

    #[test]
    fn a_name_that_comes_twice_is_noticed_wherever_it_stands() {
        assert_eq!(parse("A=1&B=2", "C=3&B=2&A=1").repeated(), Some("B"));
        assert_eq!(parse("A=1&%41=1", "").repeated(), Some("A"));
    }

    #[test]
    fn list_elements_follow_their_index_and_gaps_close() {
        let params = parse(
            "L.10=ten&L.2=two&L.1=&L.x=no&L.0=no&L.01=no&L.1.Key=no&LL.1=no&L=no",
            "T.3.Key=k&T.3.Value=&T.1.Value=v&T.2.Key=&U.1=&U.2=",
        );
        assert_eq!(params.list("L"), ["", "two", "ten"]);
        assert_eq!(params.indices("T"), [1, 3]);
        assert_eq!(params.list("U"), <[&str; 0]>::default());
        assert!(!params.has("U") && params.has("L") && !params.has("V"));
    }

    #[test]
    fn broken_encoding_is_refused() {
        for query in ["A=%", "A=%2", "A=%2g", "%zz=1", "A=%FF", "A=%00", "A=%EF%BF%BE", "A=%0B"] {
            let error = Params::parse(query, None).unwrap_err();
            assert_eq!(error.code, "InvalidParameter.Format", "{query}");
        }
    }
}
