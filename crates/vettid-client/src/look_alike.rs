//! Text of another party that may be read as something else (spec 2.14): a word of letters of several scripts, or one that looks like a
//! Latin word and is none. What is shown stays as it is; a warning stands beside it. Judges nothing else, and no text of one script alone.

use serde::Serialize;
use std::fmt;
use unicode_security::MixedScript as _;
use unicode_security::confusable_detection::skeleton;

/// Why a word is suspicious.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum LookAlike {
    /// Its letters belong to different scripts.
    MixedScripts {
        /// The word.
        word: String,
    },
    /// It can be taken for a word of plain Latin letters, and has others.
    LooksLatin {
        /// The word.
        word: String,
        /// What it looks like.
        looks_like: String,
    },
}

impl fmt::Display for LookAlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MixedScripts { word } => write!(f, "“{word}” is written with letters of different scripts"),
            Self::LooksLatin { word, looks_like } => {
                write!(f, "“{word}” looks like “{looks_like}”, but is written with other letters")
            }
        }
    }
}

/// What is suspicious about a text, in the order of its words; nothing twice.
#[must_use]
pub fn warnings(text: &str) -> Vec<LookAlike> {
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| has_letter(word)).collect();
    // A text of another language has words that nobody takes for Latin.
    let may_be_latin = words.iter().all(|word| !word.is_single_script() || looks_latin(word).is_some());
    let mut found = vec![];
    for word in words {
        let warning = warning(word, may_be_latin).filter(|warning| !found.contains(warning));
        found.extend(warning);
    }
    found
}

fn warning(word: &str, may_be_latin: bool) -> Option<LookAlike> {
    if !word.is_single_script() {
        return Some(LookAlike::MixedScripts { word: word.to_owned() });
    }
    let looks_like = looks_latin(word).filter(|looks_like| may_be_latin && looks_like != word && !word.is_ascii())?;
    Some(LookAlike::LooksLatin { word: word.to_owned(), looks_like })
}

/// The word of plain Latin letters that it can be taken for.
fn looks_latin(word: &str) -> Option<String> {
    if word.is_ascii() {
        return Some(word.to_owned());
    }
    let looks_like: String = skeleton(word).collect();
    looks_like.is_ascii().then_some(looks_like)
}

fn has_letter(word: &str) -> bool {
    word.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let word = |warning| match warning {
            LookAlike::MixedScripts { word } => format!("mixed {word}"),
            LookAlike::LooksLatin { word, looks_like } => format!("{word} as {looks_like}"),
        };
        warnings(text).into_iter().map(word).collect()
    }

    #[test]
    fn words_of_several_scripts_and_words_that_look_latin_are_named() {
        // Cyrillic а in a Latin word.
        assert_eq!(words("P\u{430}ypal Ltd"), ["mixed P\u{430}ypal"]);
        // A Greek letter, and the same word twice.
        assert_eq!(words("Amaz\u{3bf}n, amazon, Amaz\u{3bf}n"), ["mixed Amaz\u{3bf}n"]);
        // A word of Cyrillic letters alone that looks like `coca`.
        let coca = "\u{441}\u{43e}\u{441}\u{430}";
        assert_eq!(words(&format!("{coca} shop")), [format!("{coca} as coca")]);
        assert_eq!(words(coca), [format!("{coca} as coca")]);
    }

    #[test]
    fn honest_texts_of_any_language_pass() {
        for honest in [
            "",
            "Rent for May 2026, flat 3b",
            "Müller & Söhne, Zürich",
            "Škoda Auto, Île-de-France",
            "Квартплата за май",
            // A word that looks Latin in a sentence that does not.
            "Сосна и оса",
            "Πληρωμή ενοικίου",
            "東京タワーのチケット",
            "서울 카페 2026년",
            "إيجار شهر مايو",
            "12.50 / 3×4",
        ] {
            assert_eq!(words(honest), Vec::<String>::new(), "{honest}");
        }
    }
}
