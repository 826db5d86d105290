//! Samples of the lock of a vault at rest.

use crate::sample::Samples;
use crate::value;
use vettid_wire::lock::{
    AskChallenge, AutoLock, Challenge, LockPermit, LockSalts, LockSettings, LockState, LockStatus, SealerKind,
    UnlockAnswer, UnlockAttempt, UnlockKind, UnlockOutcome, UnlockResult,
};

fn salts() -> LockSalts {
    LockSalts { pin: value::bytes(16), password: value::bytes(16) }
}

fn status() -> LockStatus {
    LockStatus {
        state: LockState::Locked,
        generation: 2,
        attempts_total: 9,
        pin_tries_left: 4,
        password_wait_ms: 60_000,
        salts: Some(salts()),
    }
}

fn challenge() -> Challenge {
    Challenge {
        event_id: value::event(),
        guid: value::member(),
        nonce: value::bytes_url(16),
        challenge_id: value::bytes_url(16),
        box_key: value::x25519(),
        status: status(),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn settings() -> LockSettings {
    LockSettings { is_set: true, idle_minutes: Some(15), sealer: Some(SealerKind::Tpm) }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("lock");
    let ask = AskChallenge { event_id: value::event(), timestamp: value::at(0), nonce: value::bytes_url(16) };
    samples.object("AskChallenge", ask);
    samples.object("Challenge", challenge()).optional(&["/status/salts"]);
    samples.object("LockStatus", status()).optional(&["/salts"]);
    samples.cases("LockState", [LockState::Open, LockState::Locked]);
    samples.object("LockSalts", salts());
    samples.cases("UnlockKind", [UnlockKind::Pin, UnlockKind::Password]);
    let attempt = UnlockAttempt {
        event_id: value::event(),
        challenge_id: value::bytes_url(16),
        sealed: value::bytes(32 + 72 + 256),
    };
    samples.object("UnlockAttempt", attempt);
    samples.object("UnlockAnswer", UnlockAnswer { event_id: value::event(), sealed: value::bytes(72 + 512) });
    let outcome = UnlockOutcome { result: UnlockResult::Wrong, status: status() };
    samples.object("UnlockOutcome", outcome).optional(&["/status/salts"]);
    samples.cases(
        "UnlockResult",
        [
            UnlockResult::Unlocked,
            UnlockResult::Changed,
            UnlockResult::Wrong,
            UnlockResult::PasswordRequired,
            UnlockResult::Wait,
            UnlockResult::Refused,
            UnlockResult::Unavailable,
        ],
    );
    let permit = LockPermit { lane_key: value::ed25519(), permit: value::bytes(32), expires_at: value::at(2) };
    samples.object("LockPermit", permit);
    samples.object("LockSettings", settings()).optional(&["/idle_minutes", "/sealer"]);
    samples.cases("SealerKind", [SealerKind::KeyFile, SealerKind::Pkcs11, SealerKind::Tpm]);
    samples.object("AutoLock", AutoLock { idle_minutes: Some(15) }).optional(&["/idle_minutes"]);
    samples
}
