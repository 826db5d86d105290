//! What a yes from an unknown browser takes, step by step, and which browsers stay known.

use super::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use vettid_crypto::device::DeviceSigner;
use vettid_wire::auth::Display;
use vettid_wire::base64::Base64;
use vettid_wire::key::KeyAlgorithm;
use vettid_wire::login::browser_text;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + ms)
}

fn challenge() -> AuthChallenge {
    AuthChallenge {
        request_id: RequestId::from_bytes([1; 16]),
        service_id: "demo-shop".parse().unwrap(),
        connection_id: ConnectionId::from_bytes([2; 16]),
        contract_hash: Base64Url::new([5; 32]),
        origin: "https://shop.example".to_owned(),
        nonce: Base64Url::new([3; 32]),
        session_hash: Base64Url::new([4; 32]),
        display: Display { browser: "Firefox".into(), city: "Bern".into(), ip_prefix: "192.0.2".into() },
        link: None,
        browser_key: None,
        browser_sig: None,
        browser_assertion: None,
        number: Some(42),
        issued_at: at(0),
        expires_at: at(120_000),
        key_id: "k_utkd2ec6y33ntxd64zqbcj2x5a".parse().unwrap(),
        signature: Base64::default(),
    }
}

fn known(allow_numbers: bool) -> Known<'static> {
    Known { opened: None, browsers: &[], allow_numbers }
}

fn yes(number: Option<u8>) -> Decide {
    Decide {
        request_id: RequestId::from_bytes([1; 16]),
        decision: Decision::Approve,
        number,
        remember: false,
        shown: None,
        fields: vec![],
    }
}

fn begun() -> (StdRng, Login) {
    let mut rng = StdRng::seed_from_u64(1);
    let login = Login::begin(at(0), &mut rng, &challenge(), LoginLevel::Number);
    (rng, login)
}

#[test]
fn an_unknown_browser_needs_a_number_that_the_owner_allows() {
    assert_eq!(assess(at(0), &challenge(), known(true)), Ok(LoginLevel::Number));
    assert_eq!(assess(at(0), &challenge(), known(false)), Err(RefusalCode::NotAllowed));
    let without = AuthChallenge { number: None, ..challenge() };
    assert_eq!(assess(at(0), &without, known(true)), Err(RefusalCode::NotAllowed));
    for number in [0, 9, 100] {
        let wrong = AuthChallenge { number: Some(number), ..challenge() };
        assert_eq!(assess(at(0), &wrong, known(true)), Err(RefusalCode::InvalidRequest));
    }
}

#[test]
fn number_password_and_ten_seconds_are_all_needed() {
    let (mut rng, mut login) = begun();
    assert_eq!(login.decide(at(20_000), &mut rng, &yes(Some(42))).unwrap_err(), RefusalCode::NotAllowed);
    login.permit(at(0));
    assert_eq!(login.decide(at(9_999), &mut rng, &yes(Some(42))).unwrap_err(), RefusalCode::Unavailable);
    assert_eq!(login.decide(at(20_000), &mut rng, &yes(None)).unwrap_err(), RefusalCode::NotAllowed);
    assert_eq!(login.proof(), None, "nothing was decided");
    let decided = login.decide(at(10_000), &mut rng, &yes(Some(42))).unwrap();
    assert_eq!((decided.decision, decided.method), (Decision::Approve, methods(&["user", "pwd", "mca"])));
    assert_eq!(login.proof(), Some(LoginProof::Number { remember: false }));
}

#[test]
fn a_wrong_number_is_a_no_at_once() {
    let (mut rng, mut login) = begun();
    login.permit(at(0));
    let wrong = *login.check().numbers.iter().find(|number| **number != 42).unwrap();
    assert_eq!(login.decide(at(1), &mut rng, &yes(Some(wrong))).unwrap().decision, Decision::Deny);
    assert_eq!(login.proof(), None);
}

#[test]
fn the_password_is_good_for_a_short_while() {
    let (mut rng, mut login) = begun();
    login.expires_at = at(10 * PERMIT_LIFE_MS);
    assert_eq!(login.permit(at(0)), at(PERMIT_LIFE_MS));
    assert_eq!(login.decide(at(PERMIT_LIFE_MS), &mut rng, &yes(Some(42))).unwrap_err(), RefusalCode::NotAllowed);
}

