//! The app's side of a credential in the town: the real holder, and passwords that are cheap to derive.

use crate::town::{ALICE, Town};
use serde::Serialize;
use serde_json::Value;
use vettid_core::credential::holder::record::Next;
use vettid_core::credential::holder::request::Wish;
use vettid_core::credential::holder::slot::PasswordParts;
use vettid_core::credential::holder::{Holder, Received};
use vettid_core::credential::issuer::creation_binding;
use vettid_crypto::kdf::h256;
use vettid_crypto::password::{DeviceSecret, InnerKey, PasswordProof, PasswordSalt};
use vettid_crypto::secret::Secret32;
use vettid_crypto::secret_box::{BoxKey, BoxPlace, Boxed, For, Occasion};
use vettid_crypto::utk::{self, PasswordPayload, ProofRequest};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{
    ChallengeRequest, ConfirmReply, CreateCredential, CredentialPackage, FirstTerms, LatAnswer, ReplenishKeys,
    ReplenishedKeys, TransactionKey, UseRequest, UseResult, UseStatus,
};
use vettid_wire::envelope::Answer;
use vettid_wire::id::{MemberId, OperationId, SecretId};
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::secret::Action;

/// What stands for Argon2id here.
pub(crate) fn keys_of(password: &str) -> PasswordPayload {
    let key = |part: &str| Secret32::from_bytes(h256(format!("{part} {password}").as_bytes()));
    PasswordPayload {
        proof: PasswordProof::from_secret(key("proof")),
        inner: Some(InnerKey::from_secret(key("inner"))),
    }
}

fn inner_of(password: &str) -> InnerKey {
    keys_of(password).inner.unwrap()
}

fn parts() -> PasswordParts {
    PasswordParts {
        salt: PasswordSalt::from_bytes([5; 16]),
        device_secret: DeviceSecret::from_secret(Secret32::from_bytes([6; 32])),
        made_at: None,
    }
}

/// How an operation ended.
pub(crate) type Ended<T> = Result<Result<T, RefusalCode>, UseStatus>;

/// The app's holder.
pub(crate) struct Wallet {
    pub(crate) who: usize,
    pub(crate) guid: MemberId,
    pub(crate) holder: Holder,
    counter: u64,
}

impl Wallet {
    /// Gets keys and makes the credential.
    pub(crate) fn create(town: &mut Town, who: usize, password: &str) -> Self {
        let guid = town.nodes[who].guid;
        let asked = ReplenishKeys { live_key_ids: vec![] };
        let keys: ReplenishedKeys = town.ask(who, "credential.utk.replenish", asked).unwrap();
        let issuer = town.nodes[who].vault.fingerprint();
        let holder = Holder::new(guid, issuer, keys.new_transaction_keys);
        let mut wallet = Self { who, guid, holder, counter: 0 };
        let key = wallet.holder.unused_keys(town.now).next().unwrap().clone();
        let body = wallet.creation(town, &key, password);
        let result: UseResult = town.ask(who, "credential.create", &body).unwrap();
        wallet.take::<Value>(town, result).unwrap_err_or_none();
        wallet
    }

    /// A wallet from a recovery container: a package, and the transaction keys that go with it.
    pub(crate) fn recovered(town: &Town, who: usize, package: CredentialPackage, keys: Vec<TransactionKey>) -> Self {
        let (guid, issuer) = (town.nodes[who].guid, town.nodes[who].vault.fingerprint());
        let op_id = OperationId::v7(town.now, [9; 10]);
        let (mut holder, write) = Holder::recovered(issuer, package, parts(), keys, (1, op_id)).unwrap();
        holder.stored(write);
        Self { who, guid, holder, counter: 1 << 40 }
    }

    /// The newest package as a container would hold it.
    pub(crate) fn package(&self) -> CredentialPackage {
        let bytes = vjson::canonical(&self.holder.newest().unwrap().package).unwrap();
        vjson::from_value(vjson::parse_large(&bytes).unwrap()).unwrap()
    }

    /// The body of a creation.
    pub(crate) fn creation(&mut self, town: &mut Town, key: &TransactionKey, password: &str) -> CreateCredential {
        let terms = FirstTerms { password_salt: Base64::new([5; 16]), ttl_minutes: None };
        let op_id = self.fresh(town);
        let binding = creation_binding(op_id, serde_json::to_value(&terms).unwrap(), key.key_id.clone());
        let request = ProofRequest { guid: self.guid, binding: &binding };
        let sealed = utk::seal(key, &request, &keys_of(password), &mut town.rng).unwrap();
        let encrypted_password_hash = Base64::new(sealed);
        let body = CreateCredential { op_id, key_id: key.key_id.clone(), encrypted_password_hash, terms };
        self.holder.prepare_creation(&binding, vjson::canonical(&body).unwrap(), parts()).unwrap();
        body
    }

