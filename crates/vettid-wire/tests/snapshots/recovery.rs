//! Samples of the Credential Backup Service.

use crate::sample::Samples;
use crate::value;
use vettid_wire::recovery::{
    ApproveRecovery, AskRecoverySalt, CredentialBackupStatus, Notice, NoticeKind, RecoverCredentials,
    RecoveredCredentials, RecoveryApproved, RecoveryCode, RecoveryHold, RecoverySaltAnswer, RecoveryStarted,
    StoreCredentialBackup,
};

const TOKEN: &str = "one-time-token";
const DAY: i64 = 24 * 60;

fn hold() -> RecoveryHold {
    RecoveryHold { recovery_id: value::event(), recovered_at: value::at(0), hold_until: value::at(DAY) }
}

fn recover() -> RecoverCredentials {
    RecoverCredentials {
        token: TOKEN.to_owned(),
        proof: value::bytes(32),
        app_key: value::ed25519(),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn approve() -> ApproveRecovery {
    ApproveRecovery {
        guid: value::member(),
        recovery_id: value::event(),
        app_key: value::ed25519(),
        issued_at: value::at(0),
        nonce: value::bytes_url(16),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn of_backups(samples: &mut Samples) {
    let (container, verifier) = (value::bytes(64), value::bytes(32));
    samples.object("StoreCredentialBackup", StoreCredentialBackup { sequence: 3, container, verifier });
    let status = CredentialBackupStatus {
        enabled: true,
        sequence: Some(3),
        stored_at: Some(value::at(0)),
        recovery: Some(hold()),
    };
    samples.object("CredentialBackupStatus", status).optional(&["/sequence", "/stored_at", "/recovery"]);
    samples.object("RecoveryHold", hold());
    samples.object("Notice", Notice { at: value::at(0), what: NoticeKind::RecoveryTried });
    samples.cases(
        "NoticeKind",
        [
            NoticeKind::BackupEnabled,
            NoticeKind::BackupRemoved,
            NoticeKind::RecoveryStarted,
            NoticeKind::RecoveryTried,
            NoticeKind::RecoveryTooOften,
            NoticeKind::Recovered,
            NoticeKind::RecoveryApproved,
            NoticeKind::WrongPassword,
            NoticeKind::CredentialAlarm,
        ],
    );
}

fn of_recoveries(samples: &mut Samples) {
    samples.object("RecoveryStarted", RecoveryStarted { qr: "VRC1.e30".to_owned(), expires_at: value::at(10) });
    let code = RecoveryCode {
        services_url: "https://vettid.dev".to_owned(),
        guid: value::member(),
        token: TOKEN.to_owned(),
        expires_at: value::at(10),
    };
    samples.object("RecoveryCode", code);
    samples.object("AskRecoverySalt", AskRecoverySalt { token: TOKEN.to_owned() });
    samples.object("RecoverySaltAnswer", RecoverySaltAnswer { salt: value::bytes(16) });
    samples.object("RecoverCredentials", recover());
    let recovered = RecoveredCredentials {
        guid: value::member(),
        recovery_id: value::event(),
        container: value::bytes(64),
        hold_until: value::at(DAY),
    };
    samples.object("RecoveredCredentials", recovered);
    samples.object("ApproveRecovery", approve());
    samples.object("RecoveryApproved", RecoveryApproved { recovery_id: value::event() });
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("recovery");
    of_backups(&mut samples);
    of_recoveries(&mut samples);
    samples
}
