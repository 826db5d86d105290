//! The sealers of a host on devices in software: softhsm2 as a PKCS#11 token, swtpm as a TPM. What could not be tried is said
//! in one plain line; only a missing program lets the stage go on.

use super::packages;
use crate::environment;
use crate::process;
use crate::report::say;
use std::process::Command;

/// What the tests need, as the packages of Debian and its kin.
const PACKAGES: [&str; 5] = ["softhsm2", "swtpm", "swtpm-tools", "libtss2-dev", "pkg-config"];

/// The whole workspace each time, so that what other stages built is not built again with other features.
const WITH_TPM: [&str; 3] = ["--workspace", "--features", "vettid/tpm"];

/// Tries each sealer whose device can be had.
pub(super) fn run() -> anyhow::Result<()> {
    if !(has_token() && has_tpm()) {
        packages::install("sealers", &PACKAGES)?;
    }
    if has_token() {
        test(&["--workspace"], "token::a_token_keeps_the_promise_of_a_sealer")?;
    } else {
        say("sealers: not tried: PKCS#11 (softhsm2 is not here and could not be installed)")?;
    }
    if has_tpm() {
        process::run(Command::new("cargo").args(["clippy", "--locked"]).args(WITH_TPM).args([
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))?;
        test(&WITH_TPM, "tpm::a_tpm_keeps_the_promise_of_a_sealer")?;
    } else {
        say("sealers: not tried: TPM (swtpm or the TSS2 libraries are not here and could not be installed)")?;
    }
    Ok(())
}

fn test(what: &[&str], name: &str) -> anyhow::Result<()> {
    let mut cargo = Command::new("cargo");
    let cargo = cargo.args(["test", "--locked", "--test", "sealers"]).args(what);
    let printed = process::output(cargo.args(["--", "--ignored", "--exact", name]))?;
    say(&printed)?;
    anyhow::ensure!(printed.contains("1 passed"), "no sealer was tried");
    Ok(())
}

fn has_token() -> bool {
    environment::program("softhsm2-util").is_some()
}

fn has_tpm() -> bool {
    let libraries = Command::new("pkg-config").args(["--exists", "tss2-esys", "tss2-mu", "tss2-tctildr"]).status();
    environment::program("swtpm").is_some() && libraries.is_ok_and(|status| status.success())
}
