//! What must not be found: everything that was said in the demo or by this test, and every secret that can be had from
//! the files of the stack, with the files that hold one of them by their nature.

use crate::canary::Canary;
use crate::disk::Exempt;
use crate::operator::{OperatorKeys, key_of, open_sealed};
use crate::party::text;
use crate::stack::Place;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use vettid_crypto::at_rest::open_file;
use vettid_wire::handshake::Invitation;

/// What the demo says.
pub(crate) const STREET: &str = "12 Harbour Lane";
pub(crate) const CITY: &str = "Galway";
pub(crate) const BIRTH: &str = "1990-04-01";
pub(crate) const MESSAGE: &str = "Bob, the spare key is under the blue pot";
pub(crate) const ANSWER: &str = "Found it, thank you";
/// What this test says.
pub(crate) const SECOND_ANSWER: &str = "Canary from Bob: the second pot is green";
pub(crate) const NOTE: &str = "canary, Bob from the harbour office";
pub(crate) const FIELD: &str = "Canary passport L898902C3 in the left drawer";
pub(crate) const PURPOSE: &str = "Canary purpose of this one question";
pub(crate) const BROWSER: &str = "Canary browser on Plan 9";

/// The address that the demo stores.
pub(crate) fn address() -> Value {
    json!({"street": STREET, "city": CITY, "country": "IE"})
}

/// The messages of the crash.
pub(crate) fn six() -> Vec<String> {
    (1..=6).map(|number| format!("message {number} of six")).collect()
}

/// What nobody may find, and where some of it may lie.
pub(crate) struct Planted {
    pub(crate) canaries: Vec<Canary>,
    pub(crate) exempt: Vec<Exempt>,
}

impl Planted {
    /// As soon as everything runs, before any app is enrolled.
    pub(crate) fn at_the_start(place: &Place) -> Self {
        let six = six();
        let texts = [
            [STREET, CITY, BIRTH, MESSAGE, ANSWER, SECOND_ANSWER, NOTE, FIELD, PURPOSE, BROWSER].as_slice(),
            &["Delivery of order 1", "Age check", "Curiosity", "Delivery again", "One more time", "Firefox on Linux"],
            &six.iter().map(String::as_str).collect::<Vec<_>>(),
        ];
        let mut planted = Self { canaries: texts.concat().into_iter().map(Canary::text).collect(), exempt: Vec::new() };
        planted.canaries.extend(OperatorKeys::of(place).secrets);
        for (token, file) in [("host", "services/join/host.token"), ("service", "services/join/service.token")] {
            planted.exempt.push(Exempt::new(file, &format!("services' {token}_token"), "who joins reads it there"));
        }
        for file in ["services.key", "host-1.key", "host-2.key", "shop/state.key", "up.key"] {
            planted.key_file(place, file);
        }
        planted.storage_keys(place);
        let api_key = fs::read_to_string(place.data().join("shop/api.key")).unwrap();
        planted.with_file(
            "key of the shop's API",
            api_key.trim(),
            "shop/api.key",
            "programs of the shop read it there",
        );
        planted.codes(place);
        planted.portal_tokens(place);
        planted
    }

    /// What the apps keep, once they are enrolled.
    pub(crate) fn enrolled(&mut self, place: &Place) {
        for file in ["people/alice/key", "people/bob/key"] {
            self.key_file(place, file);
        }
    }

    /// Alice's audit export, once there is one, says what the shop got, and what for.
    pub(crate) fn exempt_with_export(&self, data: &Path) -> Vec<Exempt> {
        const EXPORT: &str = "alice-audit.jsonl";
        let mut exempt = self.exempt.clone();
        if data.join(EXPORT).exists() {
            let purposes = [PURPOSE, "Delivery of order 1", "Age check", "Delivery again"];
            let reason = "its owner exported what was served, with the purposes that were stated";
            exempt.extend(purposes.map(|purpose| Exempt::new(EXPORT, &format!("{purpose:?}"), reason)));
        }
        exempt
    }

    fn with_file(&mut self, name: &str, bytes: impl Into<Vec<u8>>, file: &'static str, reason: &'static str) {
        self.canaries.push(Canary::new(name, bytes));
        self.exempt.push(Exempt::new(file, name, reason));
    }

    fn key_file(&mut self, place: &Place, file: &'static str) {
        let key = key_of(&place.data().join(file));
        self.with_file(&format!("key in {file}"), *key.expose(), file, "it is the file of this key");
    }

    /// The keys that everything in the vaults is sealed with.
    fn storage_keys(&mut self, place: &Place) {
        let before = self.canaries.len();
        for host in ["host-1", "host-2"] {
            let key = key_of(&place.data().join(format!("{host}.key")));
            let vaults = fs::read_dir(place.data().join(host).join("vaults")).unwrap();
            let sealed = vaults.map(|entry| entry.unwrap().path()).filter(|path| path.extension().unwrap() == "sealed");
            for path in sealed {
                let guid = path.file_stem().unwrap().to_str().unwrap();
                let purpose = format!("vettid-vault-storage-key/{guid}");
                let opened = open_file(&key, &purpose, &fs::read(&path).unwrap()).unwrap();
                self.canaries.push(Canary::new(format!("storage key of {guid}"), opened.expose()));
            }
        }
        assert_eq!(self.canaries.len() - before, 2, "one for each vault");
    }

    fn codes(&mut self, place: &Place) {
        for (name, file) in [("alice", "people/alice.code"), ("bob", "people/bob.code")] {
            let code = Invitation::read(&fs::read_to_string(place.data().join(file)).unwrap()).unwrap();
            for (what, bytes) in [("secret", code.secret.expose().to_vec()), ("token", code.token.into_bytes())] {
                // The file itself is removed as soon as the app is enrolled.
                self.canaries.push(Canary::new(format!("{what} in the code of {name}"), bytes));
            }
        }
    }

    fn portal_tokens(&mut self, place: &Place) {
        let data = place.data();
        let accounts = open_sealed(&data.join("up.key"), "vettid-up-accounts", &data.join("accounts.sealed"));
        for (name, account) in accounts.as_object().unwrap() {
            self.canaries.push(Canary::new(format!("portal token of {name}"), text(account, "portal_token")));
        }
    }
}
