//! Every step in every stage: one way through, everything else refused.

use super::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use vettid_wire::key::KeyAlgorithm;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + ms)
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn app_key() -> TypedKey {
    TypedKey::new(KeyAlgorithm::Ed25519, [9; 32]).unwrap()
}

/// An enrolment in each stage, with the secrets of the way there.
struct Way {
    stages: Vec<Enrolment>,
    code: BearerToken,
    challenge: Base64Url,
    token: BearerToken,
}

fn way() -> Way {
    let mut rng = rng();
    let (started, code) = Enrolment::start(EventId::v7(at(0), [1; 10]), MemberId::v7(at(0), [2; 10]), at(0), &mut rng);
    let (pending, challenge) = started.scan(at(1), &mut rng).unwrap();
    let key = app_key();
    let proof = Proof { token: &code.expose(), challenge: &challenge, app_key: Some(&key) };
    let attempt = pending.authenticate(&proof, at(2), &mut rng);
    let token = attempt.outcome.unwrap();
    let connected = attempt.next.connect("UAAA", at(3)).unwrap();
    let completed = connected.complete(at(4)).unwrap();
    let closed = Enrolment { stage: Stage::Closed, ..started.clone() };
    Way { stages: vec![started, pending, attempt.next, connected, completed, closed], code, challenge, token }
}

/// What each step says in this stage: scan, authenticate, connect, complete.
fn outcomes(way: &Way, enrolment: &Enrolment, now: Timestamp) -> [Result<(), Refused>; 4] {
    let key = app_key();
    let proof = Proof { token: &way.code.expose(), challenge: &way.challenge, app_key: Some(&key) };
    [
        enrolment.scan(now, &mut rng()).map(drop),
        enrolment.authenticate(&proof, now, &mut rng()).outcome.map(drop),
        enrolment.connect("UBBB", now).map(drop),
        enrolment.complete(now).map(drop),
    ]
}

#[test]
fn one_step_is_due_in_each_stage_and_no_other() {
    let way = way();
    for (stage, enrolment) in way.stages.iter().take(5).enumerate() {
        let mut expected = [Err(Refused::WrongOrder); 4];
        if let Some(due) = expected.get_mut(stage) {
            *due = Ok(());
        }
        assert_eq!(outcomes(&way, enrolment, at(5)), expected, "{:?}", enrolment.stage);
    }
    assert_eq!(outcomes(&way, &way.stages[5], at(5)), [Err(Refused::Closed); 4]);
}

#[test]
fn a_code_dies_after_ten_minutes_and_a_token_ten_minutes_after_the_proof() {
    let way = way();
    for (stage, dies_at) in [(0, CODE_LIFE_MS), (1, CODE_LIFE_MS), (2, 2 + TOKEN_LIFE_MS), (3, 2 + TOKEN_LIFE_MS)] {
        let enrolment = &way.stages[stage];
        assert_eq!(outcomes(&way, enrolment, at(dies_at - 1))[stage], Ok(()));
        assert_eq!(outcomes(&way, enrolment, at(dies_at)), [Err(Refused::Expired); 4]);
    }
}

#[test]
fn false_proofs_are_counted_and_close_the_enrolment() {
    let way = way();
    let key = app_key();
    let (code, challenge) = (way.code.expose(), &way.challenge);
    let other = Base64Url::new([0; 32]);
    let false_proofs = [
        Proof { token: "", challenge, app_key: Some(&key) },
        Proof { token: &way.token.expose(), challenge, app_key: Some(&key) },
        Proof { token: &code, challenge: &other, app_key: Some(&key) },
        Proof { token: &code, challenge: &Base64Url::default(), app_key: Some(&key) },
        Proof { token: &code, challenge, app_key: None },
    ];
    let mut enrolment = way.stages[1].clone();
    for proof in &false_proofs {
        let attempt = enrolment.authenticate(proof, at(2), &mut rng());
        assert_eq!(attempt.outcome.err(), Some(Refused::FalseProof));
        assert_ne!(attempt.next, enrolment);
        enrolment = attempt.next;
    }
    assert_eq!(enrolment.stage, Stage::Closed);
    let truth = Proof { token: &code, challenge, app_key: Some(&key) };
    assert_eq!(enrolment.authenticate(&truth, at(2), &mut rng()).outcome.err(), Some(Refused::Closed));
}

#[test]
fn a_true_proof_counts_after_false_ones() {
    let way = way();
    let key = app_key();
    let mut enrolment = way.stages[1].clone();
    for _ in 1..MAX_FALSE_PROOFS {
        let proof = Proof { token: "x", challenge: &way.challenge, app_key: Some(&key) };
        enrolment = enrolment.authenticate(&proof, at(2), &mut rng()).next;
    }
    let truth = Proof { token: &way.code.expose(), challenge: &way.challenge, app_key: Some(&key) };
    assert!(enrolment.authenticate(&truth, at(2), &mut rng()).outcome.is_ok());
}

#[test]
fn refused_steps_change_nothing() {
    let way = way();
    let key = app_key();
    let proof = Proof { token: &way.code.expose(), challenge: &way.challenge, app_key: Some(&key) };
    for (stage, enrolment) in way.stages.iter().enumerate().filter(|(stage, _)| *stage != 1) {
        assert_eq!(&enrolment.authenticate(&proof, at(5), &mut rng()).next, enrolment, "{stage}");
    }
}

#[test]
fn tokens_live_as_hashes_only() {
    let way = way();
    let stored = serde_json::to_string(&way.stages).unwrap();
    for secret in [way.code.expose(), way.token.expose(), way.challenge.to_string()] {
        assert!(!stored.contains(&secret));
    }
    assert_eq!(way.stages[2].token_hash(), Some(way.token.hash()));
    assert_eq!(way.stages[4].token_hash(), None);
    assert_eq!(format!("{:?}", way.token), "BearerToken");
    let back: Vec<Enrolment> = serde_json::from_str(&stored).unwrap();
    assert_eq!(back, way.stages);
}

#[test]
fn states_are_those_of_the_wire() {
    let states: Vec<_> = way().stages.iter().map(Enrolment::state).collect();
    let expected = [
        EnrolmentState::WebInitiated,
        EnrolmentState::Pending,
        EnrolmentState::Authenticated,
        EnrolmentState::NatsConnected,
        EnrolmentState::Completed,
    ];
    assert_eq!(states, expected.into_iter().map(Some).chain([None]).collect::<Vec<_>>());
    let late: Vec<_> = way().stages.iter().map(|enrolment| enrolment.state_at(at(2 + TOKEN_LIFE_MS))).collect();
    assert_eq!(late, [None, None, None, None, Some(EnrolmentState::Completed), None]);
}
