//! The check of the layers: crates in, findings out. Reads nothing itself.

use super::table::{self, Class, Row};
use super::{Area, Crate};
use crate::report::Finding;
use crate::source::{Located, Source, TestFiles};
use crate::workspace::{Dependency, Kind};
use std::path::Path;

/// Every broken rule, in order of the crates.
pub(super) fn check(crates: &[Crate]) -> Vec<Finding> {
    let members: Vec<&str> = crates.iter().map(|member| member.name.as_str()).collect();
    crates.iter().flat_map(|member| check_crate(member, &members)).collect()
}

fn check_crate(member: &Crate, members: &[&str]) -> Vec<Finding> {
    let mut findings = empty_names(member);
    match row(member) {
        None => {
            findings.push(Finding::new(&member.name, "has no row in xtask/src/layers/table.rs: say what it may use"))
        }
        Some(row) => {
            let dependencies = member.dependencies.iter();
            findings.extend(dependencies.filter_map(|dependency| forbidden(member, row, dependency, members)));
            if row.class == Class::Pure {
                findings.extend(impure_sources(&member.sources));
            }
        }
    }
    findings
}

fn row(member: &Crate) -> Option<&'static Row> {
    match member.area {
        Area::Components => Some(&table::COMPONENT),
        Area::Product => table::CRATES.iter().find(|row| row.name == member.name),
    }
}

/// Why a crate may not name a dependency.
fn forbidden(member: &Crate, row: &Row, dependency: &Dependency, members: &[&str]) -> Option<Finding> {
    let name = dependency.name.as_str();
    let reason = if members.contains(&name) || name.starts_with("vettid") || name == "xtask" {
        forbidden_arrow(member, row, dependency)?
    } else if dependency.kind == Kind::Dev && table::TEST_TOOLS.contains(&name) || is_exception(member, dependency) {
        return None;
    } else if row.class == Class::Pure && table::IMPURE.contains(&name) {
        format!(
            "must not name {name}: it decides without runtime, broker, database, HTTP, files, clock or global randomness"
        )
    } else {
        foreign_owner(&member.name, name)?
    };
    Some(Finding::new(&member.name, reason))
}

fn forbidden_arrow(member: &Crate, row: &Row, dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    let for_tests = dependency.kind == Kind::Dev && name == table::TESTKIT;
    let allowed = name == member.name || row.may_use.contains(&name);
    if for_tests || allowed || is_exception(member, dependency) {
        return None;
    }
    // Components use one another only to build on a shared crate of their own workspace, which obeys the same row.
    if member.area == Area::Components && !name.starts_with("vettid") && name != "xtask" {
        return None;
    }
    let allowed = if row.may_use.is_empty() { "none".to_owned() } else { row.may_use.join(", ") };
    Some(format!("must not use {name} (of this workspace it may use: {allowed})"))
}

fn is_exception(member: &Crate, dependency: &Dependency) -> bool {
    table::EXCEPTIONS
        .iter()
        .any(|(user, name, kind, _)| *user == member.name && *name == dependency.name && *kind == dependency.kind)
}

fn foreign_owner(member: &str, name: &str) -> Option<String> {
    let owned = table::OWNED.iter().find(|owned| owned.crates.contains(&name))?;
    if owned.owners.contains(&member) {
        return None;
    }
    Some(format!("must not name {name}: {} belongs to {}", owned.what, owned.owners.join(", ")))
}

fn impure_sources(sources: &[Source]) -> Vec<Finding> {
    let test_files = TestFiles::of(sources);
    let shipped = sources.iter().filter(|source| !is_build_script(&source.path) && !test_files.contain(&source.path));
    shipped.flat_map(impure_paths).collect()
}

fn is_build_script(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "build.rs") && !path.components().any(|part| part.as_os_str() == "src")
}

fn impure_paths(source: &Source) -> Vec<Finding> {
    let in_code = source.facts.paths.iter().filter(|path| !path.in_test);
    in_code.filter_map(|path| impure_path(source, path)).collect()
}

fn impure_path(source: &Source, path: &Located<Vec<String>>) -> Option<Finding> {
    let by_path = table::IMPURE_PATHS.iter().find(|(forbidden, _)| starts_with(&path.what, forbidden));
    let by_name = || table::IMPURE_NAMES.iter().find(|(forbidden, _)| path.what.iter().any(|name| name == forbidden));
    let (_, what) = by_path.or_else(by_name)?;
    let message = format!("`{}` brings in {what}, which a pure crate takes as an argument", path.what.join("::"));
    Some(Finding::new(source.place(path), message))
}

