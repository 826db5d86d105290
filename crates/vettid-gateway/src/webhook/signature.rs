//! How an event is signed: as the Standard Webhooks specification says, HMAC-SHA256 over id, time and body, one signature for
//! each secret that is valid now.

use vettid_crypto::kdf::hmac;
use vettid_crypto::secret::Secret32;
use vettid_wire::base64::encode;

/// The value of `webhook-signature`.
pub(crate) fn header(secrets: &[&Secret32], id: &str, unix_seconds: i64, body: &str) -> String {
    let time = unix_seconds.to_string();
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", time.as_bytes(), b".", body.as_bytes()];
    let sign = |secret: &&Secret32| format!("v1,{}", encode(&hmac(secret.expose(), &parts)));
    secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_wire::base64::decode;

    /// Made with another program: `printf 'msg_1.1674087231.{"test": 2432232314}' | openssl dgst -sha256 -mac HMAC …`.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let secret = Secret32::from_bytes(std::array::from_fn(|place| u8::try_from(place).unwrap()));
        let other = Secret32::from_bytes([7; 32]);
        let one = header(&[&secret], "msg_1", 1_674_087_231, r#"{"test": 2432232314}"#);
        assert_eq!(one, KNOWN);
        let two = header(&[&secret, &other], "msg_1", 1_674_087_231, r#"{"test": 2432232314}"#);
        assert!(two.starts_with(&format!("{KNOWN} v1,")) && two.len() == 2 * KNOWN.len() + 1);
        assert_eq!(decode(KNOWN.strip_prefix("v1,").unwrap()).unwrap().len(), 32);
        for (id, at, body) in [("msg_2", 1_674_087_231, "{}"), ("msg_1", 1_674_087_232, "{}"), ("msg_1", 1, "{ }")] {
            assert_ne!(header(&[&secret], id, at, body), header(&[&secret], "msg_1", 1_674_087_231, "{}"));
        }
    }

    const KNOWN: &str = "v1,hiSfYKchzkhTeg8BCiooMdjDn0ct8IPJUznfEFWq7Ao=";
}
