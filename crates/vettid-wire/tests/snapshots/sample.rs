//! A sample is one value of a wire type with what its form promises: which fields may be missing and where unknown
//! fields are let through. The checks try the promise on every field and every nested object.

use crate::source::Members;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use vettid_wire::json;

/// The samples of one module of the standard.
pub(crate) struct Samples {
    module: &'static str,
    list: Vec<Sample>,
}

/// One value of a type.
pub(crate) struct Sample {
    name: &'static str,
    kind: Kind,
    json: Value,
    optional: &'static [&'static str],
    open: &'static [&'static str],
    reread: Reread,
}

/// Reads bytes as the type and gives its canonical bytes; `None` if the type refuses them.
type Reread = fn(&[u8]) -> Option<Vec<u8>>;

#[derive(PartialEq, Clone, Copy)]
enum Kind {
    /// A struct with every field present.
    Object,
    /// One variant of an enum.
    Case,
    /// A type that is a text on the wire.
    Text,
}

impl Samples {
    /// No samples yet.
    pub(crate) fn of(module: &'static str) -> Self {
        Self { module, list: Vec::new() }
    }

    /// An object with every optional field present.
    pub(crate) fn object<T: Serialize + DeserializeOwned>(&mut self, name: &'static str, full: T) -> &mut Sample {
        self.push(name, Kind::Object, &full)
    }

    /// Every variant of an enum.
    pub(crate) fn cases<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &'static str,
        cases: impl IntoIterator<Item = T>,
    ) {
        for case in cases {
            self.push(name, Kind::Case, &case);
        }
    }

    /// One variant of an enum that makes promises of its own.
    pub(crate) fn case<T: Serialize + DeserializeOwned>(&mut self, name: &'static str, case: T) -> &mut Sample {
        self.push(name, Kind::Case, &case)
    }

    /// A value that is written as one text.
    pub(crate) fn text<T: Serialize + DeserializeOwned>(&mut self, name: &'static str, value: T) {
        assert!(self.push(name, Kind::Text, &value).json.is_string(), "{name} is not a text");
    }

    fn push<T: Serialize + DeserializeOwned>(&mut self, name: &'static str, kind: Kind, value: &T) -> &mut Sample {
        let json = serde_json::to_value(value).unwrap();
        self.list.push(Sample { name, kind, json, optional: &[], open: &[], reread: reread::<T> });
        self.list.last_mut().unwrap()
    }

    /// The module.
    pub(crate) fn module(&self) -> &'static str {
        self.module
    }

    /// Names of the sampled types, with their module.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|sample| self.full_name(sample))
    }

    fn full_name(&self, sample: &Sample) -> String {
        if sample.name.contains("::") { sample.name.to_owned() } else { format!("{}::{}", self.module, sample.name) }
    }

    /// The fields or the number of variants that the samples of a type show.
    pub(crate) fn members(&self, name: &str) -> Option<Members> {
        let of_type: Vec<&Sample> = self.list.iter().filter(|sample| self.full_name(sample) == name).collect();
        let first = of_type.first()?;
        match first.kind {
            Kind::Object => Some(Members::Fields(first.json.as_object()?.keys().cloned().collect())),
            Kind::Case => {
                let different: BTreeSet<String> = of_type.iter().map(|sample| sample.json.to_string()).collect();
                Some(Members::Variants(different.len()))
            }
            Kind::Text => None,
        }
    }

    /// The module's golden file.
    pub(crate) fn shown(&self) -> String {
        let mut text = String::new();
        let mut before = "";
        for sample in &self.list {
            if sample.name != before {
                text += &format!("\n== {}\n", sample.name);
            }
            text += &sample.shown();
            before = sample.name;
        }
        text
    }

    /// Samples that are not the same after canonical bytes and back.
    pub(crate) fn lost(&self) -> Vec<String> {
        let changed = |sample: &&Sample| {
            let bytes = json::canonical(&sample.json).unwrap();
            (sample.reread)(&bytes) != Some(bytes)
        };
        self.list.iter().filter(changed).map(|sample| self.full_name(sample)).collect()
    }

    /// Places where an unknown field is let through unannounced, or refused although announced.
    pub(crate) fn openness(&self) -> Vec<String> {
        let one = |sample: &Sample| {
            let name = self.full_name(sample);
            let wrong = sample.wrongly_open();
            wrong.into_iter().map(move |place| format!("{name} at {place:?}"))
        };
        self.list.iter().flat_map(one).collect()
    }

    /// Fields that may be missing unannounced, or not missing although announced.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let one = |sample: &Sample| {
            let name = self.full_name(sample);
            let wrong = sample.wrongly_missing();
            wrong.into_iter().map(move |place| format!("{name} without {place:?}"))
        };
        self.list.iter().flat_map(one).collect()
    }
}

