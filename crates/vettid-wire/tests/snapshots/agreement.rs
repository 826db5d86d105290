//! Samples of requests and transactions between members, and of their record.

use crate::sample::Samples;
use crate::{key_record, value};
use vettid_wire::agreement::{
    ANSWER_KIND, AgreementKind, AgreementList, AgreementOutcome, AgreementRecord, AgreementRef, AgreementSide,
    AgreementSummary, AgreementView, AnswerMethod, AnswerTerms, CounterTerms, DataTerms, DocumentTerms, FreePayments,
    ListAgreements, MeetingTerms, MoneyTerms, Need, OUTCOME_KIND, PermitTerms, Propose, RECORD_KIND, SignedAnswer,
    SignedOutcome, SignedTerms, Standing, Stepped, TERMS_KIND, Terms, TermsPermitted, VERSION, title,
};
use vettid_wire::auth::Decision;
use vettid_wire::id::AgreementId;
use vettid_wire::key_record::KeyRecord;

pub(crate) fn id() -> AgreementId {
    "018f6b1e-7c1a-7000-8000-000000000007".parse().unwrap()
}

fn money() -> MoneyTerms {
    MoneyTerms {
        payer: AgreementSide::Asked,
        amount: "500.00".parse().unwrap(),
        currency: "EUR".parse().unwrap(),
        payee: "Alice".to_owned(),
        note: Some("rent for November".to_owned()),
    }
}

fn document() -> DocumentTerms {
    DocumentTerms { name: "lease.pdf".to_owned(), sha256: value::digest(), size_bytes: 48_213 }
}

fn meeting() -> MeetingTerms {
    MeetingTerms {
        subject: "Handing over the keys".to_owned(),
        starts_at: value::at(9 * 60),
        duration_minutes: 30,
        place: "12 Main Street".to_owned(),
    }
}

fn data() -> DataTerms {
    DataTerms {
        giver: AgreementSide::Asked,
        fields: vec!["address".to_owned(), "email".to_owned()],
        purpose: "to send the lease".to_owned(),
    }
}

fn key_record() -> KeyRecord {
    KeyRecord { device_key: None, ..key_record::record() }
}

fn displayed() -> Vec<String> {
    Terms::Money(money()).display(AgreementKind::Transaction, value::at(60))
}

