//! What counts once, what counts for one client only, and what ends what.

use super::*;
use crate::oidc::handle::challenge_of;

const LIVES: Lives =
    Lives { access_ms: 600_000, refresh_ms: 30 * 86_400_000, session_ms: 3_600_000, browser_ms: 86_400_000 };
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const ADDRESS: &str = "https://shop.example/cb";

fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + second * 1000)
}

fn login() -> Login {
    let connection_id = ConnectionId::from_bytes([1; 16]);
    Login { connection_id, sid: "sid".to_owned(), auth_time: at(0), amr: vec!["user".to_owned()] }
}

fn fresh(seed: u8) -> Fresh {
    let refresh = [[seed.wrapping_add(100); 32], [seed.wrapping_add(50); 32]];
    Fresh { grant_id: format!("grant-{seed}"), access: Handle::new([seed; 32]), refresh }
}

/// A book with one code and the text of it.
fn with_code(scope: &[&str]) -> (Book, String) {
    let (mut book, handle) = (Book::empty(), Handle::new([9; 32]));
    book.begin_session(at(0), None, &HandleHash::of("cookie"), login(), LIVES);
    let code = Code {
        client_id: "a".to_owned(),
        redirect_uri: ADDRESS.to_owned(),
        challenge: challenge_of(VERIFIER),
        nonce: Some("n".to_owned()),
        scope: scope.iter().map(|scope| (*scope).to_owned()).collect(),
        login: login(),
        expires_at: at(0).plus_ms(CODE_LIFE_MS),
        shown: None,
    };
    book.add_code(at(0), &handle.hash(), code).unwrap();
    let text = handle.expose().to_owned();
    (book, text)
}

fn redeem(book: &mut Book, second: i64, code: &str, by: (&str, &str, &str), seed: u8) -> Result<Issued, Failure> {
    let (client_id, redirect_uri, verifier) = by;
    let challenge = challenge_of(verifier);
    book.redeem(at(second), code, Redeemer { client_id, redirect_uri, challenge: &challenge }, LIVES, fresh(seed))
}

