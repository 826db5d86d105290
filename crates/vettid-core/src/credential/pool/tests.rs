//! The pool of spec 2.8: twenty keys, refilled by ten at ten, each good for one operation and for thirty days.

use super::*;

fn key(number: usize) -> KeyId {
    format!("tk_{number:032x}").parse().unwrap()
}

fn operation(number: u8) -> OperationId {
    OperationId::from_bytes([number; 16])
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn full() -> Pool {
    let mut pool = Pool::default();
    (0..pool.due(at(0))).for_each(|number| pool.add(key(number), at(100)));
    pool
}

#[test]
fn twenty_keys_and_ten_more_at_ten() {
    let mut pool = full();
    assert_eq!(pool.unused(at(0)).count(), 20);
    for used in 0..9 {
        pool.use_up(&key(used));
        assert_eq!(pool.due(at(0)), 0, "{used}");
    }
    pool.reserve(&key(9), operation(1));
    assert_eq!(pool.due(at(0)), 10, "a reserved key is not unused");
    (20..30).for_each(|number| pool.add(key(number), at(100)));
    assert_eq!((pool.unused(at(0)).count(), pool.due(at(0))), (20, 0));
}

#[test]
fn a_key_carries_one_operation() {
    let mut pool = full();
    assert!(pool.carries(&key(1), operation(1), at(0)));
    pool.reserve(&key(1), operation(1));
    assert!(pool.carries(&key(1), operation(1), at(0)));
    assert!(!pool.carries(&key(1), operation(2), at(0)));
    pool.use_up(&key(1));
    assert!(!pool.carries(&key(1), operation(1), at(0)));
    assert!(!pool.carries(&key(99), operation(1), at(0)));
}

#[test]
fn an_expired_key_carries_nothing_new_and_does_not_come_back() {
    let mut pool = full();
    pool.reserve(&key(1), operation(1));
    assert!(pool.carries(&key(2), operation(2), at(99)));
    assert!(!pool.carries(&key(2), operation(2), at(100)));
    assert!(pool.carries(&key(1), operation(1), at(100)), "it was reserved in time");
    assert_eq!((pool.unused(at(100)).count(), pool.due(at(100))), (0, 20));
    pool.sweep(at(100));
    assert!(!pool.carries(&key(2), operation(2), at(0)));
}
