//! What is measured in the tree. Pure: files in, observations out.

use super::TreeFile;
use super::metric::{Kind, Metric};
use crate::report::Finding;
use crate::source::{Source, TestFiles};
use std::path::Path;

/// One observation.
#[derive(Debug)]
pub(super) struct Seen {
    /// Where.
    pub(super) place: String,
    /// What.
    pub(super) message: String,
    /// How much; 1 where only the number of observations counts.
    pub(super) value: usize,
}

/// A metric with its observations.
#[derive(Debug)]
pub(super) struct Measure {
    /// What was measured.
    pub(super) metric: Metric,
    /// What was seen.
    pub(super) seen: Vec<Seen>,
}

impl Measure {
    /// The number that the ratchet holds.
    pub(super) fn value(&self) -> usize {
        match self.metric.kind() {
            Kind::Count => self.seen.len(),
            Kind::Largest => self.seen.iter().map(|seen| seen.value).max().unwrap_or(0),
        }
    }
}

/// All measures of the tree, and findings for Rust files that are not Rust.
pub(super) fn all(files: &[TreeFile]) -> (Vec<Measure>, Vec<Finding>) {
    let (sources, unreadable) = sources(files);
    let test_files = TestFiles::of(&sources);
    let measures = Metric::ALL.map(|metric| {
        let from_sources = sources.iter().flat_map(|source| of_source(metric, source, &test_files));
        let from_files = files.iter().flat_map(|file| of_file(metric, file));
        Measure { metric, seen: from_sources.chain(from_files).collect() }
    });
    (measures.into(), unreadable)
}

fn sources(files: &[TreeFile]) -> (Vec<Source>, Vec<Finding>) {
    let (mut sources, mut unreadable) = (Vec::new(), Vec::new());
    for file in files.iter().filter(|file| has_extension(&file.path, &["rs"])) {
        match Source::parse(&file.path, String::from_utf8_lossy(&file.bytes)) {
            Ok(source) => sources.push(source),
            Err(finding) => unreadable.push(finding),
        }
    }
    (sources, unreadable)
}

fn of_source(metric: Metric, source: &Source, test_files: &TestFiles) -> Vec<Seen> {
    match metric {
        Metric::FileLines => file_lines(source),
        Metric::FunctionLines => function_lines(source),
        Metric::MissingHeads => missing_head(source),
        Metric::AllowAttributes => allow_attributes(source),
        Metric::Unfinished => unfinished(source),
        Metric::SpelledSubjects if !test_files.contain(&source.path) => spelled_subjects(source),
        _ => Vec::new(),
    }
}

fn of_file(metric: Metric, file: &TreeFile) -> Vec<Seen> {
    match metric {
        Metric::FileKib => vec![file_kib(file)],
        Metric::TrailingBlanks => trailing_blanks(file),
        Metric::Machine => machine(file),
        _ => Vec::new(),
    }
}

fn file_lines(source: &Source) -> Vec<Seen> {
    if source.path.components().any(|part| part.as_os_str() == "tests") {
        return Vec::new();
    }
    let lines = source.text.lines().count();
    vec![Seen {
        place: source.path.display().to_string(),
        message: format!("has {lines} lines: is a room missing?"),
        value: lines,
    }]
}

fn function_lines(source: &Source) -> Vec<Seen> {
    let seen = source.facts.functions.iter().map(|function| {
        let message = format!("`{}` has {} lines: split it", function.what.name, function.what.lines);
        Seen { place: source.place(function), message, value: function.what.lines }
    });
    seen.collect()
}

/// The head stands before the first item; attributes and blank lines may come before it.
fn missing_head(source: &Source) -> Vec<Seen> {
    if source.text.lines().take(HEAD_WITHIN_LINES).any(|line| line.starts_with("//!")) {
        return Vec::new();
    }
    one(source.path.display(), "does not say in a `//!` head what it is for and what it must never do")
}

const HEAD_WITHIN_LINES: usize = 5;

