//! Each check of a waiting login by itself: whose it is, whether it still waits, and what ties a yes to its browser.

use super::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use vettid_crypto::device::DeviceSigner;
use vettid_testkit::authenticator::SoftAuthenticator;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + ms)
}

fn rules(numbers: bool, key_kind: BrowserKeyKind) -> Rules {
    Rules {
        service_id: "demo-shop".parse().unwrap(),
        origins: vec!["https://shop.example".to_owned()],
        link_page: None,
        numbers,
        key_kind,
        most: 4,
    }
}

fn page() -> WaitingPage {
    let display = Display { browser: "Firefox".into(), city: "Bern".into(), ip_prefix: "192.0.2".into() };
    WaitingPage { origin: "https://shop.example".into(), return_path: "/login/return".into(), display }
}

fn begun(numbers: bool) -> (WaitingLogin, Begun) {
    begun_with(&rules(numbers, BrowserKeyKind::Webcrypto))
}

fn begun_with(rules: &Rules) -> (WaitingLogin, Begun) {
    let mut rng = StdRng::seed_from_u64(1);
    WaitingLogin::begin(at(0), &mut rng, rules, page()).unwrap()
}

fn by(number: u8) -> (ConnectionId, MemberId) {
    (ConnectionId::from_bytes([number; 16]), MemberId::from_bytes([number; 16]))
}

fn yes(proof: LoginProof) -> Outcome {
    let (decision, method) = (Decision::Approve, vec!["user".to_owned()]);
    Outcome::Decided { decision, auth_time: at(1), method, proof: Some(proof) }
}

fn shown(signer: &DeviceSigner, begun: &Begun) -> BrowserProof {
    let signature = signer.sign(begun.to_sign.as_bytes()).unwrap().to_vec();
    BrowserProof { key: signer.public_key().unwrap(), signature, assertion: None }
}

fn signer(seed: u64) -> DeviceSigner {
    DeviceSigner::random(&mut StdRng::seed_from_u64(seed)).unwrap()
}

#[test]
fn a_login_is_that_of_its_browser_as_long_as_it_waits() {
    let (mut login, begun) = begun(false);
    let other = Verifier::random(&mut StdRng::seed_from_u64(2));
    assert!(login.is_of(at(WAIT_MS - 1), &begun.verifier));
    assert!(!login.is_of(at(0), &other), "another browser");
    assert!(!login.is_of(at(WAIT_MS), &begun.verifier), "too late");
    login.over(LoginProgress::Over);
    assert!(!login.is_of(at(0), &begun.verifier), "it is over");
}

#[test]
fn pages_that_anybody_may_open_leave_room_for_programs() {
    let (mut desk, mut rng) = (Desk::new(rules(true, BrowserKeyKind::Webcrypto)), StdRng::seed_from_u64(1));
    let mut begin = |desk: &mut Desk, now: i64, for_anybody: bool| {
        let begin = if for_anybody { Desk::begin_for_anybody } else { Desk::begin };
        begin(desk, at(now), &mut rng, page())
    };
    let begun: Vec<_> = (0..3).map(|_| begin(&mut desk, 0, true).unwrap()).collect();
    assert_eq!(begin(&mut desk, 0, true).unwrap_err(), LoginError::TooMany);
    begin(&mut desk, 0, false).unwrap();
    assert_eq!(begin(&mut desk, 0, false).unwrap_err(), LoginError::TooMany, "four are four");
    // Those that asked nobody go when their time is over, one that did may still be answered.
    desk.push(at(0), (begun[0].login_id, &begun[0].verifier), by(1), false).unwrap();
    assert_eq!(begin(&mut desk, WAIT_MS - 1, true).unwrap_err(), LoginError::TooMany);
    assert!((0..2).all(|_| begin(&mut desk, WAIT_MS, true).is_ok()));
    assert_eq!(begin(&mut desk, WAIT_MS, true).unwrap_err(), LoginError::TooMany);
    assert!(begin(&mut desk, WAIT_MS + MAX_LIFE_MS, true).is_ok());
}

