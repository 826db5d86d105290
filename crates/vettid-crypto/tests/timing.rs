//! Time must not tell how wrong a secret is: Welch's t over the times of two classes of inputs, in random order, as dudect
//! does it. A comparison that leaks on purpose shows that the measure finds what it is to find.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests measure time, and may fail loudly"
)]

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::hint::black_box;
use std::time::Instant;
use vettid_crypto::lat::{LatProof, LatRequest, LedgerAuthToken};
use vettid_crypto::password::{InnerKey, PasswordProof, PasswordSalt, StoredPassword};
use vettid_crypto::secret::Secret32;
use vettid_crypto::utk::{self, LedgerTransactionKey, PasswordPayload, ProofRequest};
use vettid_wire::credential::{LatId, LatReference, RequestBinding};
use vettid_wire::digest::Digest;
use vettid_wire::id::{Fingerprint, MemberId, OperationId};
use vettid_wire::time::Timestamp;

/// Above this, two classes differ (spec, test plan 4.7).
const LIMIT: f64 = 4.5;
/// A machine that does something else for a moment is not a leak: that shows each time.
const ROUNDS: usize = 6;
const BATCH: usize = 1_000;
/// Times above these parts of all times are cut off, one after another: what is above is mostly the machine's.
const CROPS: [f64; 4] = [1.0, 0.95, 0.8, 0.5];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    One,
    Other,
}

fn samples() -> usize {
    let text = std::env::var("VETTID_TIMING_SAMPLES").unwrap_or_else(|_| "100000".into());
    text.parse().unwrap()
}

/// Times in nanoseconds of both classes, made and measured in batches.
fn measure<I, O>(
    count: usize,
    rng: &mut StdRng,
    mut make: impl FnMut(Class, &mut StdRng) -> I,
    run: impl Fn(&I) -> O,
) -> Vec<(Class, f64)> {
    let mut times = Vec::with_capacity(count);
    while times.len() < count {
        let inputs: Vec<(Class, I)> = (0..BATCH.min(count))
            .map(|_| {
                let class = if rng.random() { Class::One } else { Class::Other };
                (class, make(class, rng))
            })
            .collect();
        for (class, input) in &inputs {
            let start = Instant::now();
            black_box(run(black_box(input)));
            times.push((*class, start.elapsed().as_nanos() as f64));
        }
    }
    times
}

/// Mean, variance of the mean.
fn moments(times: &[f64]) -> (f64, f64) {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance / count)
}

fn welch(times: &[(Class, f64)], below: f64) -> f64 {
    let of = |wanted| -> Vec<f64> {
        times.iter().filter(|(class, time)| *class == wanted && *time <= below).map(|(_, time)| *time).collect()
    };
    let (one, other) = (of(Class::One), of(Class::Other));
    // One class lies above the cut almost as a whole: nothing could differ more.
    if one.len().min(other.len()) < 2 {
        return f64::INFINITY;
    }
    let ((one, one_error), (other, other_error)) = (moments(&one), moments(&other));
    let error = (one_error + other_error).sqrt();
    // A clock too coarse to tell two times apart tells no two classes apart.
    if error == 0.0 && one == other { 0.0 } else { (one - other) / error }
}

/// The t of largest size over the crops.
fn worst(times: &[(Class, f64)]) -> f64 {
    let mut sorted: Vec<f64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    let crops = CROPS.iter().map(|part| {
        let last = ((sorted.len() - 1) as f64 * part) as usize;
        welch(times, *sorted.get(last).unwrap())
    });
    crops.max_by(|one, other| one.abs().total_cmp(&other.abs())).unwrap()
}

/// The t that remains: of the calmest round, which ends the search as soon as it lies below the limit.
fn persistent<I, O>(name: &str, mut make: impl FnMut(Class, &mut StdRng) -> I, run: impl Fn(&I) -> O) -> f64 {
    let mut rng = StdRng::seed_from_u64(rand::random());
    measure(BATCH, &mut rng, &mut make, &run);
    let mut calmest = f64::INFINITY;
    for round in 1..=ROUNDS {
        let t = worst(&measure(samples(), &mut rng, &mut make, &run));
        eprintln!("{name}: t = {t:.2} in round {round}");
        calmest = calmest.min(t.abs());
        if calmest < LIMIT {
            break;
        }
    }
    calmest
}

