//! PKCS#11 against softhsm2. Its library finds its tokens by an environment variable, so each case runs in a process of its
//! own, which the test starts.

use crate::{is_no_other_sealer, keeps_its_promise, refusal};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use vettid_vault::host::sealer::SealerConfig;
use vettid_vault::host::sealer::pkcs11::Pkcs11Config;

const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
];
const FOLDER: &str = "folder-of-the-case";

fn module() -> PathBuf {
    MODULES.iter().map(PathBuf::from).find(|path| path.exists()).unwrap()
}

fn pin_file(folder: &Path, pin: &str, mode: u32) -> PathBuf {
    let path = folder.join(format!("token.{mode:o}.pin"));
    fs::write(&path, format!("{pin}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn config(folder: &Path) -> Pkcs11Config {
    Pkcs11Config {
        module: module(),
        token: "vettid test".into(),
        key: "vaults".into(),
        pin_file: pin_file(folder, "271828", 0o600),
    }
}

#[test]
#[ignore = "needs softhsm2; cargo xtask test --only sealers"]
fn a_token_keeps_the_promise_of_a_sealer() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tokens")).unwrap();
    let conf = folder.path().join("softhsm2.conf");
    fs::write(
        &conf,
        format!("directories.tokendir = {}/tokens\nobjectstore.backend = file\n", folder.path().display()),
    )
    .unwrap();
    let initialised = Command::new("softhsm2-util")
        .env("SOFTHSM2_CONF", &conf)
        .args(["--init-token", "--free", "--label", "vettid test", "--so-pin", "314159", "--pin", "271828"])
        .output()
        .unwrap();
    assert!(initialised.status.success(), "{initialised:?}");
    let case = Command::new(std::env::current_exe().unwrap())
        .env("SOFTHSM2_CONF", &conf)
        .current_dir(folder.path())
        .args(["--ignored", "--exact", "token::in_its_own_process", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&case.stdout).into_owned() + &String::from_utf8_lossy(&case.stderr);
    assert!(case.status.success() && said.contains("1 passed"), "{said}");
    assert!(folder.path().join(FOLDER).exists(), "the case did not run");
}

#[test]
#[ignore = "a part of the test above"]
fn in_its_own_process() {
    let folder = PathBuf::from(FOLDER);
    // Whoever runs every ignored test runs this one without a token.
    if !Path::new("softhsm2.conf").exists() {
        return;
    }
    fs::create_dir(&folder).unwrap();
    let good = config(&folder);
    let sealer = |change: &dyn Fn(&mut Pkcs11Config)| {
        let mut config = good.clone();
        change(&mut config);
        SealerConfig::Pkcs11(config)
    };
    // Without its key, and something sealed before: no new one is made.
    assert!(refusal(&sealer(&|_| {}), false).contains("put the right token in"));
    keeps_its_promise(&sealer(&|_| {}));
    is_no_other_sealer(&sealer(&|_| {}), &folder);
    for (change, wanted) in [
        (&(|config: &mut Pkcs11Config| config.module = "/nowhere.so".into()) as &dyn Fn(&mut _), "cannot be loaded"),
        (&|config: &mut Pkcs11Config| config.token = "another".into(), "no token with the label"),
        (&|config: &mut Pkcs11Config| config.pin_file = "/nowhere.pin".into(), "the pin_file"),
        (&|config: &mut Pkcs11Config| config.pin_file = pin_file(&folder, "271828", 0o644), "chmod 600"),
        (&|config: &mut Pkcs11Config| config.key = "another".into(), "put the right token in"),
    ] {
        let said = refusal(&sealer(change), false);
        assert!(said.contains(wanted), "{said}");
    }
}