#[test]
fn the_challenge_is_the_one_of_the_standard() {
    assert_eq!(challenge_of(VERIFIER), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

#[test]
fn a_code_counts_once_and_a_second_time_ends_what_the_first_gave() {
    let (mut book, code) = with_code(&["openid"]);
    let issued = redeem(&mut book, 1, &code, ("a", ADDRESS, VERIFIER), 1).unwrap();
    assert_eq!(issued.nonce.as_deref(), Some("n"));
    assert!(issued.refresh.is_none(), "nobody asked for a refresh token");
    let access = issued.access.expose().to_owned();
    assert!(book.access(at(2), &access).is_some());
    assert_eq!(redeem(&mut book, 2, &code, ("a", ADDRESS, VERIFIER), 2).unwrap_err(), Failure::invalid_grant());
    assert!(book.access(at(2), &access).is_none(), "the tokens of the first time are over");
}

#[test]
fn a_code_shown_by_the_wrong_one_is_dead() {
    for (second, by) in [
        (1, ("b", ADDRESS, VERIFIER)),
        (1, ("a", "https://shop.example/other", VERIFIER)),
        (1, ("a", ADDRESS, "another-verifier-another-verifier-another-v")),
        (61, ("a", ADDRESS, VERIFIER)),
    ] {
        let (mut book, code) = with_code(&["openid"]);
        assert_eq!(redeem(&mut book, second, &code, by, 1).unwrap_err(), Failure::invalid_grant(), "{by:?}");
        assert!(redeem(&mut book, 1, &code, ("a", ADDRESS, VERIFIER), 2).is_err(), "{by:?}: it came back to life");
    }
    let (mut book, _) = with_code(&["openid"]);
    assert!(redeem(&mut book, 1, "unknown", ("a", ADDRESS, VERIFIER), 1).is_err());
}

#[test]
fn a_refresh_token_counts_once_and_its_second_use_ends_the_grant() {
    let (mut book, code) = with_code(&["openid", "offline_access"]);
    let issued = redeem(&mut book, 1, &code, ("a", ADDRESS, VERIFIER), 1).unwrap();
    let first = issued.refresh.unwrap();
    assert!(book.rotate(at(2), first.expose(), "b", LIVES, fresh(2)).is_err(), "another client");
    let next = book.rotate(at(2), first.expose(), "a", LIVES, fresh(3)).unwrap();
    let (second, access) = (next.refresh.unwrap(), next.access);
    assert!(book.access(at(3), access.expose()).is_some() && book.access(at(3), issued.access.expose()).is_some());
    assert!(book.rotate(at(3), first.expose(), "a", LIVES, fresh(4)).is_err());
    assert!(book.rotate(at(3), second.expose(), "a", LIVES, fresh(5)).is_err(), "the grant goes on after a theft");
    assert!(book.access(at(3), access.expose()).is_none());
}

#[test]
fn a_made_up_refresh_token_ends_nothing() {
    let (mut book, code) = with_code(&["openid", "offline_access"]);
    let refresh = redeem(&mut book, 1, &code, ("a", ADDRESS, VERIFIER), 1).unwrap().refresh.unwrap();
    for made_up in ["", "x", ".", "x.y", "grant-1.x"] {
        assert!(book.rotate(at(2), made_up, "a", LIVES, fresh(2)).is_err());
    }
    assert!(book.rotate(at(31 * 86_400), refresh.expose(), "a", LIVES, fresh(3)).is_err(), "after its end");
    assert!(book.rotate(at(2), refresh.expose(), "a", LIVES, fresh(4)).is_ok());
}

#[test]
fn an_access_token_ends() {
    let (mut book, code) = with_code(&["openid"]);
    let issued = redeem(&mut book, 0, &code, ("a", ADDRESS, VERIFIER), 1).unwrap();
    assert!(book.access(at(600), issued.access.expose()).is_some());
    assert!(book.access(at(601), issued.access.expose()).is_none());
}

#[test]
fn a_revoked_token_takes_its_grant_along_and_only_its_client_may_do_that() {
    let (mut book, code) = with_code(&["openid", "offline_access"]);
    let issued = redeem(&mut book, 1, &code, ("a", ADDRESS, VERIFIER), 1).unwrap();
    let (access, refresh) = (issued.access, issued.refresh.unwrap());
    book.revoke_token(access.expose(), "b");
    assert!(book.access(at(2), access.expose()).is_some());
    book.revoke_token(refresh.expose(), "a");
    assert!(book.access(at(2), access.expose()).is_none());
    assert!(book.rotate(at(2), refresh.expose(), "a", LIVES, fresh(2)).is_err());
}

#[test]
fn the_end_of_a_session_ends_what_came_from_it() {
    let (mut book, code) = with_code(&["openid", "offline_access"]);
    let cookie = HandleHash::of("cookie");
    assert!(book.session(at(1), &cookie).is_some());
    let issued = redeem(&mut book, 1, &code, ("a", ADDRESS, VERIFIER), 1).unwrap();
    let ended = book.end_session("sid").unwrap();
    assert!(ended.clients.contains("a"), "its client can be told");
    assert!(book.session(at(1), &cookie).is_none() && book.access(at(2), issued.access.expose()).is_none());
    assert_eq!(book.known(at(1), &cookie), Some(login().connection_id), "the browser still knows who it was");
}

#[test]
fn a_code_that_waits_ends_with_its_session() {
    let (mut book, code) = with_code(&["openid"]);
    book.end_session("sid");
    assert!(redeem(&mut book, 1, &code, ("a", ADDRESS, VERIFIER), 1).is_err());
}

#[test]
fn a_login_gives_the_browser_a_new_cookie() {
    let (mut book, _) = with_code(&["openid"]);
    let (old, new) = (HandleHash::of("cookie"), HandleHash::of("next"));
    book.begin_session(at(1), Some(&old), &new, login(), LIVES);
    assert!(book.session(at(1), &old).is_none() && book.session(at(1), &new).is_some());
    assert!(book.session(at(3602), &new).is_none(), "a session ends");
}

#[test]
fn a_login_again_goes_on_with_the_session_and_another_member_ends_it() {
    let (mut book, code) = with_code(&["openid", "offline_access"]);
    let [first, second, third] = ["cookie", "next", "last"].map(HandleHash::of);
    let refresh = redeem(&mut book, 1, &code, ("a", ADDRESS, VERIFIER), 1).unwrap().refresh.unwrap();
    // Also when the session has ended by itself: the grant is still there.
    book.sweep(at(7200));
    let again = Login { sid: "other".to_owned(), auth_time: at(7200), ..login() };
    let (counts, over) = book.begin_session(at(7200), Some(&first), &second, again, LIVES);
    assert_eq!((counts.sid.as_str(), counts.auth_time, over), ("sid", at(7200), None));
    let session = book.session(at(7201), &second).unwrap();
    assert!(session.login == counts && session.clients.contains("a"));
    let bob = Login { sid: "bob".to_owned(), connection_id: ConnectionId::from_bytes([2; 16]), ..login() };
    let (counts, over) = book.begin_session(at(7202), Some(&second), &third, bob.clone(), LIVES);
    let clients = BTreeSet::from(["a".to_owned()]);
    assert_eq!(over, Some(Over { sid: "sid".to_owned(), connection_id: login().connection_id, clients }));
    assert_eq!(counts, bob);
    assert!(book.session(at(7202), &second).is_none() && book.session(at(7202), &third).is_some());
    assert!(book.rotate(at(7202), refresh.expose(), "a", LIVES, fresh(2)).is_err());
}

#[test]
fn no_code_is_kept_for_a_session_that_has_ended() {
    let (mut book, code) = with_code(&["openid"]);
    let code = book.codes.get(HandleHash::of(&code).as_str()).unwrap().clone();
    let hash = HandleHash::of("x");
    assert_eq!(book.add_code(at(3601), &hash, code.clone()).unwrap_err().code, "login_required");
    assert!(book.add_code(at(1), &hash, code.clone()).is_ok());
    book.end_session("sid");
    assert_eq!(book.add_code(at(1), &hash, code).unwrap_err().code, "login_required");
}

#[test]
fn an_assertion_counts_once() {
    let mut book = Book::empty();
    assert!(book.take_assertion(at(0), "a", "1", at(60)));
    assert!(!book.take_assertion(at(1), "a", "1", at(60)));
    assert!(book.take_assertion(at(1), "b", "1", at(60)), "another client has ids of its own");
}

#[test]
fn a_code_is_remembered_as_long_as_its_grant() {
    let (mut book, code) = with_code(&["openid", "offline_access"]);
    let issued = redeem(&mut book, 1, &code, ("a", ADDRESS, VERIFIER), 1).unwrap();
    book.sweep(at(7200));
    let refresh = issued.refresh.unwrap();
    assert!(redeem(&mut book, 7200, &code, ("a", ADDRESS, VERIFIER), 2).is_err());
    assert!(
        book.rotate(at(7200), refresh.expose(), "a", LIVES, fresh(3)).is_err(),
        "a replay after hours was not noticed"
    );
    book.sweep(at(7201));
    assert_eq!((book.codes.len(), book.grants.len(), book.sessions.len()), (0, 0, 0));
}
