//! What the service offers its members: the contract from its file, checked before the gateway starts.
//! A contract with an unknown key, or one that the grammar refuses, is never published.

use crate::files::{self, FileError};
use std::path::{Path, PathBuf};
use vettid_core::contract::contract_hash;
use vettid_core::contract::lint::{Severity, lint};
use vettid_wire::base64::Base64Url;
use vettid_wire::contract::{Contract, InvalidContract};
use vettid_wire::json::{self, JsonError};

/// A sound contract and its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The contract.
    pub contract: Contract,
    /// Its hash (spec 2.14).
    pub contract_hash: Base64Url,
}

/// Why a contract is not offered.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not JSON, an unknown key, or a value of another kind.
    #[error("{path} is not a contract")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: JsonError,
    },
    /// Not TOML, an unknown key, or a value of another kind.
    #[error("{path} is not a contract")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A text that has no canonical form.
    #[error("the contract has no canonical form")]
    Form(#[from] JsonError),
    /// Outside the grammar of contracts.
    #[error("the contract is not sound")]
    Invalid(#[from] InvalidContract),
    /// Members could not understand what they agree to.
    #[error("the contract is not sound: {place}: {message}")]
    Unclear {
        /// A JSON pointer.
        place: String,
        /// What is wrong.
        message: String,
    },
}

impl Offer {
    /// Reads and checks a contract file: TOML if its name ends in `.toml`, else JSON.
    ///
    /// # Errors
    /// See [`OfferError`].
    pub(crate) fn read(path: &Path) -> Result<Self, OfferError> {
        Self::new(Self::parse(path)?)
    }

    /// Reads a contract file without judging it.
    ///
    /// # Errors
    /// See [`OfferError`].
    pub(crate) fn parse(path: &Path) -> Result<Contract, OfferError> {
        let text = files::read_text(path)?;
        if path.extension().is_some_and(|ending| ending == "toml") {
            toml::from_str(&text).map_err(|source| OfferError::Toml { path: path.to_owned(), source: Box::new(source) })
        } else {
            json::read(text.as_bytes()).map_err(|source| OfferError::Json { path: path.to_owned(), source })
        }
    }

    /// Checks a contract.
    ///
    /// # Errors
    /// See [`OfferError`].
    pub(crate) fn new(contract: Contract) -> Result<Self, OfferError> {
        contract.validate()?;
        if let Some(first) = lint(&contract).into_iter().find(|finding| finding.severity == Severity::Error) {
            return Err(OfferError::Unclear { place: first.place, message: first.message });
        }
        let contract_hash = contract_hash(&contract)?;
        Ok(Self { contract, contract_hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = include_str!("../../../examples/shop/contract.json");

    fn read(name: &str, text: &str) -> Result<Offer, OfferError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Offer::read(&path)
    }

    #[test]
    fn the_demo_shop_is_sound_and_one_contract_in_both_forms() {
        let json = read("contract.json", SHOP).unwrap();
        assert_eq!(json.contract.service_id.as_str(), "demo-shop");
        let toml = read("contract.toml", &toml::to_string(&json.contract).unwrap()).unwrap();
        assert_eq!(json, toml);
    }

    #[test]
    fn unknown_keys_are_refused_in_both_forms() {
        let wrong = SHOP.replacen("\"description\"", "\"descripton\": \"x\", \"description\"", 1);
        assert!(matches!(read("contract.json", &wrong), Err(OfferError::Json { .. })));
        let offer = read("contract.json", SHOP).unwrap();
        let wrong = format!("ratee = 1\n{}", toml::to_string(&offer.contract).unwrap());
        assert!(matches!(read("contract.toml", &wrong), Err(OfferError::Toml { .. })));
    }

    #[test]
    fn unclear_contracts_are_refused() {
        let cases = [
            SHOP.replace("To deliver what you ordered", " "),
            SHOP.replace("https://shop.example/terms", "http://shop.example/terms"),
            SHOP.replace("[\"request_authentication\",", "[\"request_authentication\", \"request_authentication\","),
        ];
        for text in cases {
            assert!(matches!(read("contract.json", &text), Err(OfferError::Unclear { .. })), "{text}");
        }
        assert!(matches!(
            read("contract.json", &SHOP.replace("\"count\": 3", "\"count\": 0")),
            Err(OfferError::Invalid(InvalidContract::Zero))
        ));
    }
}
