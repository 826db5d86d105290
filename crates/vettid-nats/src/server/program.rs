//! The `nats-server` program: new enough, and bound to the life of this process where the system can do that.

use std::path::Path;
use std::process::{Command, Stdio};

use super::ServerError;

const MINIMUM: (u32, u32) = (2, 12);
/// Runs a program that gets a signal when its parent dies; part of util-linux.
const SETPRIV: [&str; 2] = ["/usr/bin/setpriv", "/bin/setpriv"];

/// Refuses a program that does not run or is too old.
pub(super) fn check(program: &Path) -> Result<(), ServerError> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ServerError::Program { path: program.to_owned(), source })?;
    let text = String::from_utf8_lossy(&output.stdout);
    match version(&text) {
        Some(found) if found >= MINIMUM => Ok(()),
        _ => Err(ServerError::TooOld { found: text.trim().chars().take(60).collect() }),
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let number = text.trim().rsplit_once('v')?.1;
    let mut parts = number.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The command that runs `program`, with an empty environment, ended by the system when this thread ends.
pub(super) fn command(program: &Path) -> Command {
    let mut command = match SETPRIV.iter().find(|path| Path::new(path).exists()) {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.env_clear();
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        assert_eq!(version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert!(version("nats-server: v2.9.10") < Some(MINIMUM));
        assert_eq!(version("something else"), None);
    }
}
