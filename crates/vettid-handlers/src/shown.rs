//! Texts that the owner is shown. What another party wrote must not be able to look like something else.

/// Longest name inside a sentence, in bytes.
const MAX_NAME_BYTES: usize = 80;

/// Whether a text of another party may be shown as it is: one line of 1 to `max_bytes` bytes, without control characters,
/// zero-width characters, or characters that turn the direction of writing.
#[must_use]
pub fn is_line(text: &str, max_bytes: usize) -> bool {
    (1..=max_bytes).contains(&text.len()) && !text.trim().is_empty() && !text.chars().any(is_deceptive)
}

/// Whether a text of another party is one short symbol: 1 to `max_bytes` bytes, at most eight characters, none of which is blank
/// or deceptive. The joiner is let through between others: emoji are made with it.
#[must_use]
pub fn is_symbol(text: &str, max_bytes: usize) -> bool {
    const JOINER: char = '\u{200d}';
    let is_fine = |character: char| character == JOINER || !(character.is_whitespace() || is_deceptive(character));
    let is_joined_inside = !text.starts_with(JOINER) && !text.ends_with(JOINER);
    (1..=max_bytes).contains(&text.len()) && text.chars().count() <= 8 && text.chars().all(is_fine) && is_joined_inside
}

/// A name as part of a sentence: without deceptive characters, and cut to a bearable length.
#[must_use]
pub fn name(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().filter(|character| !is_deceptive(*character)) {
        if shown.len() + character.len_utf8() > MAX_NAME_BYTES {
            break;
        }
        shown.push(character);
    }
    if shown.trim().is_empty() { "somebody without a name".to_owned() } else { shown }
}

fn is_deceptive(character: char) -> bool {
    let is_invisible = matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    character.is_control() || is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_lines_are_seen() {
        assert!(is_line("To deliver your order – schön", 100));
        for wrong in
            ["", "  ", "two\nlines", "pay\u{202e}lap", "zero\u{200b}width", "tab\t", "bom\u{feff}", "tag\u{e0041}"]
        {
            assert!(!is_line(wrong, 100), "{wrong:?}");
        }
        assert!(!is_line("too long", 7));
    }

    #[test]
    fn a_symbol_is_short_and_can_be_seen() {
        for right in ["👍", "❤️", "👩‍🔬", "🏳️‍🌈", "ok", "+1"] {
            assert!(is_symbol(right, 32), "{right}");
        }
        let long = "🕷️".repeat(5);
        for wrong in
            ["", " ", "a b", "\n", "\u{200b}", "\u{200d}", "x\u{200d}", "pay\u{202e}", "123456789", long.as_str()]
        {
            assert!(!is_symbol(wrong, 32), "{wrong:?}");
        }
        assert!(!is_symbol("👍", 3));
    }

    #[test]
    fn names_are_cleaned_and_cut() {
        assert_eq!(name("Demo\u{202e} Shop\n"), "Demo Shop");
        assert_eq!(name("\u{200b}"), "somebody without a name");
        assert_eq!(name(&"é".repeat(100)).len(), 80);
        assert_eq!(name(&"€".repeat(100)).len(), 78);
    }
}