impl Sample {
    /// Fields that may be missing, as JSON pointers.
    pub(crate) fn optional(&mut self, optional: &'static [&'static str]) -> &mut Self {
        self.optional = optional;
        self
    }

    /// Objects in which unknown fields are let through, as JSON pointers.
    pub(crate) fn open(&mut self, open: &'static [&'static str]) -> &mut Self {
        self.open = open;
        self
    }

    fn accepts(&self, json: &Value) -> bool {
        (self.reread)(&serde_json::to_vec(json).unwrap()).is_some()
    }

    fn wrongly_open(&self) -> Vec<String> {
        let places = objects(&self.json, "");
        let announced = |place: &str| self.open.iter().any(|open| inside(open, place));
        places.into_iter().filter(|place| self.accepts(&with_unknown(&self.json, place)) != announced(place)).collect()
    }

    fn wrongly_missing(&self) -> Vec<String> {
        let depth = if self.kind == Kind::Case { 2 } else { 1 };
        let places = fields(&self.json, "", depth);
        let announced = |place: &str| self.optional.contains(&place);
        let hidden = |place: &str| self.open.iter().any(|open| place != *open && inside(open, place));
        places
            .into_iter()
            .filter(|place| !hidden(place) && self.accepts(&without(&self.json, place)) != announced(place))
            .collect()
    }

    fn shown(&self) -> String {
        let mut text = String::new();
        if !self.optional.is_empty() {
            text += &format!("optional: {}\n", self.optional.join(" "));
        }
        if !self.open.is_empty() {
            let places: Vec<&str> = self.open.iter().map(|open| if open.is_empty() { "/" } else { open }).collect();
            text += &format!("open: {}\n", places.join(" "));
        }
        text += &pretty(&self.json);
        if let Some(minimal) = self.minimal() {
            text += &format!("\n-- minimal\n{}", pretty(&minimal));
        }
        text + "\n"
    }

    /// The value without its optional fields, as the type writes it again.
    fn minimal(&self) -> Option<Value> {
        if self.optional.is_empty() {
            return None;
        }
        let bare = self.optional.iter().fold(self.json.clone(), |json, place| without(&json, place));
        let bytes = (self.reread)(&serde_json::to_vec(&bare).unwrap());
        let bytes = bytes.unwrap_or_else(|| panic!("{} has no minimal form: {bare}", self.name));
        Some(json::parse(&bytes).unwrap())
    }
}

fn reread<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<Vec<u8>> {
    let value: T = json::read(bytes).ok()?;
    json::canonical(&value).ok()
}

fn pretty(json: &Value) -> String {
    // Whether objects keep the order of their fields depends on what else is built.
    let mut json = json.clone();
    json.sort_all_objects();
    serde_json::to_string_pretty(&json).unwrap()
}

/// Whether an announced place covers another: the root covers itself only, any other place all below it.
fn inside(open: &str, place: &str) -> bool {
    place == open || (!open.is_empty() && place.strip_prefix(open).is_some_and(|rest| rest.starts_with('/')))
}

/// Pointers to every object in a value.
fn objects(json: &Value, here: &str) -> Vec<String> {
    let own = json.is_object().then(|| here.to_owned());
    own.into_iter().chain(children(json, here).flat_map(|(place, child)| objects(child, &place))).collect()
}

/// Pointers to the fields of the objects down to a depth.
fn fields(json: &Value, here: &str, depth: u8) -> Vec<String> {
    if depth == 0 || !json.is_object() {
        return Vec::new();
    }
    let each = |(place, child): (String, &Value)| {
        let below = fields(child, &place, depth - 1);
        std::iter::once(place).chain(below)
    };
    children(json, here).flat_map(each).collect()
}

fn children<'a>(json: &'a Value, here: &str) -> Box<dyn Iterator<Item = (String, &'a Value)> + 'a> {
    let here = here.to_owned();
    match json {
        Value::Object(map) => Box::new(map.iter().map(move |(key, child)| (format!("{here}/{key}"), child))),
        Value::Array(items) => Box::new(items.iter().enumerate().map(move |(n, child)| (format!("{here}/{n}"), child))),
        _ => Box::new(std::iter::empty()),
    }
}

fn with_unknown(json: &Value, place: &str) -> Value {
    let mut changed = json.clone();
    let object = changed.pointer_mut(place).and_then(Value::as_object_mut).unwrap();
    assert!(object.insert("not_in_the_standard".to_owned(), Value::from("x")).is_none());
    changed
}

fn without(json: &Value, place: &str) -> Value {
    let mut changed = json.clone();
    let (parent, key) = place.rsplit_once('/').unwrap();
    changed.pointer_mut(parent).and_then(Value::as_object_mut).and_then(|object| object.remove(key)).unwrap();
    changed
}
