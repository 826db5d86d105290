//! What counts as an answer, and what does not.

use super::*;
use crate::random;
use vettid_core::channel::{Keys, in_reply_to};
use vettid_crypto::key_record::{Draft, VerifiedKeyRecord, build, kem_key};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_wire::envelope::Envelope;
use vettid_wire::id::{Fingerprint, SessionKeyId};
use vettid_wire::key_record::KeyRole;
use vettid_wire::refusal::EventRefused;

/// Both ends of a connection.
struct Pair {
    service: Channel,
    member: Channel,
    signing: SigningKey,
    pairwise: SigningKey,
    key_record: VerifiedKeyRecord,
    service_id: ServiceId,
    contract_hash: Base64Url,
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_790_000_000_000 + ms)
}

fn member() -> MemberId {
    MemberId::from_bytes([1; 16])
}

fn connection() -> ConnectionId {
    ConnectionId::from_bytes([2; 16])
}

impl Pair {
    fn new() -> Self {
        let mut rng = random::system();
        let (a, b) = (Fingerprint::from_bytes([1; 32]), Fingerprint::from_bytes([2; 32]));
        let mut kem = || KemSecretKey::generate(Suite::X25519, &mut rng).unwrap();
        let (kem_a, kem_b) = (kem(), kem());
        let (public_a, public_b) = (kem_a.public_key().typed(), kem_b.public_key().typed());
        let keys = |own, peer, own_kem, peer_kem| Keys {
            key_id: SessionKeyId::from_bytes([3; 16]),
            own,
            peer,
            own_incarnation: 1,
            peer_incarnation: 1,
            epoch_key: Secret32::from_bytes([4; 32]),
            own_kem,
            peer_kem,
        };
        let signing = SigningKey::random(&mut random::system());
        let own = KemSecretKey::generate(Suite::X25519, &mut random::system()).unwrap();
        let draft = Draft {
            role: KeyRole::Service,
            guid: member(),
            signing_key: signing.verifying_key(),
            device_key: None,
            kem_keys: vec![kem_key(&own.public_key(), at(-1), at(1_000_000))],
            suites: vec![Suite::X25519],
            issued_at: at(-1),
            expires_at: at(1_000_000),
        };
        Self {
            key_record: build(draft, &signing, None).unwrap(),
            service: Channel::new(keys(a, b, kem_a, public_b)),
            member: Channel::new(keys(b, a, kem_b, public_a)),
            signing,
            pairwise: SigningKey::random(&mut random::system()),
            service_id: "demo-shop".parse().unwrap(),
            contract_hash: Base64Url::new([9; 32]),
        }
    }

    fn ask(&mut self, ask: Ask) -> Question {
        let asker = Asker {
            service_id: &self.service_id,
            signing: &self.signing,
            key_record: self.key_record.record(),
            member: member(),
            connection_id: connection(),
            contract_hash: &self.contract_hash,
        };
        Question::seal(at(0), &mut random::system(), asker, &mut self.service, ask).unwrap()
    }

    fn address(&mut self) -> Question {
        self.ask(Ask::Data { field: "address".into(), purpose: "delivery".into(), retention: None })
    }

    fn login(&mut self) -> (Question, AuthResponse) {
        self.login_by(Some(42))
    }

    fn login_by(&mut self, number: Option<u8>) -> (Question, AuthResponse) {
        let display = Display { browser: "Firefox".into(), city: "Bern".into(), ip_prefix: "192.0.2".into() };
        let login = LoginRequest { number, ..LoginRequest::new("https://shop.example", [7; 32], display) };
        let question = self.ask(Ask::Login(login));
        let Kind::Login(challenge) = &question.kind else { panic!("a login") };
        let response = AuthResponse {
            request_id: challenge.request_id,
            service_id: challenge.service_id.clone(),
            origin: challenge.origin.clone(),
            nonce: challenge.nonce.clone(),
            session_hash: challenge.session_hash.clone(),
            decision: Decision::Approve,
            connection_id: challenge.connection_id,
            auth_time: at(9_000),
            method: vec!["user".into()],
            proof: Some(LoginProof::Number { remember: false }),
            issued_at: at(9_000),
            expires_at: challenge.expires_at,
            key_id: self.pairwise.key_id(),
            signature: Base64::default(),
        };
        (question, response)
    }

