//! TPM 2.0 against swtpm.

use crate::{is_no_other_sealer, keeps_its_promise, open, refusal, rng};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;
use vettid_vault::host::sealer::SealerConfig;
use vettid_vault::host::sealer::tpm::TpmConfig;

/// A TPM that runs. Its seeds lie in the folder.
struct Tpm {
    process: Child,
    port: u16,
}

impl Tpm {
    #[expect(clippy::disallowed_methods, reason = "a pause between two looks at a program that comes up")]
    fn start(state: &Path) -> Self {
        std::fs::create_dir_all(state).unwrap();
        // swtpm takes its control channel at the port above.
        let port =
            (0..50).map(|_| free_port()).find(|port| TcpListener::bind(("127.0.0.1", port + 1)).is_ok()).unwrap();
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .args(["--server", &format!("type=tcp,port={port}")])
            .args(["--ctrl", &format!("type=tcp,port={}", port + 1)])
            .spawn()
            .unwrap();
        let tpm = Self { process, port };
        let is_up = (0..200).any(|_| {
            // Only the control channel lets itself be looked at: the other one takes a single client.
            let is_up = TcpStream::connect(("127.0.0.1", tpm.port + 1)).is_ok();
            if !is_up {
                std::thread::sleep(Duration::from_millis(25));
            }
            is_up
        });
        assert!(is_up, "swtpm does not start");
        tpm
    }

    fn config(&self, folder: &Path) -> SealerConfig {
        let tcti = format!("swtpm:host=127.0.0.1,port={}", self.port);
        SealerConfig::Tpm(TpmConfig { tcti, key_file: folder.join("host.tpm") })
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        // It may have ended with its last client.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A start of the machine: what the TPM holds in memory is gone before and afterwards.
fn with_tpm<T>(state: &Path, folder: &Path, act: impl FnOnce(&SealerConfig) -> T) -> T {
    let tpm = Tpm::start(state);
    act(&tpm.config(folder))
}

#[test]
#[ignore = "needs swtpm; cargo xtask test --only sealers"]
fn a_tpm_keeps_the_promise_of_a_sealer() {
    let folder = tempfile::tempdir().unwrap();
    let (state, folder) = (folder.path().join("tpm"), folder.path());
    let missing = with_tpm(&state, folder, |config| refusal(config, false));
    assert!(missing.contains("restore that file"), "{missing}");
    with_tpm(&state, folder, keeps_its_promise);
    with_tpm(&state, folder, |config| is_no_other_sealer(config, folder));
    // Power was off in between; the key lies in no file in clear.
    let sealed = with_tpm(&state, folder, |config| open(config, false).seal("place", b"key", &mut rng()).unwrap());
    let opened = with_tpm(&state, folder, |config| open(config, false).open("place", &sealed).unwrap());
    assert_eq!(opened.expose(), b"key");
    // The disk in another machine.
    let other = with_tpm(&folder.join("another tpm"), folder, |config| refusal(config, false));
    assert!(other.contains("this TPM did not seal"), "{other}");
    let away = SealerConfig::Tpm(TpmConfig {
        tcti: format!("swtpm:host=127.0.0.1,port={}", free_port()),
        key_file: folder.join("host.tpm"),
    });
    assert!(refusal(&away, false).contains("cannot be reached"));
    let nonsense = SealerConfig::Tpm(TpmConfig { tcti: "nonsense".into(), key_file: folder.join("host.tpm") });
    assert!(refusal(&nonsense, false).contains("names no way to a TPM"));
}
