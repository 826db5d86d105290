//! Samples of what services want their members' word for, of the answers and of their record.

use crate::sample::Samples;
use crate::{auth, key_record, value};
use vettid_wire::agreement::{AnswerMethod, Need};
use vettid_wire::auth::Decision;
use vettid_wire::authorisation::{
    ANSWER_KIND, Amount, Answered, AnsweredList, AnsweredRef, AuthorisationAnswer, AuthorisationRecord,
    AuthorisationRequest, AuthorisationView, CERTIFICATE_KIND, Claim, Consent, ConsentWithdrawal, Document,
    ListAnswered, PairwiseCertificate, Payee, Payment, PermitRequest, Proof, ProvenClaim, RECORD_KIND,
    RequestPermitted, Transaction, VERSION, WITHDRAWAL_KIND, Wanted, WantedKind,
};
use vettid_wire::base64::Base64Url;
use vettid_wire::key_record::KeyRecord;

fn amount() -> Amount {
    Amount { value: "500.00".parse().unwrap(), currency: "EUR".parse().unwrap() }
}

fn payee() -> Payee {
    Payee {
        name: "Bob Smith".to_owned(), account_masked: "DE•• •••• 1234".to_owned(), account_hash: value::digest()
    }
}

fn payment() -> Payment {
    let reference = "Rent for November".to_owned();
    Payment { action: "transfer".to_owned(), amount: amount(), payee: payee(), reference }
}

fn transaction() -> Transaction {
    Transaction {
        action: "standing order".to_owned(),
        amount: Some(amount()),
        payee: Some(payee()),
        reference: "Case 12".to_owned(),
    }
}

fn consent() -> Consent {
    Consent {
        purpose: "to treat you".to_owned(),
        what: vec!["ask the laboratory for your results".to_owned(), "keep them".to_owned()],
        until: Some(value::at(60)),
    }
}

pub(crate) fn document() -> Document {
    Document {
        name: "lease.pdf".to_owned(),
        sha256: value::digest(),
        media_type: "application/pdf".to_owned(),
        size_bytes: 48_213,
    }
}

fn claim() -> Claim {
    "age_over_18".parse().unwrap()
}

fn proof() -> Proof {
    Proof {
        claims: vec![claim(), "name".parse().unwrap()],
        purpose: "to sell you wine".to_owned(),
        origin: auth::origin(),
        nonce: Base64Url::new([7; 32]),
    }
}

fn keys() -> KeyRecord {
    KeyRecord { device_key: None, ..key_record::record() }
}

fn request(wanted: Wanted) -> AuthorisationRequest {
    AuthorisationRequest {
        request_id: value::request(),
        service_id: "demo-shop".parse().unwrap(),
        connection_id: value::connection(),
        contract_hash: Some(value::bytes_url(32)),
        wanted,
        issued_at: value::at(0),
        expires_at: value::at(5),
        key_record: keys(),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn certificate() -> PairwiseCertificate {
    PairwiseCertificate {
        kind_of_object: CERTIFICATE_KIND.to_owned(),
        version: VERSION,
        connection_id: value::connection(),
        service_id: "demo-shop".parse().unwrap(),
        service_fp: value::fingerprint(),
        pairwise_key: value::ed25519(),
        certified_at: value::at(1),
        key_record: keys(),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn proven() -> ProvenClaim {
    ProvenClaim { claim: claim(), value: true.into() }
}

fn answer() -> AuthorisationAnswer {
    AuthorisationAnswer {
        kind_of_object: ANSWER_KIND.to_owned(),
        version: VERSION,
        request_id: value::request(),
        request_hash: value::digest(),
        template: Wanted::Proof(proof()).template(),
        displayed_hash: value::digest(),
        decision: Decision::Approve,
        method: AnswerMethod::Owner,
        answered_at: value::at(1),
        claims: vec![proven()],
        certificate: certificate(),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn withdrawal() -> ConsentWithdrawal {
    ConsentWithdrawal {
        kind_of_object: WITHDRAWAL_KIND.to_owned(),
        version: VERSION,
        request_id: value::request(),
        request_hash: value::digest(),
        withdrawn_at: value::at(6),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn view() -> AuthorisationView {
    AuthorisationView {
        kind: WantedKind::Document,
        displayed: request(Wanted::Document(document())).display(),
        request_hash: value::digest(),
        document: Some(document()),
        needs: vec![Need::Password],
    }
}

fn answered() -> Answered {
    Answered {
        request_id: value::request(),
        connection_id: value::connection(),
        display_name: "Demo Shop".to_owned(),
        kind: WantedKind::Consent,
        title: Wanted::Consent(consent()).title().to_owned(),
        decision: Decision::Approve,
        method: AnswerMethod::Owner,
        answered_at: value::at(1),
        until: Some(value::at(60)),
        withdrawn_at: Some(value::at(6)),
        in_force: false,
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("authorisation");
    samples.object("Payment", payment());
    samples.object("Transaction", transaction()).optional(&["/amount", "/payee"]);
    samples.object("Consent", consent()).optional(&["/until"]);
    samples.object("Document", document());
    samples.object("Proof", proof());
    samples.object("Amount", amount());
    samples.object("Payee", payee());
    samples.text("claim::Claim", claim());
    samples.object("claim::ProvenClaim", proven());
    samples.case("Wanted", Wanted::Payment(payment()));
    samples.case("Wanted", Wanted::Transaction(transaction())).optional(&["/amount", "/payee"]);
    samples.case("Wanted", Wanted::Consent(consent())).optional(&["/until"]);
    samples.cases("Wanted", [Wanted::Document(document()), Wanted::Proof(proof())]);
    let kinds =
        [WantedKind::Payment, WantedKind::Transaction, WantedKind::Consent, WantedKind::Document, WantedKind::Proof];
    samples.cases("WantedKind", kinds);
    samples.object("AuthorisationRequest", request(Wanted::Payment(payment()))).optional(&["/contract_hash"]);
    samples.object("record::PairwiseCertificate", certificate());
    samples.object("record::AuthorisationAnswer", answer()).optional(&["/claims"]);
    samples.object("record::ConsentWithdrawal", withdrawal());
    let record = AuthorisationRecord {
        kind_of_object: RECORD_KIND.to_owned(),
        version: VERSION,
        request: request(Wanted::Proof(proof())),
        answer: answer(),
        withdrawal: Some(withdrawal()),
    };
    samples.object("record::AuthorisationRecord", record).optional(&[
        "/withdrawal",
        "/answer/claims",
        "/request/contract_hash",
    ]);
    samples.object("AuthorisationView", view()).optional(&["/document", "/needs"]);
    samples.object("PermitRequest", PermitRequest { request_id: value::request(), shown: value::digest() });
    samples.object("RequestPermitted", RequestPermitted { request_id: value::request(), until: value::at(5) });
    samples.object("ListAnswered", ListAnswered { kind: Some(WantedKind::Consent), limit: 20 }).optional(&["/kind"]);
    samples
        .object("AnsweredList", AnsweredList { answered: vec![answered()] })
        .optional(&["/answered/0/until", "/answered/0/withdrawn_at"]);
    samples.object("Answered", answered()).optional(&["/until", "/withdrawn_at"]);
    let (connection_id, request_id) = (value::connection(), value::request());
    samples.object("AnsweredRef", AnsweredRef { connection_id, request_id });
    samples
}