    fn answerer(&self) -> Answerer {
        Answerer { member: Fingerprint::from_bytes([2; 32]), pairwise: self.pairwise.verifying_key() }
    }

    fn signed(&self, response: &AuthResponse) -> Answer {
        signed_by(&self.pairwise, response)
    }

    fn judge(&self, question: &Question, answer: Answer) -> Result<Judgement, NotAnAnswer> {
        let to = InReplyTo { event_id: question.event_id, body_hash: question.body_hash.clone() };
        question.judge(at(10_000), answer, Some(&to), &self.answerer())
    }
}

fn signed_by(key: &SigningKey, response: &AuthResponse) -> Answer {
    let unsigned = AuthResponse { key_id: key.key_id(), ..response.clone() };
    let value = signature::sign_object(Context::AuthResponse, key, &unsigned).unwrap();
    Answer::Login(Box::new(json::from_value(value).unwrap()))
}

fn keep() -> Keep {
    Keep::Session { until: at(900_000) }
}

fn served(pair: &Pair, question: &Question, field: &str) -> Answer {
    let outcome = DataOutcome::Served { field: field.into(), value: "Main Street 1".into(), keep: Some(keep()) };
    proven(&pair.pairwise, question, DataResponse { request_id: question.request_id, outcome, proof: None })
}

fn proven(key: &SigningKey, question: &Question, response: DataResponse) -> Answer {
    let to = InReplyTo { event_id: question.event_id, body_hash: question.body_hash.clone() };
    let unsigned = serde_json::to_value(response).unwrap();
    let signed = answer::prove(at(9_000), key, connection(), to, unsigned).unwrap();
    Answer::Data(json::from_value(signed).unwrap())
}

#[test]
fn an_answer_that_the_member_did_not_sign_for_this_question_does_not_count() {
    let mut pair = Pair::new();
    let (question, other) = (pair.address(), pair.address());
    let outcome = || DataOutcome::Refused { code: RefusalCode::Denied };
    let response = || DataResponse { request_id: question.request_id, outcome: outcome(), proof: None };
    let stranger = SigningKey::random(&mut random::system());
    let Answer::Data(mut changed) = served(&pair, &question, "address") else { panic!("a value") };
    changed.outcome = outcome();
    let wrong = [
        Answer::Data(response()),
        proven(&stranger, &question, response()),
        proven(&pair.pairwise, &other, response()),
        Answer::Data(changed),
    ];
    for answer in wrong {
        assert_eq!(pair.judge(&question, answer), Err(NotAnAnswer::Signature));
    }
    let right = pair.judge(&question, proven(&pair.pairwise, &question, response()));
    assert_eq!(right, Ok(Judgement::Done(Outcome::Refused { code: RefusalCode::Denied, retry_at: None })));
}

#[test]
fn a_value_that_says_nothing_may_not_be_kept() {
    let mut pair = Pair::new();
    let question = pair.address();
    let outcome = DataOutcome::Served { field: "address".into(), value: 1.into(), keep: None };
    let answer =
        proven(&pair.pairwise, &question, DataResponse { request_id: question.request_id, outcome, proof: None });
    let Ok(Judgement::Done(Outcome::Served { keep, .. })) = pair.judge(&question, answer) else { panic!("a value") };
    assert!(keep.is_over(at(10_000)));
}

#[test]
fn the_member_opens_what_was_asked() {
    let mut pair = Pair::new();
    let question = pair.address();
    let subject = question.subject(&pair.service_id);
    assert_eq!(
        subject.to_string(),
        format!("{}.fromService.demo-shop.data.request", vettid_wire::subject::message_space(member()))
    );
    let opened = pair.member.open(&subject, &Envelope::read(question.envelope.as_bytes()).unwrap()).unwrap();
    assert_eq!(opened.content.expires_at, Some(at(300_000)));
    assert_eq!(in_reply_to(question.event_id, &opened.content.body).unwrap().body_hash, question.body_hash);
    let body: DataRequest = json::from_value(opened.content.body).unwrap();
    assert_eq!((body.field.as_str(), body.purpose.as_str()), ("address", "delivery"));
    assert_eq!((body.contract_hash, body.connection_id), (pair.contract_hash.clone(), connection()));
}

