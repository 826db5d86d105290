//! `vettid gateway contract` on real files: made, changed, checked, compared and published; never written unless sound.

use crate::Place;
use std::fs;

const NEW: &str = "gateway contract new draft.json --service demo-shop --description Delivers-what-you-order \
    --terms https://shop.example/terms --privacy https://shop.example/privacy";

fn edit(place: &Place, what: &str) -> String {
    place.run(&format!("gateway contract edit draft.json {what}"), "")
}

#[test]
fn a_contract_is_made_changed_and_published() {
    let place = Place::new();
    let mut said = vec![place.run(NEW, "")];
    said.push(edit(
        &place,
        "add-field address --tier on-demand --purpose To-deliver-your-orders --kept 30d --rate 3/60",
    ));
    fs::copy(place.path().join("draft.json"), place.path().join("contract.json")).unwrap();
    said.push(place.run("gateway contract publish draft.json --contract contract.json", ""));
    for what in [
        "set-field address --tier required --kept until-revoked --no-rate",
        "add-field email --tier optional --purpose To-send-you-the-receipt",
        "permission add send-messages",
        "permission remove request-authentication",
        "set-rate 30/60",
        "set-text --description Delivers-and-writes",
    ] {
        said.push(edit(&place, what));
    }
    said.push(place.run("gateway contract lint draft.json", ""));
    said.push(place.run("gateway contract diff contract.json draft.json", ""));
    said.push(place.run("--json gateway contract publish draft.json --contract contract.json", ""));
    said.push(fs::read_to_string(place.path().join("contract.json")).unwrap());
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_may_be_stored_is_edited_checked_and_compared() {
    let place = Place::new();
    let mut said = vec![place.run(NEW, "")];
    let before = fs::read(place.path().join("draft.json")).unwrap();
    for what in ["set-quota 1000", "remove-category receipts", "permission add store-data"] {
        said.push(edit(&place, what));
        assert_eq!(fs::read(place.path().join("draft.json")).unwrap(), before, "{what}");
    }
    fs::copy(place.path().join("draft.json"), place.path().join("first.json")).unwrap();
    said.push(edit(&place, "add-category receipts --purpose Receipts-of-your-orders --quota-bytes 65536"));
    said.push(edit(&place, "add-category cards --purpose Your-loyalty-card"));
    said.push(place.run("gateway contract diff first.json draft.json", ""));
    fs::copy(place.path().join("draft.json"), place.path().join("second.json")).unwrap();
    for what in [
        "set-quota 400000",
        "set-quota 2000000",
        "add-category receipts --purpose Receipts-and-warranties",
        "remove-category cards",
        "add-category Cards --purpose Your-loyalty-card",
    ] {
        said.push(edit(&place, what));
    }
    said.push(place.run("gateway contract diff second.json draft.json", ""));
    said.push(edit(&place, "remove-category receipts"));
    said.push(place.run("--json gateway contract diff second.json draft.json", ""));
    assert_eq!(fs::read(place.path().join("draft.json")).unwrap(), before);
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_is_not_sound_is_never_written() {
    let place = Place::new();
    place.run(NEW, "");
    let before = fs::read(place.path().join("draft.json")).unwrap();
    let mut said = Vec::new();
    for what in [
        "add-field Address --tier required --purpose To-deliver",
        "add-field wallet_seed_phrase --tier consent --purpose To-restore-it",
        "set-rate 0/60",
        "set-text --terms http://shop.example/terms",
        "permission remove request-authentication",
        "remove-field address",
        "set-field address --tier required",
    ] {
        said.push(edit(&place, what));
        assert_eq!(fs::read(place.path().join("draft.json")).unwrap(), before, "{what}");
    }
    place.write("wrong.json", "{\"service_id\": \"demo-shop\",\n \"ratee\": 1}");
    said.push(place.run("gateway contract lint wrong.json", ""));
    let text = String::from_utf8(before).unwrap();
    place.write(
        "bad.json",
        text.replace("Delivers-what-you-order", "Delivers\u{202e}").replace("https://shop", "http://shop"),
    );
    said.push(place.run("--json gateway contract lint bad.json", ""));
    insta::assert_snapshot!(said.join("\n"));
}
