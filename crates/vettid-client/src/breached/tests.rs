//! The list that ships: how much is in it, what it finds, and what it leaves alone.

use super::*;
use std::collections::HashSet;

/// Places of the parts, and how many passwords each was made from.
fn parts() -> Vec<(u32, HashSet<u64>)> {
    let read = |bytes: &&[u8]| {
        let mut part = Part::read(bytes).unwrap();
        let values: Vec<u64> = (0..part.values).map(|_| part.next().unwrap()).collect();
        assert!(values.is_sorted_by(|a, b| a < b), "sorted, each once");
        assert!(part.bits.bytes.next().is_none(), "nothing lies behind the last value");
        (part.passwords, values.into_iter().collect())
    };
    PARTS.iter().map(read).collect()
}

#[test]
fn more_than_a_hundred_thousand_breached_passwords_are_known() {
    assert_eq!(count(), 1_392_499);
    let values: usize = parts().iter().map(|(_, values)| values.len()).sum();
    assert!(values > 1_390_000, "{values}");
    let bytes: usize = PARTS.iter().map(|part| part.len()).sum();
    assert!(bytes < 2 << 20, "{bytes}");
}

/// Each stands in the published list and is not refused by patterns alone.
#[test]
fn what_stood_in_a_breach_is_found() {
    for known in
        ["nastrage2337921", "42gnovnkqixlk", "nslldr64l21m082y", "22tiz0oyik0ekc8d53gzb6yes5k=", "amominhafilhadanubia"]
    {
        assert!(is_breached(known), "{known}");
    }
}

#[test]
fn another_case_and_another_end_help_nobody() {
    for known in ["AmoMinhaFilhaDanubia", "amominhafilhadanubia1", "Amominhafilhadanubia2024!", "42GNOVNKQIXLK?"] {
        assert!(is_breached(known), "{known}");
    }
    assert!(!is_breached("amominhafilhadanubiazz"));
}

#[test]
fn strong_passwords_are_left_alone() {
    for own in
        ["seven tall camels ride", "correct horse battery staple of mine", "Zx9$kQ2!pL7@vR", "grünes Klavier im Regen"]
    {
        assert!(!is_breached(own), "{own}");
    }
}

/// One in a thousand is refused without having stood in a breach; it costs a member another try at choosing.
#[test]
fn hardly_a_random_password_is_refused() {
    let parts = parts();
    let refused = (0..100_000_u32).filter(|number| {
        let hash = hash(&format!("{number:08x} rides a {:08x}", number.wrapping_mul(2_654_435_761)));
        let (passwords, values) = &parts[usize::try_from(hash >> 62).unwrap()];
        values.contains(&value(hash, *passwords))
    });
    let refused = refused.count();
    assert!((50..200).contains(&refused), "{refused}");
}

#[test]
fn what_is_encoded_is_found_and_what_is_damaged_is_not_read() {
    let hashes: Vec<u64> = (0..500_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2).collect();
    let bytes = encode(&hashes);
    assert!(hashes.iter().all(|&hash| contains(&bytes, hash) == Some(true)));
    assert_eq!(contains(&encode(&[]), 7), Some(false));
    let torn = bytes.get(..bytes.len() / 2).unwrap();
    assert!(hashes.iter().any(|&hash| contains(torn, hash).is_none()));
    assert_eq!(contains(&[0; 7], 7), None);
}
