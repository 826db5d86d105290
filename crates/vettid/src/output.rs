//! What people and scripts read: calm text, or exactly one JSON object with `--json`.
//!
//! Everything shown may come from a stranger, so no character that steers a terminal or reorders text gets through.

use crate::failure::Failure;
use serde::Serialize;
use std::io::{self, Write};
use vettid_wire::time::Timestamp;

/// Where and how results are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

/// A result that people can read.
pub(crate) trait Show {
    /// Writes it on a page.
    fn show(&self, page: &mut Page);
}

impl Output {
    /// As text, or as JSON.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// The result of a command, on standard output.
    pub(crate) fn result(self, value: &(impl Show + Serialize)) -> io::Result<()> {
        let text = if self.json { json_line(value)? } else { page(value) };
        emit(io::stdout().lock(), &text)
    }

    /// Lines that are already in the form that both people and scripts want, such as an export.
    pub(crate) fn raw(self, text: &str) -> io::Result<()> {
        emit(io::stdout().lock(), text)
    }

    /// Bytes as they are.
    pub(crate) fn raw_bytes(self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = io::stdout().lock();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Whether results are text for people.
    pub(crate) fn is_text(self) -> bool {
        !self.json
    }

    /// Something that has to be told beside the result, on standard error.
    pub(crate) fn notice(self, value: &(impl Show + Serialize)) -> io::Result<()> {
        let text = if self.json { json_line(value)? } else { page(value) };
        emit(io::stderr().lock(), &text)
    }

    /// A remark beside the result, on standard error; scripts get none.
    pub(crate) fn remark(self, text: &str) -> io::Result<()> {
        if self.json { Ok(()) } else { emit(io::stderr().lock(), &format!("{}\n", printable(text))) }
    }

    /// A failure, on standard error.
    pub(crate) fn failure(self, failure: &Failure) -> io::Result<()> {
        if self.json {
            return emit(io::stderr().lock(), &json_line(failure)?);
        }
        let mut text = format!("error: {}\n", printable(failure.error()));
        if let Some(next) = failure.advice() {
            text.push_str(&format!("next:  {}\n", printable(next)));
        }
        emit(io::stderr().lock(), &text)
    }
}

/// A result as text for people, to be kept in a file.
pub(crate) fn text_of(value: &impl Show) -> String {
    page(value)
}

fn emit(mut stream: impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

fn page(value: &impl Show) -> String {
    let mut page = Page::default();
    value.show(&mut page);
    page.text
}

/// One object on one line. Characters that steer a terminal are escaped, which changes no value.
fn json_line(value: &impl Serialize) -> io::Result<String> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    let mut line = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        match character {
            character if is_steering(character) => {
                let mut units = [0; 2];
                character.encode_utf16(&mut units).iter().for_each(|unit| line.push_str(&format!("\\u{unit:04x}")));
            }
            character => line.push(character),
        }
    }
    line.push('\n');
    Ok(line)
}

/// Text as it may be shown: characters that steer a terminal, reorder text or cannot be seen become a mark.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|character| if is_steering(character) { '\u{fffd}' } else { character }).collect()
}

fn is_steering(character: char) -> bool {
    // Zero-width and bidirectional marks, line and paragraph separators, tags, byte order mark. The joiner and the
    // variation selectors stay: emoji are made with them.
    character.is_control()
        || matches!(character, '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{61c}' | '\u{ad}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text for people, built line by line.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// A line.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(&printable(text.as_ref()));
        self.text.push('\n');
    }

    /// An empty line between two parts.
    pub(crate) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A name and its value, indented; a value of several lines keeps them.
    pub(crate) fn field(&mut self, name: &str, value: impl AsRef<str>) {
        let mut label = name;
        for line in value.as_ref().lines() {
            self.line(format!("  {label:<16} {line}").trim_end());
            label = "";
        }
    }

    /// A text of several lines, each indented.
    pub(crate) fn block(&mut self, text: &str) {
        for line in text.lines() {
            self.line(format!("  {line}").trim_end());
        }
    }

    /// Lines as they are, for drawings of our own.
    pub(crate) fn drawing(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// What to type next.
    pub(crate) fn next(&mut self, what: &str, command: &str) {
        self.line(format!("{what}:"));
        self.line(format!("  {command}"));
    }

    /// Rows under a head, in columns as wide as their widest cell.
    pub(crate) fn table<const N: usize>(&mut self, head: [&str; N], rows: &[[String; N]]) {
        let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| printable(cell))).collect();
        let head = head.map(str::to_owned);
        let mut widths = [0; N];
        for row in rows.iter().chain([&head]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in [&head].into_iter().chain(&rows) {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            self.line(cells.join("  ").trim_end());
        }
    }
}

/// What people would read.
#[cfg(test)]
pub(crate) fn shown(what: &impl Show) -> String {
    let mut page = Page::default();
    what.show(&mut page);
    page.text
}

/// A point in time for people, to the minute.
pub(crate) fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(clock)) => format!("{day} {clock} UTC"),
        _ => text,
    }
}

/// A length of time for people, in its largest unit.
pub(crate) fn length(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// `1 field`, `2 fields`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `1 entry`, `2 entries`.
pub(crate) fn entries(number: u64) -> String {
    format!("{number} {}", if number == 1 { "entry" } else { "entries" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        let evil = "a\u{1b}[2Jb\u{202e}c\u{9b}d\u{200b}e\r\nf\u{7f}";
        assert!(!printable(evil).chars().any(is_steering));
        let line = json_line(&evil).unwrap();
        assert!(!line.trim_end().chars().any(is_steering), "{line:?}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), evil);
        assert_eq!(printable("Zoë 🕷️ 漢字"), "Zoë 🕷️ 漢字");
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let mut page = Page::default();
        page.table(["NAME", "ID"], &[["a".into(), "1".into()], ["longer".into(), "2".into()]]);
        assert_eq!(page.text, "NAME    ID\na       1\nlonger  2\n");
    }

    #[test]
    fn times_and_lengths() {
        assert_eq!(minute("2026-11-21T06:15:59.999Z".parse().unwrap()), "2026-11-21 06:15 UTC");
        let lengths = [1_000, 90_000, 600_000, 3 * 3_600_000, 3 * 86_400_000].map(length);
        assert_eq!(lengths, ["1 second", "90 seconds", "10 minutes", "3 hours", "3 days"]);
    }
}
