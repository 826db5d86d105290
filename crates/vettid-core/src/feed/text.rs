//! Texts as they are compared: in words, without accents, capitals and the differences between forms of one letter.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Calls `each` with every word of a text, in its compared form.
pub(super) fn words(text: &str, mut each: impl FnMut(&str)) {
    let plain: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).for_each(&mut each);
    let mut plain = plain;
    zeroize::Zeroize::zeroize(&mut plain);
}

#[cfg(test)]
mod tests {
    use super::words;

    fn all(text: &str) -> Vec<String> {
        let mut found = vec![];
        words(text, |word| found.push(word.to_owned()));
        found
    }

    #[test]
    fn words_are_compared_without_accents_and_capitals() {
        assert_eq!(all("Jose\u{301}, JOSÉ: „Straße\u{201c} \u{fb01}ne"), ["jose", "jose", "straße", "fine"]);
        assert_eq!(all("data.request for tax_id-2"), ["data", "request", "for", "tax", "id", "2"]);
        assert_eq!(all("税金の請求"), ["税金の請求"]);
        assert!(all(" .,-\u{301} ").is_empty());
    }
}
