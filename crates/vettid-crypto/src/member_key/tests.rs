//! Known answers: RFC 8032 §7.1 for Ed25519, RFC 6979 A.2.5 for P-256, the widely used vectors of RFC 6979 over
//! secp256k1; and that other libraries take the signatures.

use super::*;
use k256::ecdsa::signature::hazmat::PrehashVerifier as _;

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

#[test]
fn ed25519_signs_as_rfc_8032() {
    let seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let key = MemberKey::from_slice(Curve::Ed25519, &seed).unwrap();
    assert_eq!(hex::encode(key.public_key()), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                    085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    assert_eq!(hex::encode(key.sign_message(&[0x72]).unwrap()), expected);
    assert_eq!(key.sign_digest(&[0; 32]), Err(MemberKeyError::MessagesOnly));
}

#[test]
fn p256_signs_as_rfc_6979() {
    let scalar = bytes("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
    let key = MemberKey::from_slice(Curve::P256, &scalar).unwrap();
    let expected = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                    f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
    assert_eq!(hex::encode(key.sign_message(b"sample").unwrap()), expected);
}

#[test]
fn secp256k1_signs_as_rfc_6979_with_a_low_s() {
    let mut one = [0; 32];
    one[31] = 1;
    let key = MemberKey::from_slice(Curve::Secp256k1, &one).unwrap();
    let expected = "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8\
                    2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5";
    assert_eq!(hex::encode(key.sign_message(b"Satoshi Nakamoto").unwrap()), expected);
}

#[test]
fn signatures_verify_under_the_public_key() {
    for seed in 1..=20_u8 {
        let digest = kdf::h256(&[seed]);
        let key = MemberKey::from_slice(Curve::Secp256k1, &[seed; 32]).unwrap();
        let public = k256::ecdsa::VerifyingKey::from_sec1_bytes(&key.public_key()).unwrap();
        let signature = k256::ecdsa::Signature::from_slice(&key.sign_digest(&digest).unwrap()).unwrap();
        assert!(public.verify_prehash(&digest, &signature).is_ok());
        assert_eq!(signature.normalize_s(), signature);
        let key = MemberKey::from_slice(Curve::P256, &[seed; 32]).unwrap();
        let public = p256::ecdsa::VerifyingKey::from_sec1_bytes(&key.public_key()).unwrap();
        let signature = p256::ecdsa::Signature::from_slice(&key.sign_digest(&digest).unwrap()).unwrap();
        assert!(public.verify_prehash(&digest, &signature).is_ok());
    }
}

#[test]
fn what_is_no_key_is_refused() {
    for curve in [Curve::Ed25519, Curve::Secp256k1, Curve::P256] {
        for length in [0, 31, 33] {
            assert_eq!(MemberKey::from_slice(curve, &vec![1; length]).err(), Some(MemberKeyError::InvalidKey));
        }
    }
    for curve in [Curve::Secp256k1, Curve::P256] {
        for wrong in [[0; 32], [0xff; 32]] {
            assert_eq!(MemberKey::from_slice(curve, &wrong).err(), Some(MemberKeyError::InvalidKey));
        }
    }
}

#[test]
fn debug_shows_the_type_name_only() {
    assert_eq!(format!("{:?}", MemberKey::from_slice(Curve::P256, &[1; 32]).unwrap()), "MemberKey");
}
