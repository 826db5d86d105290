//! What services keep as issuers.

use super::recovery::{backup, notice, spent, with_alice};
use super::{at, audit, member};
use vettid_store::action::OPERATION_LIFE_MS;
use vettid_store::credential::{CredentialCommit, IssuerRow, OperationRow};
use vettid_store::ledger::{Ledger, LedgerError};
use vettid_wire::id::OperationId;
use vettid_wire::recovery::NoticeKind;
use vettid_wire::time::Timestamp;

fn change(issuer: u8, revision: Option<u64>) -> CredentialCommit<'static> {
    CredentialCommit {
        guid: member(1),
        issuer: vec![issuer],
        revision,
        operation: None,
        spent: None,
        notice: None,
        removes_backup: false,
    }
}

fn op_id(number: u8) -> OperationId {
    OperationId::from_bytes([number; 16])
}

fn row(number: u8, sealed: u8, at: Timestamp) -> Option<OperationRow> {
    Some(OperationRow { op_id: op_id(number), sealed: vec![sealed], at })
}

pub(super) async fn changes_name_their_revision(ledger: &dyn Ledger) {
    with_alice(ledger).await;
    assert_eq!(ledger.issuer(member(1)).await.unwrap(), None);
    ledger.commit_credential(&change(1, None), &audit()).await.unwrap();
    for stale in [None, Some(1)] {
        let refused = ledger.commit_credential(&change(9, stale), &audit()).await;
        assert!(matches!(refused, Err(LedgerError::Stale)), "{stale:?}");
    }
    ledger.commit_credential(&change(2, Some(0)), &audit()).await.unwrap();
    assert!(matches!(ledger.commit_credential(&change(9, Some(0)), &audit()).await, Err(LedgerError::Stale)));
    let kept = IssuerRow { sealed: vec![2], revision: 1 };
    assert_eq!(ledger.issuer(member(1)).await.unwrap(), Some(kept));
    assert!(ledger.holds_sealed().await.unwrap());
}

pub(super) async fn a_change_is_whole_or_not_there(ledger: &dyn Ledger) {
    with_alice(ledger).await;
    ledger.store_backup(&backup(1), &spent(1, 1, 1), None, &audit()).await.unwrap();
    let token = spent(2, 2, 2);
    let first = CredentialCommit { operation: row(1, 1, at(0)), spent: Some(&token), ..change(1, None) };
    ledger.commit_credential(&first, &audit()).await.unwrap();
    let told = notice(NoticeKind::BackupRemoved);
    let second = CredentialCommit {
        operation: row(1, 2, at(1)),
        notice: Some(told.clone()),
        removes_backup: true,
        ..change(2, Some(0))
    };
    let repeated = CredentialCommit { spent: Some(&token), ..second.clone() };
    assert!(matches!(ledger.commit_credential(&repeated, &audit()).await, Err(LedgerError::Spent)));
    assert_eq!(ledger.credential_operation(member(1), op_id(1)).await.unwrap(), Some(vec![1]));
    assert!(
        ledger.backup(member(1)).await.unwrap().is_some() && ledger.notices(member(1), 1).await.unwrap().is_empty()
    );
    ledger.commit_credential(&second, &audit()).await.unwrap();
    assert_eq!(ledger.credential_operation(member(1), op_id(1)).await.unwrap(), Some(vec![2]));
    assert!(ledger.backup(member(1)).await.unwrap().is_none());
    assert_eq!(ledger.notices(member(1), 1).await.unwrap(), [told]);
    let later = CredentialCommit { operation: row(2, 3, at(OPERATION_LIFE_MS + 2)), ..change(3, Some(1)) };
    ledger.commit_credential(&later, &audit()).await.unwrap();
    assert_eq!(ledger.credential_operation(member(1), op_id(1)).await.unwrap(), None, "forgotten after 90 days");
    assert_eq!(ledger.credential_operation(member(2), op_id(2)).await.unwrap(), None, "another member's");
}