fn signed_terms() -> SignedTerms {
    SignedTerms {
        kind_of_object: TERMS_KIND.to_owned(),
        version: VERSION,
        agreement_id: id(),
        kind: AgreementKind::Transaction,
        round: 1,
        replaces: Some(value::previous_digest()),
        proposer: value::fingerprint(),
        asked: value::peer_fingerprint(),
        terms: Terms::Money(money()),
        template: "money/1".to_owned(),
        displayed: displayed(),
        made_at: value::at(0),
        expires_at: value::at(60),
        key_record: key_record(),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn signed_answer() -> SignedAnswer {
    SignedAnswer {
        kind_of_object: ANSWER_KIND.to_owned(),
        version: VERSION,
        agreement_id: id(),
        round: 1,
        terms_hash: value::digest(),
        template: "money/1".to_owned(),
        displayed_hash: value::digest(),
        decision: Decision::Approve,
        method: AnswerMethod::Password,
        answered_at: value::at(5),
        key_record: key_record(),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn signed_outcome() -> SignedOutcome {
    SignedOutcome {
        kind_of_object: OUTCOME_KIND.to_owned(),
        version: VERSION,
        agreement_id: id(),
        round: 1,
        terms_hash: value::digest(),
        answer_hash: Some(value::digest()),
        outcome: AgreementOutcome::Approved,
        ended_at: value::at(6),
        key_record: key_record(),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn summary() -> AgreementSummary {
    AgreementSummary {
        agreement_id: id(),
        connection_id: value::connection(),
        display_name: "Alice".to_owned(),
        kind: AgreementKind::Transaction,
        title: title(AgreementKind::Transaction, &Terms::Money(money())),
        round: 1,
        standing: Standing::ToAnswer,
        expires_at: value::at(60),
    }
}

fn view() -> AgreementView {
    AgreementView {
        agreement_id: id(),
        connection_id: value::connection(),
        display_name: "Alice".to_owned(),
        kind: AgreementKind::Transaction,
        side: AgreementSide::Asked,
        round: 1,
        terms: Terms::Money(money()),
        displayed: displayed(),
        terms_hash: value::digest(),
        made_at: value::at(0),
        expires_at: value::at(60),
        standing: Standing::ToAnswer,
        needs: vec![Need::Password],
        has_record: false,
    }
}

fn commands(samples: &mut Samples) {
    samples.object(
        "Propose",
        Propose {
            agreement_id: id(),
            connection_id: value::connection(),
            kind: AgreementKind::Request,
            terms: Terms::Meeting(meeting()),
            expires_at: value::at(60),
        },
    );
    let terms = Terms::Meeting(meeting());
    samples.object(
        "CounterTerms",
        CounterTerms { agreement_id: id(), shown: value::digest(), terms, expires_at: value::at(60) },
    );
    samples.object("AnswerTerms", AnswerTerms { agreement_id: id(), shown: value::digest(), decision: Decision::Deny });
    samples.object("AgreementRef", AgreementRef { agreement_id: id() });
    samples.object("PermitTerms", PermitTerms { agreement_id: id(), terms: Terms::Money(money()) });
    samples.object("TermsPermitted", TermsPermitted { agreement_id: id(), until: value::at(5) });
    let free = FreePayments { currency: "EUR".parse().unwrap(), at_most: Some("20".parse().unwrap()) };
    samples.object("FreePayments", free).optional(&["/at_most"]);
    samples.case("Stepped", Stepped::Done(Box::new(view()))).optional(&["/done/needs"]);
    samples.case("Stepped", Stepped::Missing(Need::Verification));
    samples
        .object("ListAgreements", ListAgreements { kind: Some(AgreementKind::Request), limit: 20 })
        .optional(&["/kind"]);
    samples.object("AgreementList", AgreementList { agreements: vec![summary()] });
    samples.object("AgreementSummary", summary());
    samples.object("AgreementView", view()).optional(&["/needs"]);
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("agreement");
    samples.cases("AgreementKind", [AgreementKind::Request, AgreementKind::Transaction]);
    samples.cases("AgreementSide", [AgreementSide::Proposer, AgreementSide::Asked]);
    let outcomes =
        [AgreementOutcome::Approved, AgreementOutcome::Denied, AgreementOutcome::Expired, AgreementOutcome::Withdrawn];
    samples.cases("AgreementOutcome", outcomes);
    samples.cases("record::AnswerMethod", [AnswerMethod::Owner, AnswerMethod::Password, AnswerMethod::Rule]);
    samples.cases("Need", [Need::Verification, Need::Credential, Need::Password]);
    let standings = [
        Standing::ToAnswer,
        Standing::Waits,
        Standing::Answered,
        Standing::Over,
        Standing::Approved,
        Standing::Denied,
        Standing::Expired,
        Standing::Withdrawn,
    ];
    samples.cases("Standing", standings);
    samples.case("Terms", Terms::Money(money())).optional(&["/money/note"]);
    let others = [Terms::Document(document()), Terms::Meeting(meeting()), Terms::Data(data())];
    samples.cases("Terms", others);
    samples.object("MoneyTerms", money()).optional(&["/note"]);
    samples.object("DocumentTerms", document());
    samples.object("MeetingTerms", meeting());
    samples.object("DataTerms", data());
    samples.object("record::SignedTerms", signed_terms()).optional(&["/replaces"]);
    samples.object("record::SignedAnswer", signed_answer());
    samples.object("record::SignedOutcome", signed_outcome()).optional(&["/answer_hash"]);
    samples.object(
        "record::AgreementRecord",
        AgreementRecord {
            kind_of_object: RECORD_KIND.to_owned(),
            version: VERSION,
            terms: signed_terms(),
            answer: signed_answer(),
            outcome: signed_outcome(),
        },
    );
    commands(&mut samples);
    samples
}
