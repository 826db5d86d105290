//! The sealers of a host on devices in software: softhsm2 as a PKCS#11 token, swtpm as a TPM. What could not be tried is said
//! in one plain line; only a missing program lets the stage go on.

use crate::environment;
use crate::process;
use crate::report::say;
use std::process::Command;

/// What the tests need, as the packages of Debian and its kin.
const PACKAGES: [&str; 5] = ["softhsm2", "swtpm", "swtpm-tools", "libtss2-dev", "pkg-config"];

/// Neither a mirror nor another installation is waited for long.
const IMPATIENT: [&str; 4] =
    ["Acquire::http::Timeout=15", "Acquire::https::Timeout=15", "Acquire::Retries=1", "DPkg::Lock::Timeout=60"];

/// The whole workspace each time, so that what other stages built is not built again with other features.
const WITH_TPM: [&str; 3] = ["--workspace", "--features", "vettid/tpm"];

/// Tries each sealer whose device can be had.
pub(super) fn run() -> anyhow::Result<()> {
    if !(has_token() && has_tpm()) && can_install() {
        say(format_args!("sealers: installing {} (once)", PACKAGES.join(", ")))?;
        install();
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

/// Whether this user may install packages.
fn can_install() -> bool {
    let user = Command::new("id").arg("-u").output();
    let is_root = user.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    is_root && environment::program("apt-get").is_some()
}

/// What cannot be installed is found missing afterwards.
fn install() {
    let apt = || {
        let mut apt = Command::new("apt-get");
        for option in IMPATIENT {
            apt.args(["-o", option]);
        }
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    if process::succeeds(apt().args(["update", "-qq"])) {
        process::succeeds(apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(PACKAGES));
    }
}
