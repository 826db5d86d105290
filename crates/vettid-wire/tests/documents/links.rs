//! Every relative link of every document leads to a file and, where it names one, to a heading; a link whose text is code
//! leads to a source that contains that code. Paths in backticks that look like paths of this tree exist.

use crate::root;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", "dist"];
/// How a path of this tree begins.
const OWN_FOLDERS: &[&str] =
    &["crates/", "docs/", "xtask/", "examples/", "handlers/", "scripts/", "web/", ".ci/", ".config/", ".cargo/"];

/// A document with its headings as link targets.
struct Document {
    path: PathBuf,
    text: String,
    anchors: Vec<String>,
}

#[test]
fn links_lead_somewhere() {
    let documents = documents();
    assert!(documents.len() > 5, "the walk sees too little: {}", documents.len());
    let by_path: HashMap<PathBuf, &Document> =
        documents.iter().map(|document| (document.path.canonicalize().unwrap(), document)).collect();
    let broken: Vec<String> = documents.iter().flat_map(|document| broken_links(document, &by_path)).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn named_paths_exist() {
    let missing: Vec<String> = documents().iter().flat_map(missing_paths).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn named_code_stands_in_its_file() {
    let stale: Vec<String> = documents().iter().flat_map(stale_names).collect();
    assert!(stale.is_empty(), "{stale:#?}");
}

#[test]
fn a_broken_link_and_a_missing_path_are_found() {
    let text = "# One\n[a](#one) [b](#two) [c](no/such.md) [d](https://x.example) `crates/no/such.rs`\n".to_owned();
    let document = Document { path: root().join("README.md"), anchors: anchors(&text), text };
    let broken = broken_links(&document, &HashMap::new());
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert_eq!(missing_paths(&document).len(), 1);
    let text = "[`ROWS`](crates/vettid-wire/src/event.rs) [`NO_SUCH`](crates/vettid-wire/src/event.rs)".to_owned();
    let document = Document { text, ..document };
    assert_eq!(stale_names(&document).len(), 1);
}

fn documents() -> Vec<Document> {
    let mut paths = Vec::new();
    collect(&root(), &mut paths);
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !path.is_symlink() && !SKIPPED.contains(&name) {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
}

fn read(path: PathBuf) -> Document {
    let text = fs::read_to_string(&path).unwrap();
    Document { anchors: anchors(&text), path, text }
}

/// Lines outside code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !fence && !in_code
    })
}

/// Headings in the form in which links name them.
fn anchors(text: &str) -> Vec<String> {
    prose(text).filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn broken_links(document: &Document, by_path: &HashMap<PathBuf, &Document>) -> Vec<String> {
    let broken = |target: &&str| !leads_somewhere(document, target, by_path);
    let links = prose(&document.text).flat_map(links);
    links.filter(broken).map(|target| format!("{}: {target}", document.path.display())).collect()
}

/// The targets of the links `[…](target)` of a line.
fn links(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

fn leads_somewhere(document: &Document, target: &str, by_path: &HashMap<PathBuf, &Document>) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    if file.is_empty() {
        return document.anchors.iter().any(|known| known == heading);
    }
    let Ok(path) = document.path.parent().unwrap().join(file).canonicalize() else {
        return false;
    };
    let known = by_path.get(&path).is_some_and(|other| other.anchors.iter().any(|known| known == heading));
    heading.is_empty() || known
}

/// Links such as [`name`](file.rs) whose file does not contain the name.
fn stale_names(document: &Document) -> Vec<String> {
    let folder = document.path.parent().unwrap();
    let stale =
        |(name, file): &(&str, &str)| !fs::read_to_string(folder.join(file)).is_ok_and(|text| text.contains(name));
    let named = prose(&document.text).flat_map(named_sources);
    named.filter(stale).map(|(name, file)| format!("{}: {name} in {file}", document.path.display())).collect()
}

/// Name and file of each link of a line whose text is code and whose target is a Rust source.
fn named_sources(line: &str) -> Vec<(&str, &str)> {
    let pairs = line
        .split("[`")
        .skip(1)
        .filter_map(|rest| rest.split_once("`]("))
        .map(|(name, rest)| (name, rest.split(')').next()));
    pairs.filter_map(|(name, file)| Some((name, file?))).filter(|(_, file)| file.ends_with(".rs")).collect()
}

fn missing_paths(document: &Document) -> Vec<String> {
    let root = root();
    let missing = |path: &&str| !root.join(path.trim_end_matches('/')).exists();
    let paths = prose(&document.text).flat_map(paths);
    paths.filter(missing).map(|path| format!("{}: {path}", document.path.display())).collect()
}

/// Texts in backticks that are paths of this tree, without patterns, arguments and what only a build makes.
fn paths(line: &str) -> Vec<&str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let plain = |text: &&str| !text.contains(['{', '<', '*', ' ', '…', '$']) && !text.contains("NNNN");
    let made = |text: &str| text.split('/').any(|part| SKIPPED.contains(&part));
    let own = quoted.filter(|text| OWN_FOLDERS.iter().any(|folder| text.starts_with(folder)) && !made(text));
    own.filter(plain).collect()
}
