//! Assertions of authenticators: the right one holds, and each that differs in one thing is refused for that thing.
#![expect(clippy::unwrap_used, reason = "tests")]

use rand::SeedableRng;
use rand::rngs::StdRng;
use vettid_crypto::webauthn::{AssertionError, verify};
use vettid_testkit::authenticator::{PRESENT, SoftAuthenticator, client_data};
use vettid_wire::base64::Base64;
use vettid_wire::key::{KeyAlgorithm, TypedKey};
use vettid_wire::webauthn::{Assertion, MAX_CLIENT_DATA_BYTES, MAX_CREDENTIAL_ID_BYTES};

const SITE: &str = "https://login.shop.example:8443";
const TEXT: &str = "vettid/browser-login/1\nnames of one login";

fn authenticator() -> SoftAuthenticator {
    SoftAuthenticator::random(&mut StdRng::seed_from_u64(1)).unwrap()
}

fn judged(of: &SoftAuthenticator, (assertion, signature): &(Assertion, Vec<u8>)) -> Result<(), AssertionError> {
    verify(&of.public_key(), (SITE, TEXT), assertion, signature).map(|_| ())
}

/// What comes of client data that the browser would not write for this login.
fn with_client_data(text: &str) -> Result<(), AssertionError> {
    let mut of = authenticator();
    let data = of.data(SITE).unwrap();
    judged(&of, &of.assert(&data, text).unwrap())
}

/// What comes of authenticator data with these flags.
fn with_flags(flags: u8) -> Result<(), AssertionError> {
    let mut of = authenticator();
    of.flags = flags;
    let given = of.get(SITE, TEXT).unwrap();
    judged(&of, &given)
}

#[test]
fn what_an_authenticator_said_for_this_site_and_text_holds() {
    let mut of = authenticator();
    for count in 1..=3 {
        let (assertion, signature) = of.get(SITE, TEXT).unwrap();
        let said = verify(&of.public_key(), (SITE, TEXT), &assertion, &signature).unwrap();
        assert_eq!((said.sign_count, said.can_be_copied, said.is_copied), (count, false, false));
        assert_eq!(said.credential_id.as_bytes(), of.credential_id);
    }
    // The counter's four bytes are one number, the first of them the highest.
    of.counted = Some(0x0102_0303);
    let (assertion, signature) = of.get(SITE, TEXT).unwrap();
    let said = verify(&of.public_key(), (SITE, TEXT), &assertion, &signature).unwrap();
    assert_eq!(said.sign_count, 0x0102_0304);
}