fn random32(rng: &mut StdRng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn flipped(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    *bytes.get_mut(at).unwrap() ^= 1;
    bytes
}

/// Compares as one must not: in four steps, of which the first difference is the last.
fn leaky(one: &[u8; 32], other: &[u8; 32]) -> bool {
    for (one, other) in one.chunks(8).zip(other.chunks(8)) {
        if black_box(one) != black_box(other) {
            return false;
        }
    }
    true
}

#[test]
fn a_comparison_that_stops_early_is_caught() {
    let secret = [7; 32];
    let make = |class, rng: &mut StdRng| if class == Class::One { secret } else { random32(rng) };
    let t = persistent("leaky", make, |guess| leaky(&secret, guess));
    assert!(t > LIMIT, "a leak was not found: t = {t}");
}

#[test]
fn a_wrong_password_takes_as_long_as_the_right_one() {
    let proof = |bytes| PasswordProof::from_secret(Secret32::from_bytes(bytes));
    let stored = StoredPassword::new(PasswordSalt::from_bytes([5; 16]), &proof([7; 32]));
    let make = |class, rng: &mut StdRng| proof(if class == Class::One { [7; 32] } else { random32(rng) });
    assert!(stored.matches(&proof([7; 32])) && !stored.matches(&proof([8; 32])));
    let t = persistent("stored password", make, |guess| stored.matches(guess));
    assert!(t < LIMIT, "time tells the password: t = {t}");
}

#[test]
fn a_wrong_proof_of_the_issuer_takes_as_long_as_the_right_one() {
    let token = LedgerAuthToken::from_secret(Secret32::from_bytes([7; 32]));
    let request = LatRequest {
        issuer: &Fingerprint::from_bytes([1; 32]),
        host: "vettid://member",
        action: "secret.use",
        endpoint: "credential.use",
        lat_id: &LatId::from_random([2; 16]),
        version: 3,
        client_nonce: &[4; 32],
        server_nonce: &[5; 32],
        key_id: &"tk_00000000000000000000000000000000".parse().unwrap(),
        transaction_key: &[6; 32],
    };
    let right = token.prove(&request);
    let make = |class, rng: &mut StdRng| {
        if class == Class::One { right } else { LatProof::from_bytes(random32(rng)) }
    };
    let t = persistent("ledger token", make, |proof| token.verifies(&request, proof));
    assert!(t < LIMIT, "time tells the proof: t = {t}");
}

/// A payload that does not open: whether its first or its last byte is wrong, of the commitment or of the tag.
#[test]
fn a_wrong_payload_takes_as_long_wherever_it_is_wrong() {
    let mut rng = StdRng::seed_from_u64(1);
    let key = LedgerTransactionKey::generate(Timestamp::from_unix_ms(1), &mut rng);
    let binding = RequestBinding {
        op_id: OperationId::from_bytes([1; 16]),
        action: "secret.use".into(),
        params: serde_json::Value::Null,
        cek_version: 1,
        blob_hash: Digest::from_bytes([2; 32]),
        key_id: key.key_id().clone(),
        lat: LatReference { lat_id: LatId::from_random([3; 16]), version: 1 },
    };
    let request = ProofRequest { guid: MemberId::from_bytes([4; 16]), binding: &binding };
    let payload = PasswordPayload {
        proof: PasswordProof::from_secret(Secret32::from_bytes([5; 32])),
        inner: Some(InnerKey::from_secret(Secret32::from_bytes([6; 32]))),
    };
    let sealed = utk::seal(&key.transaction_key(), &request, &payload, &mut rng).unwrap();
    assert!(key.open(&request, &sealed).is_ok());
    let last = sealed.len() - 1;
    for (name, first, last) in [("commitment", 32, 63), ("tag", last - 15, last)] {
        let make = |class, _: &mut StdRng| flipped(sealed.clone(), if class == Class::One { first } else { last });
        let t = persistent(name, make, |sealed| key.open(&request, sealed).is_err());
        assert!(t < LIMIT, "time tells where the {name} is wrong: t = {t}");
    }
}
