//! Logins from browsers whose key an authenticator keeps: what counts as known, and what does not go on from what was known.
#![expect(clippy::unwrap_used, reason = "tests")]

use rand::SeedableRng;
use rand::rngs::StdRng;
use vettid_core::login::{Known, Login, assess, remember, went_back};
use vettid_crypto::device::DeviceSigner;
use vettid_testkit::authenticator::{PRESENT, SoftAuthenticator};
use vettid_wire::auth::{AuthChallenge, Decision, Display};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::key::{KeyAlgorithm, TypedKey};
use vettid_wire::login::{BrowserKeyKind, KnownBrowser, LoginLevel, browser_text};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::Decide;
use vettid_wire::time::Timestamp;
use vettid_wire::webauthn::Authenticator;

const SITE: &str = "https://shop.example";

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + ms)
}

/// The login of this number, whose browser shows nothing.
fn challenge(number: u8) -> AuthChallenge {
    AuthChallenge {
        request_id: RequestId::from_bytes([number; 16]),
        service_id: "demo-shop".parse().unwrap(),
        connection_id: ConnectionId::from_bytes([2; 16]),
        contract_hash: Base64Url::new([5; 32]),
        origin: SITE.to_owned(),
        nonce: Base64Url::new([number; 32]),
        session_hash: Base64Url::new([number; 32]),
        display: Display { browser: "Firefox".into(), city: "Bern".into(), ip_prefix: "192.0.2".into() },
        link: None,
        browser_key: None,
        browser_sig: None,
        browser_assertion: None,
        number: None,
        issued_at: at(0),
        expires_at: at(120_000),
        key_id: "k_utkd2ec6y33ntxd64zqbcj2x5a".parse().unwrap(),
        signature: Base64::default(),
    }
}

fn text(challenge: &AuthChallenge) -> String {
    browser_text(challenge.request_id, &challenge.origin, &challenge.nonce, &challenge.session_hash)
}

/// The authenticator is used for a login.
fn shown(authenticator: &mut SoftAuthenticator, challenge: AuthChallenge) -> AuthChallenge {
    let (assertion, signature) = authenticator.get(SITE, &text(&challenge)).unwrap();
    AuthChallenge {
        browser_key: Some(authenticator.public_key()),
        browser_sig: Some(Base64::new(signature)),
        browser_assertion: Some(assertion),
        ..challenge
    }
}

fn authenticator(seed: u64) -> SoftAuthenticator {
    SoftAuthenticator::random(&mut StdRng::seed_from_u64(seed)).unwrap()
}

/// The browser as it becomes known by the number of its page, which is the shortest way there.
fn known_by(challenge: &AuthChallenge) -> KnownBrowser {
    let (mut rng, numbered) = (StdRng::seed_from_u64(9), AuthChallenge { number: Some(42), ..challenge.clone() });
    let mut login = Login::begin(at(0), &mut rng, &numbered, LoginLevel::Number);
    login.permit(at(0));
    let yes = Decide {
        request_id: challenge.request_id,
        decision: Decision::Approve,
        number: Some(42),
        remember: true,
        shown: None,
        fields: vec![],
    };
    login.decide(at(10_000), &mut rng, &yes).unwrap().known.unwrap()
}

fn level(challenge: &AuthChallenge, browsers: &[KnownBrowser]) -> Result<LoginLevel, RefusalCode> {
    assess(at(0), challenge, Known { opened: None, browsers, allow_numbers: true })
}

#[test]
fn an_authenticator_that_became_known_needs_a_plain_yes_which_says_how() {
    let (mut hers, mut rng) = (authenticator(1), StdRng::seed_from_u64(3));
    let first = shown(&mut hers, challenge(1));
    assert_eq!(level(&first, &[]), Err(RefusalCode::NotAllowed), "nobody made it known");
    let known = known_by(&first);
    assert_eq!(known.authenticator.as_ref().unwrap().sign_count, 1);
    let second = shown(&mut hers, challenge(2));
    assert_eq!(level(&second, std::slice::from_ref(&known)), Ok(LoginLevel::KnownBrowser));
    let mut login = Login::begin(at(0), &mut rng, &second, LoginLevel::KnownBrowser);
    assert_eq!(login.check().key_kind, Some(BrowserKeyKind::Webauthn));
    let yes = Decide {
        request_id: second.request_id,
        decision: Decision::Approve,
        number: None,
        remember: false,
        shown: None,
        fields: vec![],
    };
    assert_eq!(login.decide(at(0), &mut rng, &yes).unwrap().method, ["user", "pop"]);
    let mut browsers = vec![known];
    login.used(at(5), &mut browsers);
    let now = browsers.first().unwrap();
    assert_eq!((now.used_at, now.authenticator.as_ref().unwrap().sign_count), (Some(at(5)), 2));
    assert_eq!(level(&shown(&mut authenticator(2), challenge(3)), &browsers), Err(RefusalCode::NotAllowed), "another");
}

