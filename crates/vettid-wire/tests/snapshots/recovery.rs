//! Samples of the Credential Backup Service.

use crate::sample::Samples;
use crate::value;
use vettid_wire::credential::ChangePassword;
use vettid_wire::enrolment::EnrolVault;
use vettid_wire::recovery::{
    AskRecoverySalt, CredentialBackupStatus, DecideRecovery, DeviceReplaced, EnterVault, Notice, NoticeKind,
    RecoverCredentials, RecoverVault, RecoveredCredentials, RecoveryCode, RecoveryDecided, RecoveryHold,
    RecoverySaltAnswer, RecoveryStarted, ReplaceDevice, StoreCredentialBackup, VaultEntrance,
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

fn decide() -> DecideRecovery {
    DecideRecovery {
        guid: value::member(),
        recovery_id: value::event(),
        approve: true,
        app_key: value::ed25519(),
        issued_at: value::at(0),
        nonce: value::bytes_url(16),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn enter() -> EnterVault {
    EnterVault {
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
            NoticeKind::RecoveryDenied,
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
        enrolment: Some("VEC1.e30".to_owned()),
        vault_is_away: true,
    };
    samples.object("RecoveredCredentials", recovered).optional(&["/enrolment", "/vault_is_away"]);
    samples.object("EnterVault", enter());
    samples.object("VaultEntrance", VaultEntrance { enrolment: "VEC1.e30".to_owned() });
    samples.object("DecideRecovery", decide());
    samples.object("RecoveryDecided", RecoveryDecided { recovery_id: value::event(), approve: true });
}

fn of_vaults(samples: &mut Samples) {
    let enrol = EnrolVault {
        guid: value::member(),
        expires_at: value::at(10),
        token: TOKEN.to_owned(),
        services_url: "https://vettid.dev".to_owned(),
        session_id: value::event(),
    };
    samples.object("RecoverVault", RecoverVault { enrol, recovery_id: value::event(), app_key: value::ed25519() });
    let password = ChangePassword {
        hash: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$dGFn".to_owned(),
        sealed_inner_key: value::bytes(328),
    };
    samples.object("ReplaceDevice", ReplaceDevice { recovery_id: value::event(), app_key: value::ed25519(), password });
    samples.object("DeviceReplaced", DeviceReplaced { hold_until: Some(value::at(DAY)) }).optional(&["/hold_until"]);
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("recovery");
    of_backups(&mut samples);
    of_recoveries(&mut samples);
    of_vaults(&mut samples);
    samples
}