fn allow_attributes(source: &Source) -> Vec<Seen> {
    let allows = source.facts.allows.iter();
    allows.flat_map(|allow| one(source.place(allow), "`allow`: use `#[expect(…, reason = \"…\")]`")).collect()
}

fn unfinished(source: &Source) -> Vec<Seen> {
    let macros = source.facts.macros.iter().filter(|name| matches!(name.what.as_str(), "todo" | "unimplemented"));
    let macros = macros.flat_map(|name| one(source.place(name), format_args!("`{}!`: finish it", name.what)));
    let lines = source.text.lines().enumerate().filter(|(_, line)| line.contains(MARK));
    let marks = lines.flat_map(|(index, _)| one(at(&source.path, index), format_args!("{MARK}: finish it")));
    macros.chain(marks).collect()
}

const MARK: &str = concat!("FIX", "ME");

fn spelled_subjects(source: &Source) -> Vec<Seen> {
    if source.path.ends_with("vettid-wire/src/subject.rs") {
        return Vec::new();
    }
    let spelled = source.facts.strings.iter().filter(|string| !string.in_test && string.what.contains(SPACE));
    spelled
        .flat_map(|string| one(source.place(string), "spells a subject: take it from `vettid_wire::subject`"))
        .collect()
}

const SPACE: &str = concat!("Space", ".");

fn file_kib(file: &TreeFile) -> Seen {
    let kib = file.bytes.len().div_ceil(1024);
    Seen {
        place: file.path.display().to_string(),
        message: format!("has {kib} KiB: keep it out of the tree"),
        value: kib,
    }
}

/// In files that are written by hand; a golden file may record blanks.
fn trailing_blanks(file: &TreeFile) -> Vec<Seen> {
    if !has_extension(&file.path, &["rs", "toml", "sh", "ts", "js", "css", "html", "sql", "wit", "yml", "yaml"]) {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&file.bytes);
    let lines = text.lines().enumerate().filter(|(_, line)| line.ends_with([' ', '\t']));
    lines.flat_map(|(index, _)| one(at(&file.path, index), "ends in blanks")).collect()
}

fn machine(file: &TreeFile) -> Vec<Seen> {
    if file.path.ends_with("Cargo.lock") || file.path.ends_with("package-lock.json") {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&file.bytes);
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| Some((index, names_machine(line)?)))
        .flat_map(|(index, what)| {
            one(at(&file.path, index), format_args!("names `{what}`: the tree speaks of the product only"))
        })
        .collect()
}

const FOLDERS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
const HOSTS: [&str; 6] = [
    concat!("crates.io", "/api"),
    concat!("static.", "crates.io"),
    concat!("index.", "crates.io"),
    concat!("files.", "pythonhosted.org"),
    concat!("pypi", ".org"),
    concat!("registry.", "npmjs"),
];

fn names_machine(line: &str) -> Option<&'static str> {
    let folder = FOLDERS.into_iter().find(|folder| {
        line.match_indices(folder)
            .any(|(index, _)| !line.get(..index).is_some_and(|before| before.ends_with(is_path_character)))
    });
    folder.or_else(|| HOSTS.into_iter().find(|host| line.contains(host)))
}

/// Before a slash: the folder is not at the top.
fn is_path_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '}' | ')' | '~' | '*')
}

fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().is_some_and(|extension| wanted.iter().any(|wanted| extension == *wanted))
}

fn at(path: &Path, index: usize) -> String {
    format!("{}:{}", path.display(), index + 1)
}

