//! Whom a host trusts: the authorities that its configuration names, and none of those that the machine knows. The NATS library reads
//! the latter for each connection all the same, and drops them (3.6 ms of a core); a host opens one for each peer of each vault. So a
//! host starts as a program on a machine without any.

use crate::surroundings;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Where the machine's certificates are looked for instead.
const NOTHING: &str = "/dev/null";

/// Begins this program anew, in the same process, unless it does without the machine's certificates already. If that fails it goes on
/// as it is: slower, and trusting nobody else either.
pub(crate) fn do_without_the_machines_certificates() {
    if is_without() {
        return;
    }
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| "vettid".into());
    if let Ok(program) = std::env::current_exe() {
        let mut command = Command::new(program);
        command.arg0(name).args(words).env(surroundings::CERTIFICATE_FILE, NOTHING);
        command.env_remove(surroundings::CERTIFICATE_FOLDERS);
        // It comes back from here only if that fails, which is said once there is a log.
        let _ = command.exec();
    }
}

/// Says in the log that it could not be begun anew.
pub(crate) fn warn_unless_without() {
    if !is_without() {
        tracing::warn!(
            "the host reads the certificates of the machine for each connection; start it with SSL_CERT_FILE={NOTHING}"
        );
    }
}

fn is_without() -> bool {
    surroundings::certificates_are_in(NOTHING)
}
