//! Packages of Debian and its kin that a stage needs: installed where that is possible, and nowhere else.

use crate::environment;
use crate::process;
use crate::report::say;
use std::process::Command;

/// Neither a mirror nor another installation is waited for long.
const IMPATIENT: [&str; 4] =
    ["Acquire::http::Timeout=15", "Acquire::https::Timeout=15", "Acquire::Retries=1", "DPkg::Lock::Timeout=60"];

/// Tries to install them; what could not be installed is found missing afterwards.
pub(super) fn install(stage: &str, packages: &[&str]) -> anyhow::Result<()> {
    if !can_install() {
        return Ok(());
    }
    say(format_args!("{stage}: installing {} (once)", packages.join(", ")))?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        for option in IMPATIENT {
            apt.args(["-o", option]);
        }
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    if process::succeeds(apt().args(["update", "-qq"])) {
        process::succeeds(apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages));
    }
    Ok(())
}

/// Whether this user may install packages.
fn can_install() -> bool {
    let user = Command::new("id").arg("-u").output();
    let is_root = user.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    is_root && environment::program("apt-get").is_some()
}