#[test]
fn three_different_numbers_stand_to_choose_and_each_may_be_the_right_one() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut places = [0_u32; 3];
    for _ in 0..300 {
        let right = pick_number(&mut rng);
        let numbers = choices(&mut rng, right);
        assert!(numbers.len() == 3 && numbers.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(numbers.iter().all(|number| NUMBERS.contains(number)));
        places[numbers.iter().position(|number| *number == right).unwrap()] += 1;
    }
    assert!(places.iter().all(|count| *count > 50), "{places:?}");
}

#[test]
fn the_browser_that_was_not_used_for_longest_gives_way() {
    let mut browsers = vec![];
    let browser = |number: u8| KnownBrowser {
        connection_id: ConnectionId::from_bytes([2; 16]),
        browser_key: TypedKey::new(KeyAlgorithm::P256, [number; 65]).unwrap(),
        authenticator: None,
        origin: "https://shop.example".to_owned(),
        name: "Firefox".to_owned(),
        by: LoginLevel::SameDevice,
        known_since: at(i64::from(number)),
        used_at: (number == 0).then(|| at(1_000)),
    };
    for number in 0..=u8::try_from(MAX_BROWSERS).unwrap() {
        remember(&mut browsers, browser(number));
    }
    assert_eq!(browsers.len(), MAX_BROWSERS);
    assert!(browsers.contains(&browser(0)) && !browsers.contains(&browser(1)));
    remember(&mut browsers, browser(5));
    assert_eq!(browsers.len(), MAX_BROWSERS, "the same browser stands once");
}

#[test]
fn a_rule_approves_a_known_browser_alone() {
    let mut rng = StdRng::seed_from_u64(3);
    for (level, right) in
        [(LoginLevel::SameDevice, false), (LoginLevel::KnownBrowser, true), (LoginLevel::Number, false)]
    {
        let mut login = Login::begin(at(0), &mut rng, &challenge(), level);
        assert_eq!(login.approve_by_rule().is_ok(), right, "{level:?}");
    }
}

fn link() -> LinkPart {
    LinkPart { login_id: LoginId::from_bytes([5; 16]), return_path: "/login/return".to_owned() }
}

fn by_link() -> (AuthChallenge, Opened) {
    let origin = "https://shop.example".to_owned();
    let opened = Opened { login_id: link().login_id, origin, other_device: false, expires_at: at(60_000) };
    (AuthChallenge { link: Some(link()), number: None, ..challenge() }, opened)
}

#[test]
fn a_link_counts_for_its_login_and_site_on_this_device_in_time() {
    let (challenge, opened) = by_link();
    let level = |opened: &Opened, now| assess(now, &challenge, Known { opened: Some(opened), ..known(true) });
    assert_eq!(level(&opened, at(59_999)), Ok(LoginLevel::SameDevice));
    assert_eq!(level(&opened, at(60_000)), Err(RefusalCode::NotAllowed), "the page waits no more");
    let changes: [fn(&mut Opened); 3] = [
        |opened| opened.login_id = LoginId::from_bytes([6; 16]),
        |opened| opened.origin = "https://shop.example.evil.example".to_owned(),
        |opened| opened.other_device = true,
    ];
    for change in changes {
        let mut other = opened.clone();
        change(&mut other);
        assert_eq!(level(&other, at(0)), Err(RefusalCode::NotAllowed), "{other:?}");
    }
    // A link that was not opened is not made good by a number.
    let with_number = AuthChallenge { number: Some(42), ..challenge.clone() };
    assert_eq!(assess(at(0), &with_number, known(true)), Err(RefusalCode::NotAllowed));
    let astray = LinkPart { return_path: "//evil.example".to_owned(), ..link() };
    let astray = AuthChallenge { link: Some(astray), ..challenge.clone() };
    let level = assess(at(0), &astray, Known { opened: Some(&opened), ..known(true) });
    assert_eq!(level, Err(RefusalCode::InvalidRequest), "a way back that leaves the site");
}

/// The browser shows its key for a challenge.
fn shown(browser: &DeviceSigner, challenge: AuthChallenge) -> AuthChallenge {
    let text = browser_text(challenge.request_id, &challenge.origin, &challenge.nonce, &challenge.session_hash);
    let signature = Base64::new(browser.sign(text.as_bytes()).unwrap().to_vec());
    AuthChallenge { browser_key: Some(browser.public_key().unwrap()), browser_sig: Some(signature), ..challenge }
}

