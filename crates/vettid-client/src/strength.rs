//! How hard a new password is to guess, by zxcvbn (ADR 0101) and the list of breached passwords (ADR 0137).
//!
//! Must never see a password that is only checked, and never log one.

use crate::breached;
use vettid_core::credential::policy::StrengthEstimator;

/// The estimator of an app.
#[derive(Debug, Clone, Copy, Default)]
pub struct AppEstimator;

impl StrengthEstimator for AppEstimator {
    fn score(&self, password: &str, context: &[&str]) -> u8 {
        zxcvbn::zxcvbn(password, context).score().into()
    }

    fn is_breached(&self, password: &str) -> bool {
        breached::is_breached(password)
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
            assert!(choose_password(typed, &[], &AppEstimator).is_err(), "{typed}");
        }
    }

    #[test]
    fn several_odd_words_are_good() {
        for typed in
            ["seven tall camels ride", "correct horse battery staple", "Zx9$kQ2!pL7@", "grünes Klavier im Regen"]
        {
            assert!(choose_password(typed, &["Alice Moor"], &AppEstimator).is_ok(), "{typed}");
        }
    }

    /// Nothing about it is a pattern; it was stolen all the same.
    #[test]
    fn a_breached_password_is_refused_though_it_scores_well() {
        for typed in ["22tiz0oyik0ekc8d53gzb6yes5k=", "NSLLDR64l21m082y", "ｎｓｌｌｄｒ６４ｌ２１ｍ０８２ｙ"]
        {
            assert!(AppEstimator.score(typed, &[]) >= 3, "{typed}");
            assert_eq!(choose_password(typed, &[], &AppEstimator).err(), Some(UnfitChoice::Breached), "{typed}");
        }
    }

    /// A name that no list knows is guessable for whoever knows the member.
    #[test]
    fn words_of_the_account_are_guessable() {
        let typed = "hrabalovamila2024x";
        assert_eq!(choose_password(typed, &["Hrabalova Mila"], &AppEstimator).err(), Some(UnfitChoice::Context));
        assert!(choose_password(typed, &[], &AppEstimator).is_ok());
    }
}
