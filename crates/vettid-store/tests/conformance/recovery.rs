//! Tokens, containers, tries and recoveries.

use super::{account, at, audit, member, session};
use vettid_core::enrolment::{Enrolment, Stage};
use vettid_core::recovery::{HOLD_MS, TRIES_AN_HOUR};
use vettid_store::action::Spent;
use vettid_store::ledger::{Ledger, LedgerError};
use vettid_store::recovery::{CodeRow, Recovery, StoredBackup, Try};
use vettid_wire::digest::Digest;
use vettid_wire::id::{EventId, OperationId};
use vettid_wire::key::{KeyAlgorithm, TypedKey};
use vettid_wire::recovery::{Notice, NoticeKind};
use vettid_wire::time::Timestamp;

pub(super) async fn with_alice(ledger: &dyn Ledger) {
    ledger.open_account(&account(1, "alice"), &audit()).await.unwrap();
}

pub(super) fn spent(token: u8, op_id: u8, request: u8) -> Spent {
    Spent {
        jti: EventId::from_bytes([token; 16]),
        guid: member(1),
        action: "credential.backup.store".to_owned(),
        op_id: OperationId::from_bytes([op_id; 16]),
        req_hash: Digest::from_bytes([request; 32]),
        expires_at: at(300_000),
        at: at(0),
    }
}

pub(super) fn backup(sequence: u64) -> StoredBackup {
    let content = u8::try_from(sequence).unwrap();
    let (container, sealed_verifier) = (vec![content; 100], vec![7; 50]);
    StoredBackup { guid: member(1), sequence, container, sealed_verifier, stored_at: at(0) }
}

fn code(token: u8) -> CodeRow {
    CodeRow { token_hash: Digest::from_bytes([token; 32]), guid: member(1), expires_at: at(600_000) }
}

pub(super) fn notice(what: NoticeKind) -> Notice {
    Notice { at: at(0), what }
}

fn key(byte: u8) -> TypedKey {
    TypedKey::new(KeyAlgorithm::Ed25519, [byte; 32].as_slice()).unwrap()
}

async fn start(ledger: &dyn Ledger, token: u8) {
    ledger.start_recovery(&code(token), &notice(NoticeKind::RecoveryStarted), &audit()).await.unwrap();
}

async fn attempt(ledger: &dyn Ledger, token: u8, now: Timestamp) -> Try {
    ledger.try_recovery(Digest::from_bytes([token; 32]), now, &audit()).await.unwrap()
}

pub(super) async fn a_token_is_spent_once(ledger: &dyn Ledger) {
    with_alice(ledger).await;
    ledger.spend(&spent(1, 1, 1), &audit()).await.unwrap();
    assert!(matches!(ledger.spend(&spent(1, 1, 1), &audit()).await, Err(LedgerError::Spent)));
    ledger.spend(&spent(2, 1, 1), &audit()).await.unwrap();
    assert!(matches!(ledger.spend(&spent(3, 1, 2), &audit()).await, Err(LedgerError::Conflict)));
    ledger.spend(&spent(3, 2, 2), &audit()).await.unwrap();
    let later = Spent { at: at(300_000 + 24 * 3_600_000), ..spent(4, 3, 3) };
    ledger.spend(&later, &audit()).await.unwrap();
    let late = Spent { at: later.at, ..spent(1, 1, 1) };
    assert!(matches!(ledger.spend(&late, &audit()).await, Err(LedgerError::Spent)), "remembered a day after its death");
}

pub(super) async fn an_act_that_is_refused_spends_nothing(ledger: &dyn Ledger) {
    with_alice(ledger).await;
    let enabled = notice(NoticeKind::BackupEnabled);
    ledger.store_backup(&backup(2), &spent(1, 1, 1), Some(&enabled), &audit()).await.unwrap();
    let entries = ledger.audit(0, 100).await.unwrap().len();
    let older = ledger.store_backup(&backup(1), &spent(2, 2, 2), Some(&enabled), &audit()).await;
    assert!(matches!(older, Err(LedgerError::Conflict)));
    assert_eq!(ledger.audit(0, 100).await.unwrap().len(), entries);
    assert_eq!(ledger.notices(member(1), 10).await.unwrap(), std::slice::from_ref(&enabled));
    ledger.store_backup(&backup(3), &spent(2, 2, 2), None, &audit()).await.unwrap();
    assert_eq!(ledger.backup(member(1)).await.unwrap(), Some(backup(3)));
    let repeated = ledger.store_backup(&backup(4), &spent(2, 2, 2), None, &audit()).await;
    assert!(matches!(repeated, Err(LedgerError::Spent)));
    assert_eq!(ledger.backup(member(1)).await.unwrap(), Some(backup(3)));
}

