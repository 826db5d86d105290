//! A terminal of its own for one program, at which a test types. Needs the program `script` of util-linux.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a command line at a terminal that shows what is typed, unless the program keeps it from that. Each answer is typed
/// once its prompt stands at the end of the screen. What stood on the screen.
///
/// # Errors
/// [`io::Error`] if there is no terminal, or if the program ends before a prompt.
pub fn type_at(home: &Path, command_line: &str, answers: &[(&str, &str)]) -> io::Result<String> {
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--echo", "always", "--command", command_line, "/dev/null"])
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (Some(mut keys), Some(mut screen)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("no pipes"));
    };
    let mut shown = Vec::new();
    for (prompt, answer) in answers {
        let mut byte = [0];
        while !shown.ends_with(prompt.as_bytes()) {
            if screen.read(&mut byte)? == 0 {
                return Err(io::Error::other(format!(
                    "it ended before {prompt:?}: {}",
                    String::from_utf8_lossy(&shown)
                )));
            }
            shown.extend(byte);
        }
        keys.write_all(answer.as_bytes())?;
    }
    screen.read_to_end(&mut shown)?;
    child.wait()?;
    Ok(String::from_utf8_lossy(&shown).into_owned())
}