#[test]
fn a_login_request_is_signed_by_the_service() {
    let mut pair = Pair::new();
    let (question, _) = pair.login();
    let Kind::Login(challenge) = question.kind else { panic!("a login") };
    assert_eq!(challenge.expires_at.since_ms(challenge.issued_at), MAX_LIFE_MS);
    signature::check(Context::ServiceRequest, &pair.signing.verifying_key(), *challenge).unwrap();
}

#[test]
fn a_value_counts_for_its_question_alone() {
    let mut pair = Pair::new();
    let (question, other) = (pair.address(), pair.address());
    let value =
        Judgement::Done(Outcome::Served { field: "address".into(), value: "Main Street 1".into(), keep: keep() });
    assert_eq!(pair.judge(&question, served(&pair, &question, "address")), Ok(value));
    assert_eq!(pair.judge(&question, served(&pair, &other, "address")), Err(NotAnAnswer::Contradiction));
    assert_eq!(pair.judge(&question, served(&pair, &question, "email")), Err(NotAnAnswer::Contradiction));
    let key = pair.answerer();
    let wrong = [
        None,
        Some(InReplyTo { event_id: other.event_id, body_hash: question.body_hash.clone() }),
        Some(InReplyTo { event_id: question.event_id, body_hash: Base64Url::new([0; 32]) }),
    ];
    for to in wrong {
        let judged = question.judge(at(1), served(&pair, &question, "address"), to.as_ref(), &key);
        assert_eq!(judged, Err(NotAnAnswer::OtherQuestion));
    }
}

#[test]
fn pending_is_bounded() {
    let mut pair = Pair::new();
    let question = pair.address();
    let pending = |expires_at| {
        Answer::Data(DataResponse {
            request_id: question.request_id,
            outcome: DataOutcome::Pending { expires_at },
            proof: None,
        })
    };
    assert_eq!(pair.judge(&question, pending(at(900_000))), Ok(Judgement::Pending(at(900_000))));
    assert_eq!(pair.judge(&question, pending(at(i64::MAX / 2))), Ok(Judgement::Pending(at(MAX_PENDING_MS))));
    assert_eq!(pair.judge(&question, pending(at(9_000))), Err(NotAnAnswer::Time));
}

#[test]
fn a_refusal_names_the_event_in_its_body() {
    let mut pair = Pair::new();
    let (question, other) = (pair.address(), pair.address());
    let key = pair.answerer();
    let refused = |event_id, name: &str| {
        Answer::Refused(EventRefused {
            event_id,
            event_type: name.parse().unwrap(),
            code: RefusalCode::RateLimited,
            retry_at: None,
            proof: None,
        })
    };
    let done = Judgement::Done(Outcome::Refused { code: RefusalCode::RateLimited, retry_at: None });
    assert_eq!(question.judge(at(1), refused(question.event_id, "data.request"), None, &key), Ok(done.clone()));
    assert_eq!(pair.judge(&question, refused(question.event_id, "data.request")), Ok(done));
    assert_eq!(pair.judge(&question, refused(other.event_id, "data.request")), Err(NotAnAnswer::OtherQuestion));
    assert_eq!(pair.judge(&question, refused(question.event_id, "auth.challenge")), Err(NotAnAnswer::Contradiction));
}

#[test]
fn an_approved_login_counts_when_everything_in_it_is_ours() {
    let mut pair = Pair::new();
    let (question, response) = pair.login();
    let decided = Outcome::Decided {
        decision: Decision::Approve,
        auth_time: at(9_000),
        method: vec!["user".into()],
        proof: response.proof.clone(),
    };
    assert_eq!(pair.judge(&question, pair.signed(&response)), Ok(Judgement::Done(decided)));
    let deny = AuthResponse { decision: Decision::Deny, proof: None, ..response };
    assert!(matches!(
        pair.judge(&question, pair.signed(&deny)),
        Ok(Judgement::Done(Outcome::Decided { decision: Decision::Deny, .. }))
    ));
}

