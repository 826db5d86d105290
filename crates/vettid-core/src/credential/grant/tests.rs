//! Grants end by use, by time, by lock, and with the run of the machine.

use super::*;
use std::cell::Cell;
use vettid_wire::time::Timestamp;

fn at(minutes: u64, boot: u8) -> Clocks {
    Clocks { now: Timestamp::from_unix_ms(0), monotonic_ms: minutes * MINUTE_MS, boot_id: BootId([boot; 16]) }
}

fn scope(operation: &str, secret: &str) -> GrantScope {
    GrantScope { operation: operation.to_owned(), secret: secret.to_owned() }
}

/// Counts how often what a grant kept was dropped.
struct Kept<'a>(&'a Cell<u32>);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_life_is_five_to_sixty_minutes_or_none() {
    for minutes in [0, 5, 15, 60] {
        assert!(GrantLife::new(Some(minutes)).is_ok(), "{minutes}");
    }
    for minutes in [1, 4, 61, u32::MAX] {
        assert_eq!(GrantLife::new(Some(minutes)), Err(InvalidLife), "{minutes}");
    }
    assert_eq!(GrantLife::new(None), GrantLife::new(Some(15)));
}

#[test]
fn a_grant_is_for_one_operation_one_secret_and_some_uses() {
    let dropped = Cell::new(0);
    let mut grants = Grants::default();
    grants.add(&at(0, 1), scope("sign", "btc"), GrantLife::default(), 2, Kept(&dropped));
    let used =
        |grants: &mut Grants<_>, operation, secret| grants.use_once(&at(1, 1), &scope(operation, secret), |_| ());
    assert_eq!(used(&mut grants, "sign", "ssh"), None);
    assert_eq!(used(&mut grants, "export", "btc"), None);
    assert_eq!([used(&mut grants, "sign", "btc"), used(&mut grants, "sign", "btc")], [Some(()), Some(())]);
    assert_eq!((used(&mut grants, "sign", "btc"), dropped.get()), (None, 1));
}

#[test]
fn a_grant_ends_by_time_and_with_the_run() {
    let dropped = Cell::new(0);
    let mut grants = Grants::default();
    let scope = scope("sign", "btc");
    grants.add(&at(10, 1), scope.clone(), GrantLife::default(), 9, Kept(&dropped));
    let jumped = Clocks { now: Timestamp::from_unix_ms(i64::MAX), ..at(24, 1) };
    assert!(grants.use_once(&jumped, &scope, |_| ()).is_some(), "the wall clock says nothing");
    assert!(grants.use_once(&at(25, 1), &scope, |_| ()).is_none());
    assert_eq!(dropped.get(), 1);
    grants.add(&at(10, 1), scope.clone(), GrantLife::default(), 9, Kept(&dropped));
    assert!(grants.use_once(&at(0, 2), &scope, |_| ()).is_none());
    assert_eq!(dropped.get(), 2);
}

#[test]
fn nothing_is_kept_without_life_or_use_or_after_the_lock() {
    let dropped = Cell::new(0);
    let mut grants = Grants::default();
    grants.add(&at(0, 1), scope("sign", "btc"), GrantLife::NONE, 9, Kept(&dropped));
    grants.add(&at(0, 1), scope("sign", "btc"), GrantLife::default(), 0, Kept(&dropped));
    assert_eq!((grants.count(), dropped.get()), (0, 2));
    grants.add(&at(0, 1), scope("sign", "btc"), GrantLife::default(), 1, Kept(&dropped));
    grants.add(&at(0, 1), scope("sign", "btc"), GrantLife::default(), 1, Kept(&dropped));
    assert_eq!((grants.count(), dropped.get()), (1, 3));
    grants.lock();
    assert_eq!((grants.count(), dropped.get()), (0, 4));
}