pub(super) async fn tries_are_counted_before_they_are_looked_at(ledger: &dyn Ledger) {
    with_alice(ledger).await;
    assert!(!ledger.holds_sealed().await.unwrap());
    ledger.store_backup(&backup(1), &spent(1, 1, 1), None, &audit()).await.unwrap();
    assert!(ledger.holds_sealed().await.unwrap());
    assert_eq!(attempt(ledger, 1, at(0)).await, Try::Unknown);
    for token in 1..=u8::try_from(TRIES_AN_HOUR).unwrap() {
        start(ledger, token).await;
        let hash = Digest::from_bytes([token; 32]);
        assert_eq!(ledger.backup_of_code(hash, at(0)).await.unwrap(), Some(backup(1)));
        assert_eq!(ledger.backup_of_code(hash, at(600_000)).await.unwrap(), None, "dead");
        let counted = Try::Counted { guid: member(1), backup: Some(backup(1)) };
        assert_eq!(attempt(ledger, token, at(0)).await, counted, "{token}");
        assert_eq!(attempt(ledger, token, at(0)).await, Try::Unknown, "used up");
    }
    start(ledger, 9).await;
    assert_eq!(attempt(ledger, 9, at(1_000)).await, Try::TooOften { retry_after_ms: 3_599_000 });
    start(ledger, 10).await;
    start(ledger, 11).await;
    assert_eq!(attempt(ledger, 10, at(3_600_000)).await, Try::Unknown, "a later code took its place");
}

pub(super) async fn a_recovery_takes_the_place_of_the_app(ledger: &dyn Ledger) {
    with_alice(ledger).await;
    assert_eq!(ledger.app(member(1)).await.unwrap(), None);
    let stage = Stage::Completed { app_key: key(1) };
    let enrolment = Enrolment { session_id: session(1), guid: member(1), expires_at: at(0), stage };
    ledger.start_enrolment(&enrolment, &audit()).await.unwrap();
    let app = ledger.app(member(1)).await.unwrap().unwrap();
    assert_eq!((app.key, app.hold_until), (key(1), None));
    let recovery = Recovery {
        recovery_id: session(2),
        guid: member(1),
        app_key: key(2),
        old_app_key: Some(key(1)),
        recovered_at: at(5),
        hold_until: at(HOLD_MS),
        approved_at: None,
        denied_at: None,
        session_id: Some(session(3)),
    };
    let stage = Stage::Completed { app_key: key(2) };
    let of_new = Enrolment { session_id: session(3), guid: member(1), expires_at: at(0), stage };
    ledger.recover(&recovery, Some(&of_new), &audit()).await.unwrap();
    let app = ledger.app(member(1)).await.unwrap().unwrap();
    assert_eq!((app.key, app.hold_until), (key(2), Some(at(HOLD_MS))));
    assert_eq!(ledger.completed_enrolment(member(1)).await.unwrap(), Some(of_new));
    assert_eq!(ledger.latest_recovery(member(1)).await.unwrap(), Some(recovery));
    let missing = ledger.decide_recovery((member(1), session(3)), true, at(6), &audit()).await;
    assert!(matches!(missing, Err(LedgerError::Missing)));
    ledger.decide_recovery((member(1), session(2)), true, at(6), &audit()).await.unwrap();
    let again = ledger.decide_recovery((member(1), session(2)), false, at(7), &audit()).await;
    assert!(matches!(again, Err(LedgerError::Missing)), "decided before");
    assert_eq!(ledger.app(member(1)).await.unwrap().unwrap().hold_until, None);
    assert_eq!(ledger.latest_recovery(member(1)).await.unwrap().unwrap().approved_at, Some(at(6)));
}

