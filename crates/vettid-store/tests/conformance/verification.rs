//! What is known of services is changed by one at a time, and comes up again when it is due.

use super::{at, audit, service};
use vettid_core::directory::Verification;
use vettid_store::ledger::{Ledger, LedgerError, Versioned};
use vettid_wire::id::{Fingerprint, ServiceId};

pub(super) async fn verifications(ledger: &dyn Ledger) {
    let id: ServiceId = "shop".parse().unwrap();
    let first = Versioned { record: Verification::none(id.clone(), service("shop", 1).registration.guid), revision: 0 };
    let refused = ledger.put_verification(&first, None, &audit()).await;
    assert!(matches!(refused, Err(LedgerError::Missing)), "{refused:?}");
    for (name, number) in [("shop", 1), ("bank", 2)] {
        ledger.register_service(&service(name, number), &audit()).await.unwrap();
    }
    assert_eq!(ledger.verification(&id).await.unwrap(), None);
    ledger.put_verification(&first, Some(at(5)), &audit()).await.unwrap();
    let refused = ledger.put_verification(&first, None, &audit()).await;
    assert!(matches!(refused, Err(LedgerError::Stale)), "{refused:?}");

    let mut next = ledger.verification(&id).await.unwrap().unwrap();
    assert_eq!((&next.record, next.revision), (&first.record, 1));
    next.record.claim("example.org".parse().unwrap(), Fingerprint::from_bytes([1; 32]), at(1));
    ledger.put_verification(&next, Some(at(9)), &audit()).await.unwrap();
    let refused = ledger.put_verification(&next, None, &audit()).await;
    assert!(matches!(refused, Err(LedgerError::Stale)), "{refused:?}");
    assert_eq!(ledger.verification(&id).await.unwrap().unwrap().record, next.record);

    let bank = Verification::none("bank".parse().unwrap(), service("bank", 2).registration.guid);
    ledger.put_verification(&Versioned { record: bank, revision: 0 }, Some(at(7)), &audit()).await.unwrap();
    let due = async |until, limit| ledger.due_verifications(at(until), limit).await.unwrap();
    assert_eq!(due(6, 9).await, []);
    assert_eq!(due(8, 9).await, ["bank".parse().unwrap()]);
    assert_eq!(due(9, 9).await, ["bank".parse().unwrap(), id]);
    assert_eq!(due(9, 1).await, ["bank".parse().unwrap()]);
}
