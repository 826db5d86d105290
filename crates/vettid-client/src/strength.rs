//! How hard a new password is to guess, by zxcvbn and its lists of common passwords and names (ADR 0101).
//!
//! Must never see a password that is only checked, and never log one.

use vettid_core::credential::policy::StrengthEstimator;

/// The estimator of an app.
#[derive(Debug, Clone, Copy, Default)]
pub struct Zxcvbn;

impl StrengthEstimator for Zxcvbn {
    fn score(&self, password: &str, context: &[&str]) -> u8 {
        zxcvbn::zxcvbn(password, context).score().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_core::credential::policy::{UnfitChoice, choose_password};

    #[test]
    fn common_and_patterned_passwords_are_refused() {
        let guessable = [
            "1qaz2wsx3edc",
            "qwertyuiop[]",
            "q1w2e3r4t5y6",
            "passwordpassword",
            "P@ssw0rd12345",
            "abcdefghijkl",
            "aaaaaaaaaaaa",
            "12345678910",
            "111111111111",
            "jennifer1990",
            "ｑｗｅｒｔｙｕｉｏｐ１２",
        ];
        for typed in guessable {
            assert!(choose_password(typed, &[], &Zxcvbn).is_err(), "{typed}");
        }
    }

    #[test]
    fn several_odd_words_are_good() {
        for typed in
            ["seven tall camels ride", "correct horse battery staple", "Zx9$kQ2!pL7@", "grünes Klavier im Regen"]
        {
            assert!(choose_password(typed, &["Alice Moor"], &Zxcvbn).is_ok(), "{typed}");
        }
    }

    /// A name that no list knows is guessable for whoever knows the member.
    #[test]
    fn words_of_the_account_are_guessable() {
        let typed = "hrabalovamila2024x";
        assert_eq!(choose_password(typed, &["Hrabalova Mila"], &Zxcvbn).err(), Some(UnfitChoice::Context));
        assert!(choose_password(typed, &[], &Zxcvbn).is_ok());
    }
}
