//! The state of a gateway in PostgreSQL, on servers that the tests start. What could not be tried is said in one plain line; only
//! a missing server lets the stage go on.

use super::packages;
use crate::environment;
use crate::process;
use crate::report::say;
use std::fs;
use std::process::Command;

/// What the tests need, as the packages of Debian and its kin.
const PACKAGES: [&str; 2] = ["postgresql", "postgresql-client"];

/// Tries what needs a server.
pub(super) fn run() -> anyhow::Result<()> {
    if !has_server() {
        packages::install("databases", &PACKAGES)?;
    }
    if !has_server() {
        return Ok(say("databases: not tried: PostgreSQL is not here and could not be installed")?);
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--locked", "--workspace", "--lib", "--test", "state", "--test", "flows", "--"]);
    let printed = process::output(cargo.args(["--ignored", "postgres_"]))?;
    let passed = passed(&printed);
    say(format_args!("databases: {passed} tests passed on PostgreSQL"))?;
    anyhow::ensure!(passed > 0, "nothing was tried on PostgreSQL");
    Ok(())
}

/// On the PATH, or where Debian puts its versions.
fn has_server() -> bool {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    environment::program("initdb").is_some()
        || versions.map(|entry| entry.path().join("bin/initdb")).any(|file| file.is_file())
}

/// How many tests the runner says passed, in all programs together.
fn passed(printed: &str) -> u32 {
    let summaries = printed.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    summaries.filter_map(|line| line.split_once(" passed")?.0.parse::<u32>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_is_added_up() {
        let printed = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out\n\n\
                       test result: ok. 0 passed; 0 failed; 0 ignored\ntest result: ok. 11 passed; 0 failed\n";
        assert_eq!(passed(printed), 13);
        assert_eq!(passed("test result: FAILED. 4 passed; 1 failed"), 0);
    }
}