#[test]
fn an_assertion_of_another_login_or_kind_is_no_request() {
    let mut hers = authenticator(1);
    let first = shown(&mut hers, challenge(1));
    let browsers = [known_by(&first)];
    let replayed = AuthChallenge {
        browser_key: first.browser_key.clone(),
        browser_sig: first.browser_sig.clone(),
        browser_assertion: first.browser_assertion.clone(),
        ..challenge(2)
    };
    assert_eq!(level(&replayed, &browsers), Err(RefusalCode::InvalidRequest), "of an earlier login");
    let right = shown(&mut hers, challenge(3));
    assert_eq!(level(&right, &browsers), Ok(LoginLevel::KnownBrowser));
    let changes: [fn(&mut AuthChallenge); 6] = [
        |challenge| challenge.browser_assertion = None,
        |challenge| challenge.browser_sig = None,
        |challenge| challenge.browser_key = None,
        |challenge| (challenge.browser_key, challenge.browser_sig) = (None, None),
        |challenge| challenge.session_hash = Base64Url::new([9; 32]),
        |challenge| {
            let point = challenge.browser_key.clone().unwrap();
            challenge.browser_key = Some(TypedKey::new(KeyAlgorithm::P256, point.as_bytes()).unwrap());
        },
    ];
    for change in changes {
        let mut wrong = right.clone();
        change(&mut wrong);
        assert_eq!(level(&wrong, &browsers), Err(RefusalCode::InvalidRequest), "{wrong:?}");
    }
}

#[test]
fn a_key_of_the_browsers_own_is_none_of_an_authenticator() {
    let own = DeviceSigner::random(&mut StdRng::seed_from_u64(5)).unwrap();
    let asked = challenge(1);
    let signature = Base64::new(own.sign(text(&asked).as_bytes()).unwrap());
    let shown_own = AuthChallenge {
        browser_key: Some(own.public_key().unwrap()),
        browser_sig: Some(signature.clone()),
        ..asked.clone()
    };
    let browsers = [known_by(&shown_own)];
    assert!(browsers.first().unwrap().authenticator.is_none());
    assert_eq!(level(&shown_own, &browsers), Ok(LoginLevel::KnownBrowser));
    // The same point and signature under the name of the other kind.
    let point = own.public_key().unwrap();
    let disguised = TypedKey::new(KeyAlgorithm::WebAuthnP256, point.as_bytes()).unwrap();
    let wrong = AuthChallenge { browser_key: Some(disguised), ..shown_own.clone() };
    assert_eq!(level(&wrong, &browsers), Err(RefusalCode::InvalidRequest));
    let (assertion, _) = authenticator(1).get(SITE, &text(&asked)).unwrap();
    let wrong = AuthChallenge { browser_assertion: Some(assertion), ..shown_own };
    assert_eq!(level(&wrong, &browsers), Err(RefusalCode::InvalidRequest), "an assertion that the key does not need");
}

#[test]
fn a_counter_that_does_not_go_on_is_a_copy() {
    let mut hers = authenticator(1);
    hers.counted = Some(10);
    let mut browsers = vec![known_by(&shown(&mut hers, challenge(1)))];
    for (counted, known) in [(11, true), (10, false), (5, false), (0, false), (100, true)] {
        // It signs with the next count; the one that is known is 11. No number makes a copy good.
        for number in [None, Some(42)] {
            hers.counted = Some(counted);
            let asked = shown(&mut hers, AuthChallenge { number, ..challenge(2) });
            assert_eq!(level(&asked, &browsers).is_ok(), known, "{counted}");
            assert_eq!(went_back(&asked, &browsers).is_some(), !known, "{counted}");
        }
    }
    // Neither does making it known again.
    hers.counted = Some(2);
    remember(&mut browsers, known_by(&shown(&mut hers, challenge(4))));
    assert_eq!(browsers.len(), 1);
    assert_eq!(browsers.first().unwrap().authenticator.as_ref().unwrap().sign_count, 11);
}

#[test]
fn an_authenticator_that_does_not_count_is_known_as_such() {
    let mut hers = authenticator(1);
    hers.counted = None;
    let browsers = [known_by(&shown(&mut hers, challenge(1)))];
    assert_eq!(level(&shown(&mut hers, challenge(2)), &browsers), Ok(LoginLevel::KnownBrowser));
    // One that counted and says nothing any more is another one.
    hers.counted = Some(3);
    let counting = [known_by(&shown(&mut hers, challenge(3)))];
    hers.counted = None;
    assert_eq!(level(&shown(&mut hers, challenge(4)), &counting), Err(RefusalCode::NotAllowed));
}

#[test]
fn a_credential_keeps_its_name_and_its_nature() {
    let mut hers = authenticator(1);
    let known = known_by(&shown(&mut hers, challenge(1)));
    let changed = |change: fn(&mut Authenticator)| {
        let mut known = known.clone();
        change(known.authenticator.as_mut().unwrap());
        known
    };
    let browsers = [
        changed(|known| known.credential_id = Base64::new([7; 32])),
        changed(|known| known.can_be_copied = true),
        KnownBrowser { authenticator: None, ..known.clone() },
    ];
    let second = shown(&mut hers, challenge(2));
    for browser in browsers {
        assert_eq!(level(&second, &[browser]), Err(RefusalCode::NotAllowed));
    }
    assert_eq!(level(&second, &[known]), Ok(LoginLevel::KnownBrowser));
    let mut synced = authenticator(2);
    synced.flags = PRESENT | 1 << 3;
    let browsers = [known_by(&shown(&mut synced, challenge(3)))];
    synced.flags |= 1 << 4;
    assert_eq!(
        level(&shown(&mut synced, challenge(4)), &browsers),
        Ok(LoginLevel::KnownBrowser),
        "it was copied since"
    );
}
