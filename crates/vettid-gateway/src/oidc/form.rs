//! Parameters of a request, of a query or a form: each at most once (RFC 6749 section 3.1), an empty one counts as absent.

use std::collections::BTreeMap;
use url::form_urlencoded;

/// Most parameters in one request.
const MAX_PARAMETERS: usize = 64;

/// The parameters of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters(BTreeMap<String, String>);

/// A parameter stands there twice, or there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a parameter is repeated, or there are too many")]
pub(super) struct Repeated;

impl Parameters {
    /// Reads a query or a form.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Repeated> {
        let mut all = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            if all.insert(name.into_owned(), value.into_owned()).is_some() || all.len() > MAX_PARAMETERS {
                return Err(Repeated);
            }
        }
        all.retain(|_, value: &mut String| !value.is_empty());
        Ok(Self(all))
    }

    /// The value of a parameter that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The names of all that are there and not empty.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How much they hold, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum()
    }

    /// Whether a parameter is there and not empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_parameter_is_refused_and_an_empty_one_is_absent() {
        let read = Parameters::read(b"a=1&b=&c=x%20y+z").unwrap();
        assert_eq!((read.get("a"), read.get("b"), read.get("c")), (Some("1"), None, Some("x y z")));
        assert_eq!(Parameters::read(b"a=1&a=1"), Err(Repeated));
        assert_eq!(Parameters::read(b"a=&a=1"), Err(Repeated));
        let many: Vec<String> = (0..=MAX_PARAMETERS).map(|n| format!("p{n}=1")).collect();
        assert_eq!(Parameters::read(many.join("&").as_bytes()), Err(Repeated));
    }
}
