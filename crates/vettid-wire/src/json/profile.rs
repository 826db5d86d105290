//! Holds a text to the profile (spec 2.0) before anything is made of it: no key twice, no floats, bounded depth and size. Keeps
//! nothing of the text but the keys of the objects that it is in.

use super::{JsonError, MAX_DEPTH, MAX_INTEGER};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Whether the text is VJSON of at most so many bytes.
pub(super) fn check(bytes: &[u8], cap: usize) -> Result<(), JsonError> {
    if bytes.len() > cap {
        return Err(JsonError::TooLong(cap));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Profile { depth: 0 }.deserialize(&mut reader).map_err(JsonError::Invalid)?;
    reader.end().map_err(JsonError::Invalid)
}

/// Any value of the profile, at this depth.
#[derive(Clone, Copy)]
struct Profile {
    depth: usize,
}

impl Profile {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom("nested too deep"));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Profile {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Profile {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vjson value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        if value > MAX_INTEGER { Err(E::custom("integer too large")) } else { Ok(()) }
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.visit_u64(value.unsigned_abs())
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(E::custom("only integers are allowed"))
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let (inner, mut keys) = (self.deeper()?, Vec::with_capacity(16));
        while let Some(key) = entries.next_key_seed(Key)? {
            keys.push(key);
            entries.next_value_seed(inner)?;
        }
        keys.sort_unstable();
        if keys.windows(2).any(|pair| matches!(pair, [one, next] if one == next)) {
            return Err(A::Error::custom("duplicate key"));
        }
        Ok(())
    }
}

/// A key where it lies in the text, unless that has it with escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Cow<'de, str>, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }
    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}
