//! VJSON, the profile of JSON on the wire (spec 2.0), and its canonical form JCS (RFC 8785).
//! One parser for everything: no duplicate keys, no floats, bounded depth and size.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

mod canonical;
mod profile;

/// Largest object outside packages and manifests, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Largest package manifest or stored object, in bytes.
pub const MAX_LARGE_BYTES: usize = 1024 * 1024;
/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 16;
/// Integers lie strictly between −2⁵³ and 2⁵³, so that every JSON reader keeps them exact.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a text is not VJSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Longer than the cap of its kind.
    #[error("the text is longer than {0} bytes")]
    TooLong(usize),
    /// Not UTF-8 JSON, or outside the profile.
    #[error("not valid vjson: {0}")]
    Invalid(#[source] serde_json::Error),
    /// The value does not have the shape that was asked for.
    #[error("unexpected shape: {0}")]
    Shape(#[source] serde_json::Error),
}

/// Parses VJSON of at most [`MAX_BYTES`].
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    parse_capped(bytes, MAX_BYTES)
}

/// Parses VJSON of at most [`MAX_LARGE_BYTES`] (packages, manifests, stored objects).
pub fn parse_large(bytes: &[u8]) -> Result<Value, JsonError> {
    parse_capped(bytes, MAX_LARGE_BYTES)
}

fn parse_capped(bytes: &[u8], cap: usize) -> Result<Value, JsonError> {
    profile::check(bytes, cap)?;
    serde_json::from_slice(bytes).map_err(JsonError::Invalid)
}

/// Turns a parsed value into a typed one.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, JsonError> {
    T::deserialize(value).map_err(JsonError::Shape)
}

/// Reads a typed value out of a parsed one, which stays as it is.
pub fn from_ref<T: DeserializeOwned>(value: &Value) -> Result<T, JsonError> {
    T::deserialize(value).map_err(JsonError::Shape)
}

/// Parses VJSON of at most [`MAX_BYTES`] straight into a typed value.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    read_capped(bytes, MAX_BYTES)
}

/// Parses VJSON of at most [`MAX_LARGE_BYTES`] straight into a typed value.
pub fn read_large<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    read_capped(bytes, MAX_LARGE_BYTES)
}

fn read_capped<T: DeserializeOwned>(bytes: &[u8], cap: usize) -> Result<T, JsonError> {
    profile::check(bytes, cap)?;
    serde_json::from_slice(bytes).map_err(JsonError::Shape)
}

/// The canonical bytes of a value: RFC 8785 over the VJSON profile (a float or a large integer is refused, and so is a key that
/// is there twice).
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, JsonError> {
    let fault =
        |error: serde_json::Error| if error.is_io() { JsonError::Invalid(error) } else { JsonError::Shape(error) };
    canonical::bytes(value).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_the_profile_forbids() {
        let deep = "[".repeat(17) + &"]".repeat(17);
        let cases = [
            r#"{"a":1,"a":2}"#,
            "1.5",
            "1e3",
            "-0",
            "9007199254740992",
            "-9007199254740992",
            "\"\\ud800\"",
            "\u{feff}{}",
            "{} x",
            "",
            "{\"a\":1,}",
            "NaN",
            &deep,
        ];
        for case in cases {
            assert!(parse(case.as_bytes()).is_err(), "{case}");
        }
        assert!(parse(&vec![b' '; MAX_BYTES + 1]).is_err());
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn keeps_what_the_profile_allows() {
        let deep = "[".repeat(16) + &"]".repeat(16);
        for case in ["9007199254740991", "-9007199254740991", "{}", "null", "\"\\ud83d\\ude00\"", &deep] {
            assert!(parse(case.as_bytes()).is_ok(), "{case}");
        }
    }

    #[test]
    fn rfc8785_examples() {
        // RFC 8785 section 3.2.3: keys are ordered by UTF-16 code units.
        let text = "{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\"\\ud83d\\ude00\":5,\"\\u0080\":6,\"\\u00f6\":7}";
        let expected = "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}";
        assert_eq!(canonical(&parse(text.as_bytes()).unwrap()).unwrap(), expected.as_bytes());
        // Section 3.2.2.2: string escapes.
        let text = r#"{"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"}"#;
        let expected = "{\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(canonical(&parse(text.as_bytes()).unwrap()).unwrap(), expected.as_bytes());
        let text = r#"{ "literals": [null, true, false], "numbers": [333, -1, 0] }"#;
        let expected = r#"{"literals":[null,true,false],"numbers":[333,-1,0]}"#;
        assert_eq!(canonical(&parse(text.as_bytes()).unwrap()).unwrap(), expected.as_bytes());
    }

    #[test]
    fn canonical_refuses_floats() {
        assert!(canonical(&serde_json::json!({"a": 1.5})).is_err());
        assert!(canonical(&serde_json::json!({"a": u64::MAX})).is_err());
        assert!(canonical(&serde_json::json!({"a": MAX_INTEGER + 1})).is_err());
        assert!(canonical(&u128::from(u64::MAX)).is_err());
        assert_eq!(canonical(&[MAX_INTEGER]).unwrap(), b"[9007199254740991]");
        assert_eq!(canonical(&[-9_007_199_254_740_991_i64]).unwrap(), b"[-9007199254740991]");
    }

    #[test]
    fn canonical_refuses_what_is_too_deep() {
        let nested = |depth| (1..depth).fold(serde_json::json!([]), |inner, _| serde_json::json!({ "a": inner }));
        assert!(canonical(&nested(MAX_DEPTH)).is_ok());
        assert!(canonical(&nested(MAX_DEPTH + 1)).is_err());
    }

    /// An object whose members come in this order, as many as there are.
    struct Members(Vec<(String, u8)>);

    impl Serialize for Members {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
        }
    }

    #[test]
    fn canonical_refuses_a_key_that_is_there_twice() {
        let members = |keys: &[&str]| Members(keys.iter().map(|key| ((*key).to_owned(), 1)).collect());
        assert_eq!(canonical(&members(&["b", "a!", "a"])).unwrap(), br#"{"a":1,"a!":1,"b":1}"#);
        for keys in [["a", "a", "b"], ["b", "a", "b"]] {
            assert!(matches!(canonical(&members(&keys)), Err(JsonError::Invalid(_))), "{keys:?}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn canonical_is_a_fixed_point(value in value()) {
            let once = canonical(&value).unwrap();
            let again = canonical(&parse(&once).unwrap()).unwrap();
            prop_assert_eq!(&once, &again);
            prop_assert_eq!(parse(&once).unwrap(), value);
        }

        /// Another writer of RFC 8785 gives the same bytes, in whatever order the members come.
        #[test]
        fn canonical_is_what_others_write(value in value(), inner in value(), key: String, other: String) {
            let value = serde_json::json!({ key: value, other: inner, "z": 1, "a": [{ "c": "\u{7f}", "b": -1 }] });
            prop_assert_eq!(canonical(&value).unwrap(), serde_json_canonicalizer::to_vec(&value).unwrap());
        }
    }
}