fn one(place: impl std::fmt::Display, message: impl std::fmt::Display) -> Vec<Seen> {
    vec![Seen { place: place.to_string(), message: message.to_string(), value: 1 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TreeFile {
        TreeFile { path: path.into(), bytes: text.into() }
    }

    fn value(metric: Metric, files: &[TreeFile]) -> usize {
        let (measures, unreadable) = all(files);
        assert_eq!(unreadable, []);
        measures.iter().find(|measure| measure.metric == metric).unwrap().value()
    }

    fn value_of(metric: Metric, path: &str, text: &str) -> usize {
        value(metric, &[file(path, text)])
    }

    #[test]
    fn a_clean_file_has_nothing_to_count() {
        let clean = "//! A head.\n\n/// Reads `OwnerSpace.{guid}`.\nfn a() {\n    \"text\";\n}\n";
        for metric in Metric::ALL.into_iter().filter(|metric| metric.kind() == Kind::Count) {
            assert_eq!(value_of(metric, "src/a.rs", clean), 0, "{metric:?}");
        }
    }

    #[test]
    fn lines_are_those_of_the_longest_file_outside_tests() {
        let long = "//! Head.\n".repeat(700);
        assert_eq!(value(Metric::FileLines, &[file("src/a.rs", &long), file("src/b.rs", "//! Head.\n")]), 700);
        assert_eq!(value_of(Metric::FileLines, "tests/a.rs", &long), 0);
    }

    #[test]
    fn functions_are_measured_in_tests_too() {
        let long = format!("//! Head.\nfn a() {{\n{}}}\n", "    a();\n".repeat(90));
        assert_eq!(value_of(Metric::FunctionLines, "tests/a.rs", &long), 92);
    }

    #[test]
    fn the_largest_file_counts_whatever_it_is() {
        assert_eq!(value(Metric::FileKib, &[file("logo.png", &"x".repeat(600 * 1024 + 1)), file("b", "")]), 601);
    }

    #[test]
    fn a_missing_head_is_found() {
        assert_eq!(value_of(Metric::MissingHeads, "src/a.rs", "/// Not a head.\nfn a() {}\n"), 1);
        assert_eq!(value_of(Metric::MissingHeads, "src/a.rs", "#![no_std]\n\n//! Head.\n"), 0);
    }

    #[test]
    fn allow_is_found() {
        assert_eq!(value_of(Metric::AllowAttributes, "src/a.rs", "//! Head.\n#[allow(dead_code)]\nfn a() {}\n"), 1);
    }

    #[test]
    fn unfinished_work_is_found() {
        let text = format!("//! Head.\nfn a() {{ todo!() }}\nfn b() {{ unimplemented!() }}\n// {MARK}: later\n");
        assert_eq!(value_of(Metric::Unfinished, "src/a.rs", &text), 3);
    }

    #[test]
    fn spelled_subjects_are_found_in_code_only() {
        let text = format!(
            "//! Head.\nfn a() {{ format!(\"Owner{SPACE}{{}}\", 1); }}\n#[cfg(test)]\nmod tests {{ const A: &str = \"Owner{SPACE}a\"; }}\n"
        );
        assert_eq!(value_of(Metric::SpelledSubjects, "crates/vettid-core/src/a.rs", &text), 1);
        assert_eq!(value_of(Metric::SpelledSubjects, "crates/vettid-wire/src/subject.rs", &text), 0);
        assert_eq!(value_of(Metric::SpelledSubjects, "crates/vettid-core/tests/a.rs", &text), 0);
    }

    #[test]
    fn trailing_blanks_are_found_in_written_files() {
        assert_eq!(value_of(Metric::TrailingBlanks, "a.toml", "a = 1 \nb = 2\n"), 1);
        assert_eq!(value_of(Metric::TrailingBlanks, "a.snap", "a \n"), 0);
    }

    #[test]
    fn machine_paths_and_registry_hosts_are_found() {
        for folder in FOLDERS {
            assert_eq!(value_of(Metric::Machine, "README.md", &format!("cd {folder}main\n")), 1, "{folder}");
            assert_eq!(value_of(Metric::Machine, "README.md", &format!("see the src{folder}main.rs\n")), 0, "{folder}");
        }
        for host in HOSTS {
            assert_eq!(value_of(Metric::Machine, "README.md", &format!("https://{host}/simple\n")), 1, "{host}");
            assert_eq!(value_of(Metric::Machine, "Cargo.lock", host), 0, "{host}");
        }
    }

    #[test]
    fn a_broken_file_is_a_finding_not_a_gap() {
        let (_, unreadable) = all(&[file("src/a.rs", "fn a( {")]);
        assert_eq!(unreadable.len(), 1);
    }
}
