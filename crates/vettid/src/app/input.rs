//! Reading what a command needs. Secrets and private texts come from files or standard input, never from the command
//! line, which every user of the machine can see.

use crate::failure::{Exit, Failure};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// Largest certificate file in bytes.
const MAX_CERTIFICATE_BYTES: u64 = 64 * 1024;

/// A name for a profile: it becomes the name of a folder.
pub(super) fn profile_name(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain && (1..=40).contains(&text.len()) && !text.starts_with('-') {
        Ok(text.to_owned())
    } else {
        Err("1 to 40 letters, digits, - and _".to_owned())
    }
}

/// A length of time such as `10m`, `24h`, `90s`, in seconds.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).unwrap_or(("", ""));
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => 0,
    };
    let seconds = number.parse::<u32>().ok().and_then(|number| number.checked_mul(factor));
    seconds.filter(|&seconds| seconds > 0).ok_or_else(|| "a number and s, m or h, such as 10m".to_owned())
}

/// A pair `NAME=TEXT`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=TEXT".to_owned()),
    }
}

/// Whole text from a file or standard input, at most `cap_bytes`. At a terminal the prompt says what is wanted.
pub(super) fn text(file: Option<&Path>, cap_bytes: usize, prompt: &str) -> Result<Zeroizing<String>, Failure> {
    match file {
        Some(path) => {
            let named = |error: &dyn std::fmt::Display| Failure::usage(format_args!("{}: {error}", path.display()));
            let file = File::open(path).map_err(|error| named(&error))?;
            read_capped(file, cap_bytes).map_err(|error| named(&error))
        }
        None => {
            if io::stdin().is_terminal() {
                writeln!(io::stderr(), "{prompt} (end with Ctrl-D):")?;
            }
            read_capped(io::stdin().lock(), cap_bytes).map_err(Failure::usage)
        }
    }
}

/// One line from a file or standard input: a code or a link.
pub(super) fn line(file: Option<&Path>, prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let text = if file.is_none() && io::stdin().is_terminal() {
        writeln!(io::stderr(), "{prompt}:")?;
        first_line()?
    } else {
        text(file, vettid_wire::handshake::MAX_TEXT_BYTES + 16, prompt)?
    };
    let line = Zeroizing::new(text.trim().to_owned());
    if line.is_empty() {
        return Err(Failure::usage("nothing was given").next("pass a file, or write the text to standard input"));
    }
    Ok(line)
}

/// What is typed unseen: without echo at a terminal, line by line from standard input elsewhere.
pub(super) struct Hidden {
    is_terminal: bool,
}

impl Hidden {
    /// From where the program stands.
    pub(super) fn new() -> Self {
        Self { is_terminal: io::stdin().is_terminal() }
    }

    /// One line.
    pub(super) fn line(&mut self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        let line = if self.is_terminal { unseen(prompt).map_err(Failure::usage)? } else { first_line()? };
        let line = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
        if line.is_empty() {
            return Err(Failure::usage(format_args!("{prompt}: nothing was given")));
        }
        Ok(line)
    }

    /// One line that is typed twice at a terminal, because nobody sees a slip.
    pub(super) fn chosen(&mut self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        let first = self.line(prompt)?;
        if self.is_terminal && self.line("The same again")? != first {
            return Err(Failure::usage("the two are not the same"));
        }
        Ok(first)
    }
}

/// One line that is typed at the terminal without being shown.
pub(super) fn unseen(prompt: &str) -> io::Result<Zeroizing<String>> {
    let _no_echo = NoEcho::new()?;
    rpassword::prompt_password(format!("{prompt}: ")).map(Zeroizing::new)
}

/// Keeps the terminal from showing what is typed or pasted from before the prompt on, and not only once it is read.
struct NoEcho(Termios);

impl NoEcho {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &modes)?;
        Ok(Self(before))
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing more.
        let _gone = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Whole bytes from a file or standard input, at most `cap_bytes`.
pub(super) fn bytes(file: Option<&Path>, cap_bytes: usize, prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match file {
        Some(path) => {
            let named = |error: io::Error| Failure::usage(format_args!("{}: {error}", path.display()));
            capped_bytes(File::open(path).map_err(named)?, cap_bytes).map_err(named)
        }
        None => {
            if io::stdin().is_terminal() {
                writeln!(io::stderr(), "{prompt} (end with Ctrl-D):")?;
            }
            capped_bytes(io::stdin().lock(), cap_bytes).map_err(Failure::usage)
        }
    }
}

/// The next line of standard input; what follows it stays there.
pub(super) fn next_line() -> Result<Zeroizing<String>, Failure> {
    let mut line = first_line()?;
    if !line.ends_with('\n') && line.len() >= 4096 {
        return Err(Failure::usage("the first line of the input is too long"));
    }
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    if line.is_empty() { Err(Failure::usage("the input has no password in its first line")) } else { Ok(line) }
}

fn first_line() -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::with_capacity(4096));
    io::stdin().lock().take(4096).read_line(&mut line).map_err(Failure::usage)?;
    Ok(line)
}

fn read_capped(source: impl Read, cap_bytes: usize) -> io::Result<Zeroizing<String>> {
    let bytes = capped_bytes(source, cap_bytes)?;
    let text = str::from_utf8(&bytes).map_err(|_| io::Error::other("not a text in UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn capped_bytes(source: impl Read, cap_bytes: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(cap_bytes + 1));
    source.take(cap_bytes as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > cap_bytes {
        return Err(io::Error::other(format!("more than {cap_bytes} bytes")));
    }
    Ok(bytes)
}

/// The certificate authority of `--ca-file`.
pub(super) fn certificate_file(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_CERTIFICATE_BYTES).read_to_string(&mut text));
    read.map_err(|error| Failure::new(Exit::Usage, format_args!("{}: {error}", path.display())))?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        Ok(text)
    } else {
        Err(Failure::usage(format_args!("{}: no certificate in PEM form", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!(["10m", "24h", "90s"].map(seconds), [Ok(600), Ok(86_400), Ok(90)]);
        for wrong in ["", "m", "10", "0s", "-1s", "1d", "99999999999h", "4000000h", "10µ"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_profile_stays_in_its_folder() {
        assert!(profile_name("alice-2").is_ok());
        for wrong in ["", ".", "..", "a/b", "-a", &"a".repeat(41)] {
            assert!(profile_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_capped_text_is_whole_or_refused() {
        assert_eq!(read_capped(&b"abc"[..], 3).unwrap().as_str(), "abc");
        assert!(read_capped(&b"abcd"[..], 3).is_err());
        assert!(read_capped(&b"\xff"[..], 3).is_err());
    }
}