#[test]
fn a_login_with_one_wrong_field_does_not_count() {
    let mut pair = Pair::new();
    let (question, response) = pair.login();
    let contradictions: [fn(&mut AuthResponse); 9] = [
        |r| r.proof = None,
        |r| r.decision = Decision::Deny,
        |r| r.proof = Some(LoginProof::SameDevice { code_hash: Base64Url::new([0; 32]), remember: false }),
        |r| r.request_id = RequestId::from_bytes([0; 16]),
        |r| r.service_id = "other-shop".parse().unwrap(),
        |r| r.connection_id = ConnectionId::from_bytes([0; 16]),
        |r| r.origin = "https://shop.example.evil".into(),
        |r| r.nonce = Base64Url::new([0; 32]),
        |r| r.session_hash = Base64Url::new([0; 32]),
    ];
    for (number, change) in contradictions.into_iter().enumerate() {
        let mut changed = response.clone();
        change(&mut changed);
        assert_eq!(pair.judge(&question, pair.signed(&changed)), Err(NotAnAnswer::Contradiction), "{number}");
    }
    let times: [fn(&mut AuthResponse); 5] = [
        |r| r.auth_time = at(-MAX_SKEW_MS - 1),
        |r| r.auth_time = at(10_000 + MAX_SKEW_MS + 1),
        |r| r.issued_at = at(10_000 + MAX_SKEW_MS + 1),
        |r| r.expires_at = at(MAX_LIFE_MS + 1),
        |r| r.expires_at = at(9_999),
    ];
    for (number, change) in times.into_iter().enumerate() {
        let mut changed = response.clone();
        change(&mut changed);
        assert_eq!(pair.judge(&question, pair.signed(&changed)), Err(NotAnAnswer::Time), "{number}");
    }
}

#[test]
fn a_yes_is_tied_in_no_way_that_was_not_asked_for() {
    let mut pair = Pair::new();
    let (question, response) = pair.login_by(None);
    let browser_key = vettid_wire::key::TypedKey::new(vettid_wire::key::KeyAlgorithm::P256, [4; 65]).unwrap();
    let proofs = [
        LoginProof::Number { remember: false },
        LoginProof::KnownBrowser { browser_key },
        LoginProof::SameDevice { code_hash: Base64Url::new([0; 32]), remember: false },
    ];
    for proof in proofs {
        let wrong = AuthResponse { proof: Some(proof), ..response.clone() };
        assert_eq!(pair.judge(&question, pair.signed(&wrong)), Err(NotAnAnswer::Contradiction), "{wrong:?}");
    }
}

#[test]
fn a_login_signed_by_another_key_or_changed_afterwards_does_not_count() {
    let mut pair = Pair::new();
    let (question, response) = pair.login();
    let other = SigningKey::random(&mut random::system());
    assert_eq!(pair.judge(&question, signed_by(&other, &response)), Err(NotAnAnswer::Signature));
    let Answer::Login(mut changed) = pair.signed(&AuthResponse { decision: Decision::Deny, ..response }) else {
        panic!("a login")
    };
    changed.decision = Decision::Approve;
    assert_eq!(pair.judge(&question, Answer::Login(changed)), Err(NotAnAnswer::Signature));
}

#[test]
fn an_answer_of_another_kind_does_not_count() {
    let mut pair = Pair::new();
    let (login, response) = pair.login();
    let address = pair.address();
    assert_eq!(pair.judge(&address, pair.signed(&response)), Err(NotAnAnswer::Contradiction));
    assert_eq!(pair.judge(&login, served(&pair, &login, "address")), Err(NotAnAnswer::Contradiction));
    assert_eq!(Answer::read(&event::MemberRevoked::ROW, serde_json::json!({})), Err(NotAnAnswer::Malformed));
    assert_eq!(Answer::read(&event::DataResponse::ROW, serde_json::json!({"x": 1})), Err(NotAnAnswer::Malformed));
}
