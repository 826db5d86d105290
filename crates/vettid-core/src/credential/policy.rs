//! Which new passwords are good enough (spec 2.6, SP 800-63B-4): length, no common or guessable text, nothing that stands
//! beside it on the screen. No composition rules, no periodic change. Must never be applied to a password that is only checked.
//!
//! The strength estimate is a port: the estimators that exist read a clock (ADR 0101).

use vettid_crypto::password::{Password, UnfitPassword};

/// Least strength of a new password on the estimator's scale of 0 to 4.
pub const MIN_SCORE: u8 = 3;
/// A word of fewer characters may be part of a password, whatever it names.
const MIN_CONTEXT_WORD: usize = 3;
/// Characters that a password needs besides the words of its context.
const MIN_OF_ITS_OWN: usize = 8;
/// Words that belong to every context.
const PRODUCT_WORDS: [&str; 5] = ["vettid", "vault", "credential", "password", "passphrase"];

/// Estimates how hard a password is to guess, from 0 to 4 as zxcvbn counts; knows lists of common and of breached passwords.
pub trait StrengthEstimator {
    /// The score of a normalised password; `context` are words that a guesser would try first.
    fn score(&self, password: &str, context: &[&str]) -> u8;
    /// Whether a normalised password stood in a breach that was published.
    fn is_breached(&self, password: &str) -> bool;
}

/// Why a new password is refused. Each is told to the member, with what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitChoice {
    /// Too short or too long.
    #[error(transparent)]
    Shape(#[from] UnfitPassword),
    /// Little is left without the member's name, address and the like.
    #[error("a password holds more than names and words that belong to the account")]
    Context,
    /// It stands in a list of passwords that were taken from others.
    #[error(
        "this password, or one like it, was stolen somewhere before and stands in lists that guessers use: choose another"
    )]
    Breached,
    /// Common, or easy to guess.
    #[error("a password is hard to guess: use several words that nobody would put together")]
    Guessable,
}

/// Judges a new password. `context`: name, e-mail address, names of services and devices of the member.
///
/// # Errors
/// [`UnfitChoice`].
pub fn choose_password(
    typed: &str,
    context: &[&str],
    estimator: &dyn StrengthEstimator,
) -> Result<Password, UnfitChoice> {
    let password = Password::new(typed)?;
    let words: Vec<String> = context_words(context).collect();
    if own_characters(password.expose(), &words) < MIN_OF_ITS_OWN {
        return Err(UnfitChoice::Context);
    }
    if estimator.is_breached(password.expose()) {
        return Err(UnfitChoice::Breached);
    }
    let inputs: Vec<&str> = words.iter().map(String::as_str).collect();
    let good = estimator.score(password.expose(), &inputs) >= MIN_SCORE;
    if good { Ok(password) } else { Err(UnfitChoice::Guessable) }
}

/// The words of the context in lower case, each text also in its parts: `alice.moor@mail.example` names `alice` and `moor`.
fn context_words(context: &[&str]) -> impl Iterator<Item = String> {
    let parts = |text: &str| {
        let parts = text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect::<Vec<_>>();
        std::iter::once(text.to_owned()).chain(parts)
    };
    let words = context.iter().flat_map(move |text| parts(&text.to_lowercase()));
    let product = PRODUCT_WORDS.iter().map(|&word| word.to_owned());
    words.chain(product).filter(|word| word.chars().count() >= MIN_CONTEXT_WORD)
}

/// Characters that are left when the words are taken out, longest first.
fn own_characters(password: &str, words: &[String]) -> usize {
    let mut words: Vec<&String> = words.iter().collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut rest = zeroize::Zeroizing::new(password.to_lowercase());
    for word in words {
        *rest = rest.replace(word.as_str(), "\u{0}");
    }
    rest.chars().filter(|&c| c != '\u{0}').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says what it was asked to say.
    struct Fixed(u8);

    impl StrengthEstimator for Fixed {
        fn score(&self, _: &str, _: &[&str]) -> u8 {
            self.0
        }

        fn is_breached(&self, password: &str) -> bool {
            password.starts_with("stolen")
        }
    }

    #[test]
    fn a_breached_password_is_refused_however_strong_it_looks() {
        let chosen = choose_password("stolen words in a row", &[], &Fixed(4));
        assert_eq!(chosen.err(), Some(UnfitChoice::Breached));
    }

    #[test]
    fn a_guessable_password_is_refused() {
        for (score, fits) in [(0, false), (2, false), (3, true), (4, true)] {
            let chosen = choose_password("four words in a row", &[], &Fixed(score));
            assert_eq!(chosen.err(), (!fits).then_some(UnfitChoice::Guessable), "{score}");
        }
    }

    #[test]
    fn length_is_judged_first() {
        let short = choose_password("eleven char", &[], &Fixed(4)).err();
        assert_eq!(short, Some(UnfitChoice::Shape(UnfitPassword::TooShort)));
        let long = choose_password(&"x".repeat(129), &[], &Fixed(4)).err();
        assert_eq!(long, Some(UnfitChoice::Shape(UnfitPassword::TooLong)));
    }

    #[test]
    fn words_of_the_account_do_not_count() {
        let context = ["Alice Moor", "alice.moor@mail.example"];
        for typed in ["AliceMoor1234", "alice.moor@mail.example", "VettID-Password-1", "ａｌｉｃｅ ｍｏｏｒ 1234"]
        {
            assert_eq!(choose_password(typed, &context, &Fixed(4)).err(), Some(UnfitChoice::Context), "{typed}");
        }
        assert!(choose_password("alice rides seven tall camels", &context, &Fixed(4)).is_ok());
        assert!(choose_password("AliceMoor1234", &[], &Fixed(4)).is_ok());
    }
}
