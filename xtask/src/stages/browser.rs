//! A member logs in at a site with a real browser. What could not be tried is said in one plain line; only a missing program
//! lets the stage go on.

use super::packages;
use crate::environment;
use crate::process;
use crate::report::say;
use std::process::Command;

/// The browser, and what drives it by WebDriver.
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];
/// Each of them with one kind of key.
const TESTS: &str = "openid::chromium::";
const COUNT: usize = 2;

/// Tries it if the browser can be had.
pub(super) fn run() -> anyhow::Result<()> {
    if !has_browser() {
        packages::install("browser", &PACKAGES)?;
    }
    if !has_browser() {
        return Ok(say("browser: not tried (chromium or chromedriver is not here and could not be installed)")?);
    }
    let mut cargo = Command::new("cargo");
    // The whole workspace, so that what other stages built is not built again with other features.
    let cargo = cargo.args(["test", "--locked", "--workspace", "--test", "up"]);
    let printed = process::output(cargo.args(["--", "--ignored", "--test-threads=1", TESTS]))?;
    say(&printed)?;
    anyhow::ensure!(printed.contains(&format!("{COUNT} passed")), "no browser was tried");
    Ok(())
}

fn has_browser() -> bool {
    ["chromium", "chromedriver"].iter().all(|program| environment::program(program).is_some())
}
