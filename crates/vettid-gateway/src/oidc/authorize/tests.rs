//! What a client may ask through a browser, and what it may not.

use super::*;
use crate::oidc::client::{ClientAuth, ClientFile, sample};
use crate::oidc::subject::Subject;

const RIGHT: &str = "response_type=code&client_id=a&redirect_uri=https%3A%2F%2Fshop.example%2Fcb&scope=openid+email+x\
                     &state=s&nonce=n&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

fn registry() -> Registry {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients.toml");
    let mut file = ClientFile::read(&path).unwrap();
    file.add(sample("a", ClientAuth::Secret), &path).unwrap();
    let mut strict = sample("strict", ClientAuth::None);
    strict.require_nonce = true;
    file.add(strict, &path).unwrap();
    Registry::read(&path).unwrap()
}

fn asked(query: &str) -> Result<AuthorizationRequest, Rejected> {
    read(&Parameters::read(query.as_bytes()).unwrap(), &registry())
}

fn code_of(query: &str) -> &'static str {
    match asked(query) {
        Err(Rejected::ToClient { failure, redirect_uri, state }) => {
            assert_eq!((redirect_uri.as_str(), state.as_deref()), ("https://shop.example/cb", Some("s")), "{query}");
            failure.code
        }
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn a_right_request_is_read_as_it_is() {
    let request = asked(RIGHT).unwrap();
    assert_eq!((request.state.as_deref(), request.nonce.as_deref()), (Some("s"), Some("n")));
    assert_eq!(request.scope.iter().map(String::as_str).collect::<Vec<_>>(), ["email", "openid"]);
    assert_eq!(request.prompt, Prompt::default());
}

#[test]
fn of_a_hint_no_more_is_kept_than_a_subject_has() {
    let subject = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let hint = |text: &str| asked(&format!("{RIGHT}&login_hint={text}")).unwrap().login_hint;
    assert_eq!(hint(subject), Subject::read(subject).map(Hint::Subject));
    for nobody in ["alice%40shop.example", &subject[1..], &"A".repeat(30_000)] {
        assert_eq!(hint(nobody), Some(Hint::Nobody));
    }
    assert_eq!(asked(RIGHT).unwrap().login_hint, None);
}

#[test]
fn wishes_that_are_voluntary_change_nothing() {
    let wishes = ["acr_values=high+low", "display=popup", "ui_locales=de", "claims_locales=de", "something=else"];
    for wish in wishes {
        assert_eq!(asked(&format!("{RIGHT}&{wish}")), asked(RIGHT), "{wish}");
    }
}

#[test]
fn a_wrong_client_or_address_sends_nobody_anywhere() {
    for (from, to) in [
        ("client_id=a", "client_id=b"),
        ("client_id=a", "x=a"),
        ("redirect_uri=", "x="),
        ("shop.example%2Fcb", "shop.example%2Fcb%2Fmore"),
        ("shop.example%2Fcb", "shop.example%2Fcb%2F..%2Fcb"),
        ("shop.example%2Fcb", "shop.example%2Fcb%23x"),
        ("shop.example%2Fcb", "shop.example%40evil.example%2Fcb"),
        ("shop.example%2Fcb", "shop.example%3A444%2Fcb"),
        ("shop.example%2Fcb", "evil.example%2Fcb"),
        ("https%3A", "javascript%3A"),
    ] {
        let answer = asked(&RIGHT.replace(from, to));
        assert!(matches!(answer, Err(Rejected::Here(_))), "{to}: {answer:?}");
    }
}

#[test]
fn pkce_with_s256_is_asked_of_everybody() {
    let challenge = "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    for wrong in [
        RIGHT.replace(challenge, "x=1"),
        RIGHT.replace(challenge, "code_challenge=short"),
        RIGHT.replace("S256", "plain"),
        RIGHT.replace("&code_challenge_method=S256", ""),
        RIGHT.replace("-cM&", "+cM&"),
    ] {
        assert_eq!(code_of(&wrong), "invalid_request");
    }
}

#[test]
fn what_is_not_done_is_refused_clearly() {
    for (wrong, code) in [
        (RIGHT.replace("type=code", "type=token"), "unsupported_response_type"),
        (RIGHT.replace("type=code", "type=code+id_token"), "unsupported_response_type"),
        (RIGHT.replace("openid+", ""), "invalid_scope"),
        (format!("{RIGHT}&request=ey.J.x"), "request_not_supported"),
        (format!("{RIGHT}&request_uri=https%3A%2F%2Fevil.example"), "request_uri_not_supported"),
        (format!("{RIGHT}&response_mode=fragment"), "invalid_request"),
        (format!("{RIGHT}&prompt=none+login"), "invalid_request"),
        (format!("{RIGHT}&prompt=create"), "invalid_request"),
        (format!("{RIGHT}&max_age=-1"), "invalid_request"),
        (RIGHT.replace("nonce=n", &format!("nonce={}", "n".repeat(2049))), "invalid_request"),
    ] {
        assert_eq!(code_of(&wrong), code, "{wrong}");
    }
    let strict = RIGHT.replace("client_id=a", "client_id=strict").replace("&nonce=n", "");
    assert_eq!(code_of(&strict), "invalid_request");
}

#[test]
fn prompt_and_age_are_read() {
    let request = asked(&format!("{RIGHT}&prompt=select_account+consent&max_age=0")).unwrap();
    assert_eq!(request.prompt, Prompt { none: false, login: true, select_account: true });
    assert_eq!(request.max_age_seconds, Some(0));
}