#[test]
fn a_browser_may_say_more_than_is_known_here_and_in_any_order() {
    let said = client_data(SITE, TEXT);
    let more = said.replace('{', r#"{"other_keys_can_be_added_here":{"deep":[1]},"#);
    let without = said.replace(r#","crossOrigin":false"#, "");
    for text in [said, more, without] {
        assert_eq!(with_client_data(&text), Ok(()), "{text}");
    }
}

#[test]
fn client_data_for_anything_else_is_refused() {
    let right = client_data(SITE, TEXT);
    assert_eq!(with_client_data(&right), Ok(()));
    let changes = [
        ("webauthn.get", "webauthn.create"),
        (r#""type":"webauthn.get","#, ""),
        (r#""crossOrigin":false"#, r#""crossOrigin":true"#),
        (r#""crossOrigin":false"#, r#""crossOrigin":null"#),
        (r#""crossOrigin":false"#, r#""crossOrigin":false,"topOrigin":"https://evil.example""#),
        ("https://login.shop.example:8443", "https://login.shop.example"),
        ("https://login.shop.example:8443", "http://login.shop.example:8443"),
        ("https://login.shop.example:8443", "https://login.shop.example:8443/"),
        ("https://login.shop.example:8443", "https://login.shop.example:8443.evil.example"),
        ("https://login.shop.example:8443", "https://evil.example"),
    ];
    for (from, to) in changes {
        let wrong = right.replace(from, to);
        assert_ne!(wrong, right);
        assert_eq!(with_client_data(&wrong), Err(AssertionError::Purpose), "{wrong}");
    }
    for text in ["the names of another login", ""] {
        assert_eq!(with_client_data(&client_data(SITE, text)), Err(AssertionError::Purpose), "{text}");
    }
}

#[test]
fn client_data_that_is_not_one_plain_object_is_refused() {
    let right = client_data(SITE, TEXT);
    let twice = right.replace('{', r#"{"origin":"https://evil.example","#);
    let twice_at_the_end = right.replace('}', r#","type":"webauthn.create"}"#);
    let long = right.replace('{', &format!(r#"{{"more":"{}","#, "m".repeat(MAX_CLIENT_DATA_BYTES)));
    let wrong = [twice, twice_at_the_end, format!("{right} {{}}"), format!("[{right}]"), right[1..].to_owned(), long];
    for text in wrong {
        assert_eq!(with_client_data(&text), Err(AssertionError::Form), "{text}");
    }
    assert_eq!(with_client_data(""), Err(AssertionError::Form));
}

#[test]
fn somebody_was_there_and_nothing_more_is_said() {
    assert_eq!(with_flags(PRESENT), Ok(()));
    assert_eq!(with_flags(1), Ok(()), "the owner is asked in the app");
    // No touch, a new credential, extensions, a copy of what cannot be copied.
    for flags in [0, 1 << 2, PRESENT | 1 << 6, PRESENT | 1 << 7, PRESENT | 1 << 4] {
        assert_eq!(with_flags(flags), Err(AssertionError::Vouched), "{flags:#010b}");
    }
    let mut of = authenticator();
    (of.flags, of.counted) = (PRESENT | 1 << 3 | 1 << 4, None);
    let (assertion, signature) = of.get(SITE, TEXT).unwrap();
    let said = verify(&of.public_key(), (SITE, TEXT), &assertion, &signature).unwrap();
    assert_eq!((said.sign_count, said.can_be_copied, said.is_copied), (0, true, true));
}

#[test]
fn an_authenticator_that_vouched_for_another_host_is_refused() {
    let mut of = authenticator();
    let said = client_data(SITE, TEXT);
    for site in ["https://shop.example", "https://evil.example", "https://login.shop.example.evil.example"] {
        let data = of.data(site).unwrap();
        assert_eq!(judged(&of, &of.assert(&data, &said).unwrap()), Err(AssertionError::Vouched), "{site}");
    }
    // The port is no part of the host.
    let data = of.data("https://login.shop.example").unwrap();
    assert_eq!(judged(&of, &of.assert(&data, &said).unwrap()), Ok(()));
}

#[test]
fn every_bit_is_signed_or_checked() {
    let mut of = authenticator();
    let right = of.get(SITE, TEXT).unwrap();
    assert_eq!(judged(&of, &right), Ok(()));
    let flips = |bytes: &[u8]| {
        let bytes = bytes.to_vec();
        (0..bytes.len() * 8).map(move |bit| {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        })
    };
    for data in flips(right.0.authenticator_data.as_bytes()) {
        let wrong = Assertion { authenticator_data: Base64::new(data), ..right.0.clone() };
        assert!(judged(&of, &(wrong, right.1.clone())).is_err());
    }
    for data in flips(right.0.client_data_json.as_bytes()) {
        let wrong = Assertion { client_data_json: Base64::new(data), ..right.0.clone() };
        assert!(judged(&of, &(wrong, right.1.clone())).is_err());
    }
    for signature in flips(&right.1) {
        assert_eq!(judged(&of, &(right.0.clone(), signature)), Err(AssertionError::Signature));
    }
}

#[test]
fn only_the_key_itself_counts_and_only_as_what_it_is() {
    let mut of = authenticator();
    let (assertion, signature) = of.get(SITE, TEXT).unwrap();
    let judged = |key: &TypedKey| verify(key, (SITE, TEXT), &assertion, &signature).map(|_| ());
    let other = SoftAuthenticator::random(&mut StdRng::seed_from_u64(2)).unwrap().public_key();
    assert_eq!(judged(&other), Err(AssertionError::Signature));
    let as_own = TypedKey::new(KeyAlgorithm::P256, of.public_key().as_bytes()).unwrap();
    assert_eq!(judged(&as_own), Err(AssertionError::Key), "a key of the browser's own");
    let mut nowhere = of.public_key().as_bytes().to_vec();
    nowhere[64] ^= 1;
    assert_eq!(
        judged(&TypedKey::new(KeyAlgorithm::WebAuthnP256, nowhere.clone()).unwrap()),
        Err(AssertionError::Signature)
    );
    nowhere[0] = 2;
    assert_eq!(judged(&TypedKey::new(KeyAlgorithm::WebAuthnP256, nowhere).unwrap()), Err(AssertionError::Key));
}

#[test]
fn parts_of_other_lengths_are_refused() {
    let mut of = authenticator();
    let right = of.get(SITE, TEXT).unwrap();
    let data = right.0.authenticator_data.as_bytes().to_vec();
    for wrong in [data[..36].to_vec(), [data.as_slice(), &[0]].concat(), vec![]] {
        let given = of.assert(&wrong, &client_data(SITE, TEXT)).unwrap();
        assert_eq!(judged(&of, &given), Err(AssertionError::Form), "{} bytes of data", wrong.len());
    }
    for length in [0, MAX_CREDENTIAL_ID_BYTES + 1] {
        let wrong = Assertion { credential_id: Base64::new(vec![7; length]), ..right.0.clone() };
        assert_eq!(judged(&of, &(wrong, right.1.clone())), Err(AssertionError::Form), "a name of {length} bytes");
    }
    let longer = [right.1.as_slice(), &[0]].concat();
    assert_eq!(judged(&of, &(right.0.clone(), longer)), Err(AssertionError::Signature), "a byte after the signature");
    assert_eq!(judged(&of, &(right.0.clone(), vec![0x30; 73])), Err(AssertionError::Form));
    let fixed = vec![7; 64];
    assert_eq!(judged(&of, &(right.0, fixed)), Err(AssertionError::Signature), "not DER");
}

#[test]
fn an_address_is_no_host_of_an_authenticator() {
    let mut of = authenticator();
    let no_hosts = ["https://127.0.0.1:8443", "https://[::1]:8443", "https://", "https://shop.example/path"];
    for site in no_hosts.into_iter().chain(["ftp://shop.example", "https://Shop.example", "https://a@shop.example"]) {
        let (assertion, signature) = of.get(site, TEXT).unwrap();
        let judged = verify(&of.public_key(), (site, TEXT), &assertion, &signature).map(|_| ());
        assert_eq!(judged, Err(AssertionError::Purpose), "{site}");
    }
}