fn known_as(browser: &DeviceSigner) -> KnownBrowser {
    KnownBrowser {
        connection_id: ConnectionId::from_bytes([2; 16]),
        browser_key: browser.public_key().unwrap(),
        authenticator: None,
        origin: "https://shop.example".to_owned(),
        name: "Firefox".to_owned(),
        by: LoginLevel::SameDevice,
        known_since: at(0),
        used_at: None,
    }
}

#[test]
fn a_known_browser_counts_with_its_key_on_its_site_and_connection() {
    let mut rng = StdRng::seed_from_u64(4);
    let [hers, his] = [(); 2].map(|()| DeviceSigner::random(&mut rng).unwrap());
    let asked = AuthChallenge { number: None, ..challenge() };
    let level = |challenge: &AuthChallenge, browser: KnownBrowser| {
        assess(at(0), challenge, Known { browsers: &[browser], ..known(true) })
    };
    assert_eq!(level(&shown(&hers, asked.clone()), known_as(&hers)), Ok(LoginLevel::KnownBrowser));
    assert_eq!(level(&shown(&his, asked.clone()), known_as(&hers)), Err(RefusalCode::NotAllowed), "another key");
    assert_eq!(level(&asked, known_as(&hers)), Err(RefusalCode::NotAllowed), "no key");
    let elsewhere = KnownBrowser { origin: "https://other.example".to_owned(), ..known_as(&hers) };
    assert_eq!(level(&shown(&hers, asked.clone()), elsewhere), Err(RefusalCode::NotAllowed), "known at another site");
    let other = KnownBrowser { connection_id: ConnectionId::from_bytes([9; 16]), ..known_as(&hers) };
    assert_eq!(level(&shown(&hers, asked), other), Err(RefusalCode::NotAllowed), "known on another connection");
}

#[test]
fn whoever_shows_a_key_has_signed_this_very_login_with_it() {
    let mut rng = StdRng::seed_from_u64(5);
    let [hers, his] = [(); 2].map(|()| DeviceSigner::random(&mut rng).unwrap());
    let right = shown(&hers, challenge());
    let changes: [fn(&mut AuthChallenge); 7] = [
        |challenge| challenge.request_id = RequestId::from_bytes([9; 16]),
        |challenge| challenge.origin = "https://other.example".to_owned(),
        |challenge| challenge.nonce = Base64Url::new([9; 32]),
        |challenge| challenge.session_hash = Base64Url::new([9; 32]),
        |challenge| challenge.browser_sig = Some(Base64::new([0; 64])),
        |challenge| challenge.browser_sig = None,
        |challenge| challenge.browser_key = None,
    ];
    // Known or not: with a number alone it would be let in.
    for known in [known(true), Known { browsers: &[known_as(&hers)], ..known(true) }] {
        assert!(assess(at(0), &right, known).is_ok());
        for change in changes {
            let mut wrong = right.clone();
            change(&mut wrong);
            assert_eq!(assess(at(0), &wrong, known), Err(RefusalCode::InvalidRequest), "{wrong:?}");
        }
        let crossed = AuthChallenge { browser_key: Some(his.public_key().unwrap()), ..right.clone() };
        assert_eq!(assess(at(0), &crossed, known), Err(RefusalCode::InvalidRequest), "signed by another key");
    }
}

#[test]
fn a_browser_becomes_known_once_by_the_code_of_its_request() {
    let mut rng = StdRng::seed_from_u64(6);
    let browser = DeviceSigner::random(&mut rng).unwrap();
    let (challenge, _) = by_link();
    let mut login = Login::begin(at(0), &mut rng, &shown(&browser, challenge.clone()), LoginLevel::SameDevice);
    let decided = login.decide(at(0), &mut rng, &Decide { remember: true, ..yes(None) }).unwrap();
    let code: Base64Url = decided.return_to.unwrap().rsplit_once("&code=").unwrap().1.parse().unwrap();
    let right = LoginFinished { request_id: challenge.request_id, code };
    let other = LoginFinished { request_id: RequestId::from_bytes([9; 16]), ..right.clone() };
    let wrong = LoginFinished { code: Base64Url::new([9; 32]), ..right.clone() };
    for wrong in [other, wrong] {
        assert_eq!(login.finish(at(1), &wrong), Err(RefusalCode::NotAllowed), "{wrong:?}");
    }
    assert_eq!(login.finish(at(1), &right).unwrap().unwrap().browser_key, browser.public_key().unwrap());
    assert_eq!(login.finish(at(2), &right), Err(RefusalCode::NotAllowed), "the code was brought before");
}
