//! Which texts show everything that is in them: one line, no character that is invisible, turns the direction of writing,
//! looks like nothing, or piles up over its neighbours. What is not known to be visible is not.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Most marks over one letter.
const MAX_MARKS: usize = 4;

/// Whether a text of 1 to `max_bytes` bytes shows everything that is in it. Spaces stand alone and between other characters.
#[must_use]
pub fn is_visible(text: &str, max_bytes: usize) -> bool {
    let sized = (1..=max_bytes).contains(&text.len());
    let spaced = !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ");
    sized && spaced && text.chars().all(is_shown) && marks_are_bearable(text)
}

fn is_shown(character: char) -> bool {
    use GeneralCategoryGroup::{Letter, Mark, Number, Punctuation, Symbol};
    let group = character.general_category_group();
    character == ' '
        || (matches!(group, Letter | Mark | Number | Punctuation | Symbol) && !looks_like_nothing(character))
}

/// Letters, marks and symbols without a picture of their own (Unicode `Default_Ignorable_Code_Point`, and blank ones).
fn looks_like_nothing(character: char) -> bool {
    matches!(character,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fffc}' | '\u{16fe4}' | '\u{1d159}' | '\u{e0000}'..='\u{e0fff}')
}

/// A mark stands on a letter, and few of them on one.
fn marks_are_bearable(text: &str) -> bool {
    let mut marks = MAX_MARKS;
    text.chars().all(|character| {
        let is_mark = matches!(
            character.general_category(),
            GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark | GeneralCategory::SpacingMark
        );
        marks = if is_mark {
            marks + 1
        } else if character == ' ' {
            MAX_MARKS
        } else {
            0
        };
        marks <= MAX_MARKS
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_many_scripts_are_visible() {
        for text in
            ["Bob", "Zoë & Çelik – Ltd.", "नमस्ते", "שלום", "محمد", "東京都", "Việt Nam", "ไม่เป็นไร", "100 €", "🚲"]
        {
            assert!(is_visible(text, 200), "{text}");
        }
    }

    #[test]
    fn what_could_hide_something_is_not() {
        for wrong in [
            "",
            " ",
            " a",
            "a ",
            "a  b",
            "a\nb",
            "a\tb",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200b}b",
            "a\u{200d}b",
            "a\u{ad}b",
            "a\u{a0}b",
            "a\u{3000}b",
            "a\u{2028}b",
            "\u{3164}",
            "a\u{ffa0}",
            "\u{2800}",
            "a\u{fe0f}",
            "\u{e0041}a",
            "\u{feff}a",
            "\u{301}a",
            "a \u{301}",
            "a\u{301}\u{301}\u{301}\u{301}\u{301}",
            "\u{e000}",
            "\u{378}",
            "a\u{61c}b",
            "\u{1d159}",
        ] {
            assert!(!is_visible(wrong, 200), "{wrong:?}");
        }
        assert!(!is_visible("abc", 2));
    }

    proptest! {
        #[test]
        fn no_visible_text_has_a_control_or_format_character(text in "\\PC{0,20}|[\\p{Cf}\\p{Cc}\\p{Zs}a-c]{1,8}") {
            if is_visible(&text, 200) {
                for character in text.chars().filter(|character| *character != ' ') {
                    let group = character.general_category_group();
                    prop_assert!(!matches!(group, GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator));
                    prop_assert!(!character.is_control() && !character.is_whitespace());
                }
            }
        }
    }
}
