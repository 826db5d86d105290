//! What files of other programs become.

use super::*;

fn seen(found: &Found) -> Vec<(String, SecretKind, Option<String>, String)> {
    let text = |secret: &NewSecret| String::from_utf8(secret.value.expose().to_vec()).unwrap();
    let see = |secret: &NewSecret| (secret.label.clone(), secret.value.kind(), secret.category.clone(), text(secret));
    found.secrets.iter().map(see).collect()
}

fn skipped(found: &Found) -> Vec<(&str, &str)> {
    found.skipped.iter().map(|skipped| (skipped.label.as_str(), skipped.reason.as_str())).collect()
}

const EXPORT: &str = r#"{"encrypted": false,
  "folders": [{"id": "f1", "name": "Money"}],
  "items": [
    {"type": 1, "name": "Bank", "folderId": "f1", "login": {"username": "ann", "password": "pw-1", "totp": "key"}},
    {"type": 1, "name": "Empty", "login": {"username": "ann", "password": null}},
    {"type": 2, "name": "Door", "notes": "left\nthen right", "secureNote": {"type": 0}},
    {"type": 3, "name": "Visa", "card": {"number": "4111"}},
    {"type": 9, "name": "New kind"},
    {"type": 1, "name": "", "login": {"password": "pw-2"}}
  ]}"#;

#[test]
fn an_export_of_bitwarden() {
    let found = bitwarden(EXPORT.as_bytes()).unwrap();
    assert_eq!(
        seen(&found),
        [
            ("Bank (ann)".into(), SecretKind::Password, Some("Money".into()), "pw-1".into()),
            ("Door".into(), SecretKind::Note, None, "left\nthen right".into()),
        ]
    );
    assert_eq!(
        skipped(&found),
        [
            ("Bank (ann)", "its one-time password key is not taken over"),
            ("Empty", "the login has no password"),
            ("Visa", "cards are not taken over"),
            ("New kind", "entries of this kind are not taken over"),
            ("(without a name)", "it has no name"),
        ]
    );
}

#[test]
fn what_is_no_export_is_refused_without_quoting_it() {
    for wrong in ["{", r#"{"items": "canary"}"#, r#"{"encrypted": true, "items": []}"#, "canary"] {
        let failure = bitwarden(wrong.as_bytes()).err().unwrap();
        assert!(!failure.error().contains("canary"), "{}", failure.error());
    }
}

#[test]
fn a_table() {
    let found = table(
        b"label, kind,value,category\nSavings,seed-phrase,\"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about\",money\n\
          Door,Number,12 34,\nBad,number,abc,\nKey,signing-key,00,\nShort,note\nDoor,number,99,\n",
    )
    .unwrap();
    let labels: Vec<_> = seen(&found).into_iter().map(|(label, kind, ..)| (label, kind)).collect();
    assert_eq!(
        labels,
        [
            ("Savings".into(), SecretKind::SeedPhrase),
            ("Door".into(), SecretKind::Number),
            ("Door".to_owned(), SecretKind::Number)
        ]
    );
    assert_eq!(
        skipped(&found),
        [
            ("Bad", "a number has digits, spaces, '-', '.' and '/' only"),
            ("Key", "its kind is unknown, or cannot stand in a table"),
            ("(row 6)", "it has other columns than the first line"),
        ]
    );
    assert!(table(b"name,secret\na,b\n").is_err());
}

#[test]
fn what_is_there_is_left_out() {
    let mut found = table(b"label,kind,value\nA,note,1\nB,note,2\nB,note,3\nB,password,4\n").unwrap();
    found.leave_out(&BTreeSet::from([("A".to_owned(), SecretKind::Note)]));
    assert_eq!(seen(&found).iter().map(|seen| seen.3.as_str()).collect::<Vec<_>>(), ["2", "4"]);
    assert_eq!(skipped(&found).iter().map(|skipped| skipped.0).collect::<Vec<_>>(), ["A", "B"]);
}
