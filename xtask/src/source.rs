//! A Rust source file as tokens: what it names, spells and declares, and which of it is test code.
//! Comments and documentation are not code here; nothing is expanded or resolved.

mod walk;

use crate::report::Finding;
use proc_macro2::TokenStream;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

/// Something in a source, its line (from 1), and whether it stands in test code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    /// The thing.
    pub what: T,
    /// Line, from 1.
    pub line: usize,
    /// Below `#[cfg(test)]`, `#[test]` or the like.
    pub in_test: bool,
}

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub name: String,
    /// Lines from `fn` to the closing brace.
    pub lines: usize,
}

/// A module that a source declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    /// Its name.
    pub name: String,
    /// With its body in the same file.
    pub inline: bool,
}

/// What stands in a source.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Functions with a body.
    pub functions: Vec<Located<Function>>,
    /// Declared modules.
    pub modules: Vec<Located<Module>>,
    /// Every path in code, `use` trees taken apart; a lone name is a path of one segment.
    pub paths: Vec<Located<Vec<String>>>,
    /// String literals as written, documentation left out.
    pub strings: Vec<Located<String>>,
    /// Names of called macros.
    pub macros: Vec<Located<String>>,
    /// `allow` attributes.
    pub allows: Vec<Located<()>>,
}

/// A source file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root of the tree, or to the crate.
    pub path: PathBuf,
    /// The text.
    pub text: String,
    /// What stands in it.
    pub facts: Facts,
}

impl Source {
    /// Takes a text apart.
    ///
    /// # Errors
    /// A finding with the line at which the text stops being Rust.
    pub(crate) fn parse(path: impl Into<PathBuf>, text: impl Into<String>) -> Result<Self, Finding> {
        let (path, text) = (path.into(), text.into());
        let tokens = TokenStream::from_str(&text).map_err(|error| {
            Finding::new(format_args!("{}:{}", path.display(), error.span().start().line), "is not readable as Rust")
        })?;
        Ok(Self { facts: walk::facts(tokens), path, text })
    }

    /// `path:line` of a thing in this source.
    pub(crate) fn place<T>(&self, located: &Located<T>) -> String {
        format!("{}:{}", self.path.display(), located.line)
    }
}

/// Which files hold test code only: those in `tests` and `benches` folders, and modules declared below `#[cfg(test)]`.
#[derive(Debug)]
pub(crate) struct TestFiles {
    stems: Vec<PathBuf>,
}

impl TestFiles {
    /// Learns from the declarations in all the sources.
    pub(crate) fn of(sources: &[Source]) -> Self {
        let stems = sources.iter().flat_map(|source| {
            let declared = source.facts.modules.iter().filter(|module| module.in_test && !module.what.inline);
            declared.map(|module| child_folder(&source.path).join(&module.what.name))
        });
        Self { stems: stems.collect() }
    }

    /// Whether all of a file is test code.
    pub(crate) fn contain(&self, path: &Path) -> bool {
        let in_folder = path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "benches");
        in_folder || self.stems.iter().any(|stem| path.with_extension("") == *stem || path.starts_with(stem))
    }
}

/// Where the modules of a file lie.
fn child_folder(path: &Path) -> PathBuf {
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => path.parent().unwrap_or(Path::new("")).to_owned(),
        Some(_) => path.with_extension(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Source {
        Source::parse("src/sample.rs", text).unwrap()
    }

    fn paths(text: &str) -> Vec<String> {
        parse(text).facts.paths.iter().map(|path| path.what.join("::")).collect()
    }

    #[test]
    fn use_trees_are_taken_apart() {
        let found = paths("use std::{fs, io::{self, Read as _}, time::*}; use ::std::net;");
        for path in ["std::fs", "std::io", "std::io::Read", "std::time::*", "std::net"] {
            assert!(found.iter().any(|found| found == path), "{path} not in {found:?}");
        }
    }

    #[test]
    fn paths_in_macros_and_generics_are_seen() {
        let found = paths("fn a() { assert!(Vec::<std::fs::File>::new().is_empty(), \"{}\", std::env::var(\"A\")); }");
        assert!(found.iter().any(|path| path == "std::fs::File"));
        assert!(found.iter().any(|path| path == "std::env::var"));
    }

    #[test]
    fn an_alias_of_std_counts_as_all_of_it() {
        assert!(paths("use std as s;").iter().any(|path| path == "std::*"));
    }

    #[test]
    fn comments_and_documentation_are_no_code() {
        let source = parse("//! Mentions std::fs.\n/// \"std::fs\"\nfn a() { /* std::fs */ }\n");
        assert!(source.facts.paths.iter().all(|path| path.what.first().map(String::as_str) != Some("std")));
        assert!(source.facts.strings.is_empty());
    }

    #[test]
    fn functions_have_their_length() {
        let source = parse("trait T { fn a(); }\nfn b(f: fn(u8) -> u8)\nwhere u8: Copy\n{\n    f(1);\n}\n");
        let functions: Vec<_> =
            source.facts.functions.iter().map(|f| (f.what.name.as_str(), f.line, f.what.lines)).collect();
        assert_eq!(functions, [("b", 2, 5)]);
    }

    #[test]
    fn test_code_is_told_from_the_rest() {
        let source = parse(
            "fn a() { \"one\"; }\n#[cfg(test)]\nmod tests { fn b() { \"two\"; } }\n#[tokio::test]\nasync fn c() { \"three\"; }\n#[cfg(not(test))]\nfn d() { \"four\"; }",
        );
        let strings: Vec<_> = source.facts.strings.iter().map(|s| (s.what.as_str(), s.in_test)).collect();
        assert_eq!(strings, [("\"one\"", false), ("\"two\"", true), ("\"three\"", true), ("\"four\"", false)]);
    }

    #[test]
    fn an_inner_attribute_makes_the_whole_file_test_code() {
        assert!(parse("#![cfg(test)]\nfn a() {}").facts.functions.iter().all(|function| function.in_test));
    }

    #[test]
    fn allow_is_seen_in_every_form() {
        let source = parse(
            "#![allow(dead_code)]\n#[cfg_attr(test, allow(unused))]\n#[expect(unused, reason = \"\")]\nfn allow() {}",
        );
        let lines: Vec<_> = source.facts.allows.iter().map(|allow| allow.line).collect();
        assert_eq!(lines, [1, 2]);
    }

    #[test]
    fn modules_declared_for_tests_are_test_files() {
        let sources = [Source::parse("src/a.rs", "#[cfg(test)] mod golden; mod real;").unwrap()];
        let files = TestFiles::of(&sources);
        assert!(files.contain(Path::new("src/a/golden.rs")));
        assert!(files.contain(Path::new("src/a/golden/deep.rs")));
        assert!(files.contain(Path::new("tests/world.rs")));
        assert!(!files.contain(Path::new("src/a/real.rs")));
        assert!(!files.contain(Path::new("src/golden.rs")));
    }

    #[test]
    fn what_is_not_rust_is_a_finding_with_its_line() {
        let finding = Source::parse("src/broken.rs", "fn a() {\n    \"open\n").unwrap_err();
        assert!(finding.place.starts_with("src/broken.rs:"), "{finding}");
    }
}
