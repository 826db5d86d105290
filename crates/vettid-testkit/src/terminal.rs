//! A terminal of its own for one program, at which a test types. Needs the program `script` of util-linux.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Runs a command line at a terminal that shows what is typed, unless the program keeps it from that. Each answer is typed
/// once its prompt stands at the end of the screen. What stood on the screen.
///
/// # Errors
/// [`io::Error`] if there is no terminal, or if the program ends before a prompt.
pub fn type_at(home: &Path, command_line: &str, answers: &[(&str, &str)]) -> io::Result<String> {
    let mut screen = Screen::open(home, command_line)?;
    for (prompt, answer) in answers {
        screen.until(prompt)?;
        screen.keys.write_all(answer.as_bytes())?;
    }
    screen.end()
}

/// The same with one answer, which is made from what stands on the screen when the prompt does.
///
/// # Errors
/// As [`type_at`].
pub fn reply_at(
    home: &Path,
    command_line: &str,
    prompt: &str,
    reply: impl FnOnce(&str) -> String,
) -> io::Result<String> {
    reply_and_type_at(home, command_line, (prompt, reply), &[])
}

/// The same, with further answers typed after the first one.
///
/// # Errors
/// As [`type_at`].
pub fn reply_and_type_at(
    home: &Path,
    command_line: &str,
    (prompt, reply): (&str, impl FnOnce(&str) -> String),
    answers: &[(&str, &str)],
) -> io::Result<String> {
    let mut screen = Screen::open(home, command_line)?;
    screen.until(prompt)?;
    let answer = reply(&String::from_utf8_lossy(&screen.shown));
    screen.keys.write_all(answer.as_bytes())?;
    for (prompt, answer) in answers {
        screen.until(prompt)?;
        screen.keys.write_all(answer.as_bytes())?;
    }
    screen.end()
}

struct Screen {
    child: Child,
    keys: ChildStdin,
    output: ChildStdout,
    shown: Vec<u8>,
}

impl Screen {
    fn open(home: &Path, command_line: &str) -> io::Result<Self> {
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
        let (Some(keys), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("no pipes"));
        };
        Ok(Self { child, keys, output, shown: Vec::new() })
    }

    fn until(&mut self, prompt: &str) -> io::Result<()> {
        let mut byte = [0];
        while !self.shown.ends_with(prompt.as_bytes()) {
            if self.output.read(&mut byte)? == 0 {
                let shown = String::from_utf8_lossy(&self.shown);
                return Err(io::Error::other(format!("it ended before {prompt:?}: {shown}")));
            }
            self.shown.extend(byte);
        }
        Ok(())
    }

    fn end(mut self) -> io::Result<String> {
        self.output.read_to_end(&mut self.shown)?;
        self.child.wait()?;
        Ok(String::from_utf8_lossy(&self.shown).into_owned())
    }
}
