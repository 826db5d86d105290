//! Walks the sources of the standard and lists every type that is written to the wire, so that none can be forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A type of the standard.
pub(crate) struct Declared {
    /// With its module.
    pub(crate) name: String,
    /// What samples have to show; `None` for types with a form of their own.
    pub(crate) members: Option<Members>,
}

/// What a type is made of.
#[derive(Debug, PartialEq)]
pub(crate) enum Members {
    /// Names of the fields on the wire.
    Fields(BTreeSet<String>),
    /// Number of variants.
    Variants(usize),
}

/// Every public type that is serialised, by derive, by hand or by one of the crate's macros.
pub(crate) fn declared() -> Vec<Declared> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    files.iter().flat_map(|path| in_file(path)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn in_file(path: &Path) -> Vec<Declared> {
    let module = path.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let named = |name: &str, members| Declared { name: format!("{module}::{name}"), members };
    let derived = (0..lines.len()).filter_map(|at| derived(&lines, at)).map(|(name, members)| named(name, members));
    let by_hand = lines.iter().filter_map(|line| line.strip_prefix("impl Serialize for ")).map(first_word);
    let by_macro = (0..lines.len()).filter_map(|at| by_macro(&lines, at));
    let other: Vec<Declared> = by_hand.chain(by_macro).map(|name| named(name, None)).collect();
    derived.chain(other).collect()
}

/// The name before anything that cannot stand in a name.
fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap()
}

/// A public type that starts at this line under a derive of `Serialize`.
fn derived<'a>(lines: &[&'a str], at: usize) -> Option<(&'a str, Option<Members>)> {
    let line = lines.get(at)?;
    let (name, is_struct) = match (line.strip_prefix("pub struct "), line.strip_prefix("pub enum ")) {
        (Some(rest), _) => (first_word(rest), true),
        (_, Some(rest)) => (first_word(rest), false),
        _ => return None,
    };
    let above = attributes_above(lines, at);
    if !above.contains("Serialize") {
        return None;
    }
    let body = if line.ends_with("{}") { &[] } else { body(lines, at) };
    // The fields of what is flattened are those of its own samples.
    let own_form = above.contains("into = ") || body.iter().any(|line| line.contains("serde(flatten)"));
    let members = if is_struct { Members::Fields(fields(body)) } else { Members::Variants(variants(body)) };
    Some((name, (!own_form).then_some(members)))
}

/// The text from the end of the item before to this line.
fn attributes_above(lines: &[&str], at: usize) -> String {
    let above = lines.iter().take(at).rev().take_while(|line| !line.is_empty() && !line.starts_with('}'));
    above.copied().collect::<Vec<_>>().join("\n")
}

/// The lines between the line at which an item opens and the brace that closes it.
fn body<'a, 'b>(lines: &'b [&'a str], at: usize) -> &'b [&'a str] {
    let rest = lines.get(at + 1..).unwrap();
    let end = rest.iter().position(|line| *line == "}").unwrap();
    rest.get(..end).unwrap()
}

fn fields(body: &[&str]) -> BTreeSet<String> {
    let mut attributes = String::new();
    let mut names = BTreeSet::new();
    for line in body {
        match line.strip_prefix("    pub ") {
            Some(field) => {
                let renamed = attributes.split_once("rename = \"").map(|(_, rest)| rest.split('"').next().unwrap());
                let written = field.split(':').next().unwrap();
                names.insert(renamed.unwrap_or(written).to_owned());
                attributes.clear();
            }
            None => attributes += line,
        }
    }
    names
}

fn variants(body: &[&str]) -> usize {
    let starts = |line: &&&str| line.strip_prefix("    ").is_some_and(|rest| rest.starts_with(char::is_uppercase));
    body.iter().filter(starts).count()
}

/// The name that a macro such as `uuid_id!(…)` makes a type of.
fn by_macro<'a>(lines: &[&'a str], at: usize) -> Option<&'a str> {
    let line = lines.get(at)?;
    if let Some(name) = line.strip_prefix("as_text!(") {
        return Some(first_word(name));
    }
    let name = line.strip_prefix("    ").filter(|rest| rest.starts_with(char::is_uppercase))?;
    let above = lines.iter().take(at).rev().take_while(|line| line.starts_with(' ')).count();
    let opening = lines.get(at.checked_sub(above + 1)?)?;
    opening.ends_with("!(").then(|| first_word(name))
}