    fn fresh(&mut self, town: &Town) -> OperationId {
        self.counter += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.counter.to_be_bytes());
        OperationId::v7(town.now, random)
    }

    /// Prepares one operation; its request lies in the holder.
    pub(crate) fn prepare(
        &mut self,
        town: &mut Town,
        action: &str,
        password: &str,
        params: impl FnOnce(OperationId, &mut Town) -> Value,
    ) -> OperationId {
        if self.holder.needs_keys(town.now) {
            let live_key_ids = self.holder.unused_keys(town.now).map(|key| key.key_id.clone()).collect();
            let fresh = town.ask(self.who, "credential.utk.replenish", ReplenishKeys { live_key_ids }).unwrap();
            self.holder.replenished(fresh);
        }
        let challenge = self.holder.challenge(town.now, &mut town.rng, action, "credential.use").unwrap();
        let asked: ChallengeRequest = challenge.request.clone();
        let answer: LatAnswer = town.ask(self.who, "credential.challenge", asked).unwrap();
        let host = format!("vettid://{}", self.guid);
        let proven = self.holder.verify(&host, challenge, &answer).unwrap();
        let op_id = self.fresh(town);
        let params = params(op_id, town);
        let payload = keys_of(password);
        let changes = [vettid_core::credential::CHANGE_PASSWORD, vettid_core::credential::REPLACE_DEVICE];
        let next_password = changes.contains(&action).then(parts);
        let wish = Wish { op_id, params, payload, next_password, journal_head: None };
        self.holder.prepare(&mut town.rng, proven, wish).unwrap();
        op_id
    }

    /// The prepared request.
    pub(crate) fn request(&self) -> UseRequest {
        vjson::from_value(vjson::parse_large(self.holder.request().unwrap()).unwrap()).unwrap()
    }

    /// Sends the prepared request until it is answered.
    pub(crate) fn send(&mut self, town: &mut Town) -> Result<UseResult, RefusalCode> {
        let request = self.request();
        town.ask(self.who, "credential.use", request)
    }

    /// Takes an answer: stores it, confirms it.
    pub(crate) fn take<T: serde::de::DeserializeOwned>(&mut self, town: &mut Town, result: UseResult) -> Ended<T> {
        let action_result = match self.holder.receive(result).unwrap() {
            Received::Write { write, action_result } => {
                self.holder.stored(*write);
                action_result
            }
            Received::Have { action_result } => action_result,
            Received::Ended(status) | Received::Open { status, .. } => return Err(status),
            Received::FallBack(freed) | Received::Replaced(freed) => {
                freed.into_iter().for_each(|name| self.holder.freed(name));
                return Err(UseStatus::StalePending);
            }
        };
        self.confirm(town);
        Ok(match action_result {
            None => Err(RefusalCode::NotFound),
            Some(value) => match vjson::from_value::<Answer<Value>>(value).unwrap() {
                Answer::Success(value) => Ok(vjson::from_value(value).unwrap()),
                Answer::Refused(refusal) => Err(refusal.code),
            },
        })
    }

    /// Confirms what is stored.
    pub(crate) fn confirm(&mut self, town: &mut Town) {
        let Next::Confirm(confirm) = self.holder.next() else { panic!("nothing to confirm") };
        let reply: ConfirmReply = town.ask(self.who, "credential.confirm", confirm).unwrap();
        let ConfirmReply::Confirmed(confirmed) = reply else { panic!("not confirmed") };
        if let Some(freed) = self.holder.confirmed(&confirmed) {
            self.holder.freed(freed);
        }
    }

    /// One operation from begin to end.
    pub(crate) fn act<A: Action>(
        &mut self,
        town: &mut Town,
        password: &str,
        params: impl FnOnce(OperationId, &mut Town) -> A::Params,
    ) -> Ended<A::Outcome> {
        self.run(town, A::NAME, password, |op_id, town| serde_json::to_value(params(op_id, town)).unwrap())
    }

    /// The same for any action.
    pub(crate) fn run<T: serde::de::DeserializeOwned>(
        &mut self,
        town: &mut Town,
        action: &str,
        password: &str,
        params: impl FnOnce(OperationId, &mut Town) -> Value,
    ) -> Ended<T> {
        self.prepare(town, action, password, params);
        let result = self.send(town).unwrap();
        self.take(town, result)
    }

    /// A value out of its box for the app.
    pub(crate) fn open(&self, password: &str, (boxed, occasion): (Boxed, Occasion), sealed: &Base64) -> Vec<u8> {
        self.open_under(&BoxKey::of_password(&inner_of(password)), (boxed, occasion), sealed)
    }

    /// The same under the key of a grant.
    pub(crate) fn open_under(&self, key: &BoxKey, (boxed, occasion): (Boxed, Occasion), sealed: &Base64) -> Vec<u8> {
        let place = BoxPlace { guid: self.guid, boxed, occasion, opened_by: For::App };
        place.open(key, sealed.as_bytes()).unwrap().expose().to_vec()
    }

    /// A new secret's id.
    pub(crate) fn secret_id(&mut self, town: &Town) -> SecretId {
        SecretId::from_bytes(self.fresh(town).to_bytes())
    }
}

/// A value in its box for Alice's vault.
pub(crate) fn boxed(town: &mut Town, password: &str, (boxed, op_id): (Boxed, OperationId), value: &[u8]) -> Base64 {
    let occasion = Occasion::Operation(op_id);
    let place = BoxPlace { guid: town.nodes[ALICE].guid, boxed, occasion, opened_by: For::Vault };
    Base64::new(place.seal(&BoxKey::of_password(&inner_of(password)), value, &mut town.rng))
}

/// A creation has a result without an action's answer.
trait NoAnswer {
    fn unwrap_err_or_none(self);
}

impl<T> NoAnswer for Ended<T> {
    fn unwrap_err_or_none(self) {
        assert!(matches!(self, Ok(Err(RefusalCode::NotFound))), "a creation gives a package and nothing else");
    }
}

/// Anything that is sent as JSON.
pub(crate) fn value(body: impl Serialize) -> Value {
    serde_json::to_value(body).unwrap()
}
