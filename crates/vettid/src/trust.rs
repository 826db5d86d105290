//! Whom a host trusts: the authorities that its configuration names, and none of those that the machine knows. The NATS library reads
//! the latter for each connection all the same, and drops them (3.6 ms of a core); a host opens one for each peer of each vault. So a
//! host starts as a program on a machine without any.

use crate::surroundings;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Where the machine's certificates are looked for instead.
const NOTHING: &str = "/dev/null";

/// Begins this program anew, in the same process, unless it does without the machine's certificates already.
pub(crate) fn do_without_the_machines_certificates() {
    if surroundings::certificates_are_in(NOTHING) {
        return;
    }
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| "vettid".into());
    if let Ok(program) = std::env::current_exe() {
        let mut command = Command::new(program);
        command.arg0(name).args(words).env(surroundings::CERTIFICATE_FILE, NOTHING);
        command.env_remove(surroundings::CERTIFICATE_FOLDERS);
        // It comes back from here only if that fails. Then the host is slower, and trusts nobody else either.
        let _ = command.exec();
    }
}
