//! What a vault tells services, with everything in it open to a forger.

use super::host::VaultOfTest;
use serde_json::{Map, Value};
use std::time::Duration;
use vettid_crypto::envelope::{self, Binding, Outgoing};
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::suite::KemPublicKey;
use vettid_nats::clock;
use vettid_nats::connection::{Connection, RequestError};
use vettid_testkit::space::fresh_event;
use vettid_wire::enrolment::HostJoined;
use vettid_wire::event::EventRow;
use vettid_wire::id::MemberId;
use vettid_wire::subject::Subject;

/// Longer than services need for an answer; who is refused gets none.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Letter<'a> {
    pub(crate) guid: MemberId,
    pub(crate) signer: &'a SigningKey,
    pub(crate) sender: &'a SigningKey,
    pub(crate) body: Map<String, Value>,
    pub(crate) subject_in_header: Subject,
}

impl<'a> Letter<'a> {
    pub(crate) fn new<R: EventRow>(guid: MemberId, vault: &'a VaultOfTest, request: &R::Request) -> Self {
        let Value::Object(body) = serde_json::to_value(request).unwrap() else { panic!("not an object") };
        let subject_in_header = Subject::ForServices(guid, R::ROW.event_type());
        Self { guid, signer: &vault.identity, sender: &vault.identity, body, subject_in_header }
    }

    pub(crate) async fn send<R: EventRow>(
        self,
        joined: &HostJoined,
        publishing: &Connection,
    ) -> Result<R::Reply, RequestError> {
        let recipient = VerifyingKey::from_typed(&joined.control_key).unwrap().fingerprint();
        let sender = self.sender.verifying_key().fingerprint();
        let text = self.subject_in_header.to_string();
        let binding = Binding { subject: &text, sender: &sender, recipient: &recipient };
        let outgoing = Outgoing {
            event_id: fresh_event(),
            event_type: R::ROW.event_type(),
            timestamp: clock::now(),
            connection_key_id: None,
            incarnation: 1,
            epoch: 0,
            sequence: 1,
        };
        let kem = KemPublicKey::from_typed(&joined.services_kem).unwrap();
        let mut rng = rand::rng();
        let sealed = envelope::seal_signed(&mut rng, &kem, self.signer, &binding, outgoing, self.body).unwrap();
        let bytes = serde_json::to_vec(&sealed).unwrap();
        let subject = Subject::ForServices(self.guid, R::ROW.event_type());
        let answer = publishing.request(&subject, bytes.into(), PATIENCE).await?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }
}