#[test]
fn one_member_is_asked_once_while_the_page_waits() {
    assert!(begun(false).0.opened(at(WAIT_MS), by(1), false).is_none(), "too late");
    let (mut over, _) = begun(false);
    over.over(LoginProgress::Over);
    assert!(over.opened(at(0), by(1), false).is_none(), "it is over");
    let (mut login, begun) = begun(false);
    assert!(login.opened(at(0), by(1), false).is_some());
    assert!(login.opened(at(0), by(2), false).is_none(), "somebody else was first");
    assert_eq!(login.push(by(1), true).unwrap_err(), LoginError::Asked);
    assert_eq!(login.prove(shown(&signer(3), &begun)), Err(LoginError::Asked), "the question named no key");
}

#[test]
fn an_unknown_browser_is_let_in_by_nothing_but_a_number() {
    assert_eq!(begun(false).0.push(by(1), false).unwrap_err(), LoginError::NotKnown);
    assert!(begun(false).0.push(by(1), true).is_ok());
    assert!(begun(true).0.push(by(1), false).is_ok());
}

#[test]
fn a_browser_signs_with_the_key_that_it_shows_the_login_that_it_is_for() {
    let (mut login, begun) = begun(false);
    let (hers, his) = (signer(3), signer(4));
    let crossed = BrowserProof { key: his.public_key().unwrap(), ..shown(&hers, &begun) };
    let signature = hers.sign(b"another login").unwrap().to_vec();
    let stolen = BrowserProof { key: hers.public_key().unwrap(), signature, assertion: None };
    for wrong in [crossed, stolen] {
        assert_eq!(login.prove(wrong), Err(LoginError::Browser));
    }
    assert_eq!(login.prove(shown(&hers, &begun)), Ok(()));
}

#[test]
fn a_yes_counts_for_what_the_browser_itself_brings() {
    let code = Base64Url::new([7; 32]);
    let code_hash = Base64Url::new(h256(code.as_bytes()));
    let by_code = yes(LoginProof::SameDevice { code_hash, remember: false });
    let is_in = |mut login: WaitingLogin, outcome: &Outcome, code: Option<&Base64Url>| {
        login.opened(at(0), by(1), false).unwrap();
        matches!(login.progress(Some(outcome), code), LoginProgress::LoggedIn(_))
    };
    assert!(is_in(begun(false).0, &by_code, Some(&code)));
    assert!(!is_in(begun(false).0, &by_code, None), "no code");
    assert!(!is_in(begun(false).0, &by_code, Some(&Base64Url::new([8; 32]))), "another code");

    let with_key = |signer: &DeviceSigner| {
        let (mut login, begun) = begun(false);
        login.prove(shown(signer, &begun)).unwrap();
        login
    };
    let by_key = yes(LoginProof::KnownBrowser { browser_key: signer(3).public_key().unwrap() });
    assert!(is_in(with_key(&signer(3)), &by_key, None));
    assert!(!is_in(with_key(&signer(4)), &by_key, None), "the key of another browser");
    assert!(!is_in(begun(false).0, &by_key, None), "no key was shown");

    let by_number = yes(LoginProof::Number { remember: false });
    assert!(is_in(begun(true).0, &by_number, None));
    assert!(!is_in(begun(false).0, &by_number, None), "no number was shown");
}

#[test]
fn only_keys_of_the_kind_that_the_service_wants_count() {
    let mut rng = StdRng::seed_from_u64(5);
    let mut authenticator = SoftAuthenticator::random(&mut rng).unwrap();
    let mut used = |begun: &Begun| {
        let (assertion, signature) = authenticator.get("https://shop.example", &begun.to_sign).unwrap();
        BrowserProof { key: authenticator.public_key(), signature, assertion: Some(assertion) }
    };
    let (mut login, begun) = begun_with(&rules(false, BrowserKeyKind::Webauthn));
    assert_eq!(begun.key_kind, BrowserKeyKind::Webauthn);
    assert_eq!(login.prove(shown(&signer(3), &begun)), Err(LoginError::Browser));
    let right = used(&begun);
    assert_eq!(login.prove(BrowserProof { assertion: None, ..right.clone() }), Err(LoginError::Browser));
    assert_eq!(login.prove(right), Ok(()));
    let (mut login, begun) = begun_with(&rules(false, BrowserKeyKind::Webcrypto));
    assert_eq!(login.prove(used(&begun)), Err(LoginError::Browser));
}