fn starts_with(path: &[String], forbidden: &str) -> bool {
    let mut segments = path.iter();
    forbidden.split("::").all(|wanted| segments.next().is_some_and(|segment| segment == wanted))
}

/// Crates, targets and modules whose names say nothing.
fn empty_names(member: &Crate) -> Vec<Finding> {
    let crate_words = member.name.split(['-', '_']).filter(|word| is_empty_name(word));
    let crates = crate_words.map(|word| Finding::new(&member.name, says_nothing("crate", word)));
    let targets = member.targets.iter().filter(|target| is_empty_name(target));
    let targets = targets.map(|target| Finding::new(&member.name, says_nothing("target", target)));
    let modules = member.sources.iter().flat_map(|source| {
        let empty = source.facts.modules.iter().filter(|module| is_empty_name(&module.what.name));
        empty.map(|module| Finding::new(source.place(module), says_nothing("module", &module.what.name)))
    });
    crates.chain(targets).chain(modules).collect()
}

fn is_empty_name(name: &str) -> bool {
    table::EMPTY_NAMES.contains(&name)
}

fn says_nothing(kind: &str, name: &str) -> String {
    format!("{kind} name `{name}` says nothing: a helper lives with its noun")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Crate {
        Crate { name: name.to_owned(), area: Area::Product, dependencies: vec![], targets: vec![], sources: vec![] }
    }

    fn with(name: &str, dependencies: &[(&str, Kind)]) -> Crate {
        let dependencies = dependencies.iter().map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: *kind });
        Crate { dependencies: dependencies.collect(), ..member(name) }
    }

    fn source(name: &str, path: &str, text: &str) -> Crate {
        Crate { sources: vec![Source::parse(path, text).unwrap()], ..member(name) }
    }

    fn messages(member: Crate) -> Vec<String> {
        check(&[member]).iter().map(ToString::to_string).collect()
    }

    fn refused(name: &str, dependency: &str, kind: Kind) -> bool {
        let found = messages(with(name, &[(dependency, kind)]));
        assert!(found.iter().all(|message| message.contains(dependency)), "{found:?}");
        !found.is_empty()
    }

    /// The arrows of the code map, written a second time by hand, so that the table is checked and not only used.
    #[test]
    fn arrows_are_those_of_the_code_map() {
        let allowed = [
            ("wire", ""),
            ("crypto", "wire"),
            ("core", "wire crypto"),
            ("handler", "wire"),
            ("handlers", "wire handler"),
            ("wasm", "wire handler"),
            ("nats", "wire core"),
            ("store", "wire core"),
            ("vault", "wire crypto core handler handlers wasm nats"),
            ("services", "wire crypto core nats store"),
            ("gateway", "wire crypto core nats store"),
            ("gateway-client", "wire crypto"),
            ("client", "wire crypto core"),
        ];
        for (from, arrows) in allowed {
            let arrows: Vec<_> = arrows.split_whitespace().collect();
            for (to, _) in allowed.iter().filter(|(to, _)| *to != from) {
                let is_refused = refused(&format!("vettid-{from}"), &format!("vettid-{to}"), Kind::Normal);
                assert_eq!(is_refused, !arrows.contains(to), "{from} -> {to}");
            }
            assert!(!refused("vettid", &format!("vettid-{from}"), Kind::Normal), "the binary uses {from}");
            for to in ["vettid", "vettid-testkit", "xtask"] {
                assert!(refused(&format!("vettid-{from}"), to, Kind::Normal), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn the_testkit_is_for_tests_only() {
        assert!(!refused("vettid-nats", "vettid-testkit", Kind::Dev));
        assert!(refused("vettid-nats", "vettid-testkit", Kind::Build));
        assert!(refused("vettid-vault", "vettid-services", Kind::Dev), "other arrows hold in tests too");
    }

    #[test]
    fn pure_crates_name_nothing_that_acts() {
        for name in ["vettid-wire", "vettid-crypto", "vettid-core", "vettid-handler", "vettid-handlers"] {
            for foreign in ["tokio", "async-nats", "sqlx", "reqwest", "axum", "hyper", "rand", "getrandom"] {
                assert!(refused(name, foreign, Kind::Normal), "{name} -> {foreign}");
                assert!(refused(name, foreign, Kind::Build), "{name} -> {foreign}");
            }
            assert!(!refused(name, "rand", Kind::Dev), "seeded randomness in tests");
            assert!(refused(name, "tokio", Kind::Dev), "no runtime in tests either");
        }
    }

    #[test]
    fn foreign_crates_have_their_owner() {
        for (foreign, owner) in [
            ("async-nats", "vettid-nats"),
            ("sqlx", "vettid-store"),
            ("wasmtime", "vettid-wasm"),
            ("sha2", "vettid-crypto"),
        ] {
            for row in table::CRATES {
                let exception = row.name == "xtask" && foreign == "sha2";
                assert_eq!(
                    refused(row.name, foreign, Kind::Normal),
                    row.name != owner && !exception,
                    "{} -> {foreign}",
                    row.name
                );
            }
        }
        assert!(!refused("vettid-services", "axum", Kind::Normal));
        assert!(!refused("vettid-gateway", "axum", Kind::Normal));
        assert!(refused("vettid", "axum", Kind::Normal));
    }

    #[test]
    fn exceptions_are_as_narrow_as_written() {
        assert!(!refused("vettid", "async-nats", Kind::Dev));
        assert!(refused("vettid", "async-nats", Kind::Normal));
        assert!(refused("vettid-vault", "async-nats", Kind::Dev));
    }

    #[test]
    fn randomness_of_the_system_is_for_shells() {
        for name in ["vettid-vault", "vettid-services", "vettid-gateway", "vettid-client", "vettid", "vettid-nats"] {
            assert!(!refused(name, "getrandom", Kind::Normal), "{name}");
        }
        assert!(refused("vettid-store", "getrandom", Kind::Normal));
    }

    #[test]
    fn forbidden_paths_in_a_pure_source_are_found_where_they_stand() {
        for (text, path) in [
            ("use std::fs;", "std::fs"),
            ("fn a() { let _ = std::net::TcpStream::connect(\"\"); }", "std::net::TcpStream::connect"),
            ("use std::{collections::BTreeMap, time::{Duration, SystemTime}};", "std::time::SystemTime"),
            ("use std::time; fn a() { time::Instant::now(); }", "time::Instant::now"),
            ("fn a() { uuid::Uuid::now_v7(); }", "uuid::Uuid::now_v7"),
            ("fn a() { assert!(rand::thread_rng().random()); }", "rand::thread_rng"),
            ("use std::*;", "std::*"),
            ("use std::io; fn a() { io::stdin(); }", "io::stdin"),
        ] {
            let found = messages(source("vettid-core", "crates/vettid-core/src/lib.rs", &format!("\n{text}")));
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            let start = format!("crates/vettid-core/src/lib.rs:2: `{path}` brings in ");
            assert!(found[0].starts_with(&start), "{found:?}");
        }
    }

    #[test]
    fn shells_and_tests_may_touch_the_world() {
        let text = "use std::fs;";
        assert_eq!(messages(source("vettid-vault", "crates/vettid-vault/src/lib.rs", text)), [""; 0]);
        assert_eq!(messages(source("vettid-core", "crates/vettid-core/tests/vectors.rs", text)), [""; 0]);
        let test = "#[cfg(test)] mod tests { use std::fs; }";
        assert_eq!(messages(source("vettid-core", "crates/vettid-core/src/lib.rs", test)), [""; 0]);
    }

    #[test]
    fn durations_and_formatting_are_pure() {
        let text = "use std::time::Duration; use std::io::{self, Read}; use std::{fmt, collections::BTreeMap};";
        assert_eq!(messages(source("vettid-core", "crates/vettid-core/src/lib.rs", text)), [""; 0]);
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        let found =
            messages(source("vettid-vault", "crates/vettid-vault/src/lib.rs", "mod helpers;\nmod a { mod types {} }"));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(messages(member("vettid-utils")).iter().any(|message| message.contains("crate name `utils`")));
        let test = Crate { targets: vec!["common".to_owned()], ..member("vettid-vault") };
        assert!(messages(test).iter().any(|message| message.contains("target name `common`")));
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert!(messages(member("vettid-surprise")).iter().any(|message| message.contains("has no row")));
    }

    #[test]
    fn a_component_sees_what_a_package_sees() {
        let component = |name| Crate { area: Area::Components, ..with("address-check", &[(name, Kind::Normal)]) };
        assert_eq!(messages(component("vettid-handler")), [""; 0]);
        assert_eq!(messages(component("wit-bindgen")), [""; 0]);
        for name in ["vettid-core", "vettid-crypto", "vettid-store", "tokio", "sha2"] {
            assert_eq!(messages(component(name)).len(), 1, "{name}");
        }
    }
}