pub(super) async fn a_recovery_that_was_denied_gives_the_app_its_place_back(ledger: &dyn Ledger) {
    with_alice(ledger).await;
    let enrolment = |id, app| {
        let stage = Stage::Completed { app_key: key(app) };
        Enrolment { session_id: session(id), guid: member(1), expires_at: at(0), stage }
    };
    ledger.start_enrolment(&enrolment(1, 1), &audit()).await.unwrap();
    let recovery = Recovery {
        recovery_id: session(2),
        guid: member(1),
        app_key: key(2),
        old_app_key: Some(key(1)),
        recovered_at: at(5),
        hold_until: at(HOLD_MS),
        approved_at: None,
        denied_at: None,
        session_id: Some(session(3)),
    };
    ledger.recover(&recovery, Some(&enrolment(3, 2)), &audit()).await.unwrap();
    assert_eq!(ledger.app(member(1)).await.unwrap().unwrap().key, key(2));
    ledger.decide_recovery((member(1), session(2)), false, at(6), &audit()).await.unwrap();
    let app = ledger.app(member(1)).await.unwrap().unwrap();
    assert_eq!((app.key, app.hold_until), (key(1), None));
    assert_eq!(ledger.completed_enrolment(member(1)).await.unwrap(), Some(enrolment(1, 1)));
    let told = ledger.notices(member(1), 1).await.unwrap();
    assert_eq!(told, [Notice { at: at(6), what: NoticeKind::RecoveryDenied }]);
}

pub(super) async fn a_device_that_recovered_gets_another_way_in(ledger: &dyn Ledger) {
    with_alice(ledger).await;
    let recovery = Recovery {
        recovery_id: session(2),
        guid: member(1),
        app_key: key(2),
        old_app_key: None,
        recovered_at: at(5),
        hold_until: at(HOLD_MS),
        approved_at: None,
        denied_at: None,
        session_id: None,
    };
    ledger.recover(&recovery, None, &audit()).await.unwrap();
    let stage = Stage::WebInitiated { code_hash: Digest::from_bytes([7; 32]) };
    for id in [3, 4] {
        let of_new = Enrolment { session_id: session(id), guid: member(1), expires_at: at(9), stage: stage.clone() };
        ledger.enter_vault((member(1), session(2)), &of_new, &audit()).await.unwrap();
        assert_eq!(ledger.latest_recovery(member(1)).await.unwrap().unwrap().session_id, Some(session(id)));
        assert_eq!(ledger.enrolment(session(id)).await.unwrap().unwrap().record, of_new);
    }
    assert_eq!(ledger.enrolment(session(3)).await.unwrap().unwrap().record.stage, Stage::Closed);
    let late = Enrolment { session_id: session(5), guid: member(1), expires_at: at(9), stage };
    let missing = ledger.enter_vault((member(1), session(9)), &late, &audit()).await;
    assert!(matches!(missing, Err(LedgerError::Missing)));
    ledger.decide_recovery((member(1), session(2)), false, at(6), &audit()).await.unwrap();
    let denied = ledger.enter_vault((member(1), session(2)), &late, &audit()).await;
    assert!(matches!(denied, Err(LedgerError::Missing)), "denied");
    assert!(ledger.enrolment(session(5)).await.unwrap().is_none(), "nothing of it is kept");
}

pub(super) async fn notices_are_read_in_both_orders(ledger: &dyn Ledger) {
    with_alice(ledger).await;
    start(ledger, 1).await;
    attempt(ledger, 1, at(7)).await;
    let tried = Notice { at: at(7), what: NoticeKind::RecoveryTried };
    let started = notice(NoticeKind::RecoveryStarted);
    assert_eq!(ledger.notices(member(1), 10).await.unwrap(), [tried.clone(), started.clone()]);
    assert_eq!(ledger.notices(member(1), 1).await.unwrap(), std::slice::from_ref(&tried));
    let queue = ledger.notices_after(0, 10).await.unwrap();
    assert_eq!(queue, [(1, member(1), started), (2, member(1), tried.clone())]);
    assert_eq!(ledger.notices_after(1, 10).await.unwrap(), [(2, member(1), tried)]);
    assert_eq!(ledger.notices(member(2), 10).await.unwrap(), []);
}
