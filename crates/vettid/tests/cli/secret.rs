//! `vettid app credential|password|secret` where no vault is needed: wrong usage, values that fit no kind, prompts, and
//! files of other programs. No value and no password is ever shown.

use crate::Place;
use vettid_testkit::terminal::type_at;

const PASSWORD: &str = "canary horse battery staple";

#[test]
fn usage() {
    let place = Place::new();
    for (name, arguments) in [
        ("value_in_argv", "app secret add Savings abandon-abandon --kind seed-phrase"),
        ("kind_missing", "app secret add Savings"),
        ("curve_missing", "app secret add Deploy --kind signing-key --generate"),
        ("grant_too_long", "app credential create --grant-minutes 61"),
        ("grant_operation", "app secret grant Deploy --operation fly"),
        ("grant_uses", "app secret grant Deploy --operation sign --uses 101"),
        ("import_nothing", "app secret import"),
        ("import_both", "app secret import --csv a --bitwarden b"),
        ("password_in_argv", "app password change hunter2"),
        ("out_of_two", "app secret add A --kind password --generate --value-file x"),
    ] {
        insta::assert_snapshot!(format!("usage_{name}"), place.run(arguments, ""));
    }
}

#[test]
fn values_that_fit_no_kind() {
    let place = Place::new();
    for (name, arguments, value) in [
        ("phrase", "app secret add A --kind seed-phrase --password-stdin", "canary canary canary"),
        ("number", "app secret add A --kind number --password-stdin", "canary"),
        ("signing_key", "app secret add A --kind signing-key --curve p256 --password-stdin", "canary"),
        ("private_key", "app secret add A --kind private-key --password-stdin", "canary"),
        ("empty", "app secret add A --kind note --password-stdin", ""),
        ("made_note", "app secret add A --kind note --generate --password-stdin", ""),
        ("no_password", "app secret show A --password-stdin", ""),
    ] {
        let input = if name == "no_password" { String::new() } else { format!("{PASSWORD}\n{value}\n") };
        let shown = place.run(arguments, &input);
        assert!(!shown.contains("canary"), "{shown}");
        insta::assert_snapshot!(format!("value_{name}"), shown);
    }
}

#[test]
fn files_that_cannot_be_taken_over() {
    let place = Place::new();
    place.write("encrypted.json", r#"{"encrypted": true, "items": []}"#);
    place.write("other.json", r#"{"canary": 1}"#);
    place.write("other.csv", "name,secret\ncanary,canary\n");
    for (name, arguments) in [
        ("encrypted", "app secret import --bitwarden encrypted.json"),
        ("other_json", "app secret import --bitwarden other.json"),
        ("other_csv", "app secret import --csv other.csv"),
        ("missing", "app --json secret import --csv none.csv"),
    ] {
        let shown = place.run(arguments, "");
        assert!(!shown.contains("canary"), "{shown}");
        insta::assert_snapshot!(format!("import_{name}"), shown);
    }
}

#[test]
fn without_a_terminal_no_password_is_asked_for() {
    let place = Place::new();
    insta::assert_snapshot!("prompt_no_terminal", place.run("app password change", ""));
}

#[test]
fn a_value_is_typed_unseen() {
    let place = Place::new();
    let command = format!("{} app secret add A --kind number", env!("CARGO_BIN_EXE_vettid"));
    let shown = type_at(place.path(), &command, &[("Value of the secret: ", "canary\n")]).unwrap();
    assert!(shown.contains("a number has digits"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
}
