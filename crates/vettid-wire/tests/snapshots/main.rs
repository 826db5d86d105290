//! What every type looks like on the wire: one full sample of each, its minimal form, and what it refuses.
//! The files in `snapshots/` are the published examples; a change there is a change of the standard.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails stops there")]

mod sample;
mod source;
mod value;

mod action;
mod agreement;
mod answer;
mod audit;
mod auth;
mod authorisation;
mod backup;
mod batch;
mod call;
mod category;
mod connection;
mod container;
mod contract;
mod control;
mod credential;
mod data;
mod directory;
mod enrolment;
mod envelope;
mod event;
mod feed;
mod file;
mod handshake;
mod inventory;
mod invitation;
mod key_record;
mod location;
mod lock;
mod login;
mod manifest;
mod messaging;
mod offer;
mod profile;
mod recovery;
mod refusal;
mod rekey;
mod request;
mod restore;
mod row;
mod rule;
mod secret;
mod service_keys;
mod service_message;
mod services_credential;
mod session;
mod statement;
mod storage;
mod stored;
mod text;
mod trial;
mod webauthn;

use sample::Samples;
use source::Declared;
use std::collections::BTreeSet;

/// Wire types without a sample, each with the reason.
const EXEMPT: &[(&str, &str)] = &[];

fn all() -> Vec<Samples> {
    vec![
        action::samples(),
        agreement::samples(),
        answer::samples(),
        audit::samples(),
        auth::samples(),
        authorisation::samples(),
        backup::samples(),
        batch::samples(),
        call::samples(),
        category::samples(),
        connection::samples(),
        container::samples(),
        contract::samples(),
        control::samples(),
        credential::samples(),
        data::samples(),
        directory::samples(),
        enrolment::samples(),
        envelope::samples(),
        event::samples(),
        row::samples(),
        feed::samples(),
        file::samples(),
        handshake::samples(),
        inventory::samples(),
        invitation::samples(),
        key_record::samples(),
        location::samples(),
        lock::samples(),
        login::samples(),
        manifest::samples(),
        messaging::samples(),
        offer::samples(),
        profile::samples(),
        recovery::samples(),
        refusal::samples(),
        rekey::samples(),
        request::samples(),
        restore::samples(),
        rule::samples(),
        secret::samples(),
        service_keys::samples(),
        service_message::samples(),
        services_credential::samples(),
        session::samples(),
        statement::samples(),
        storage::samples(),
        stored::samples(),
        text::samples(),
        trial::samples(),
        webauthn::samples(),
    ]
}

#[test]
fn every_type_looks_as_published() {
    for samples in all() {
        insta::assert_snapshot!(samples.module(), samples.shown());
    }
}

#[test]
fn every_sample_survives_the_round_trip() {
    let lost: Vec<String> = all().iter().flat_map(Samples::lost).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn unknown_fields_are_refused_at_every_depth() {
    let wrong: Vec<String> = all().iter().flat_map(Samples::openness).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn missing_fields_are_refused_unless_optional() {
    let wrong: Vec<String> = all().iter().flat_map(Samples::gaps).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_serialised_type_has_a_sample() {
    let sampled: BTreeSet<String> = all().iter().flat_map(Samples::names).collect();
    let exempt: BTreeSet<String> = EXEMPT.iter().map(|(name, _)| (*name).to_owned()).collect();
    let declared: BTreeSet<String> = source::declared().into_iter().map(|d| d.name).collect();
    let covered: BTreeSet<String> = sampled.union(&exempt).cloned().collect();
    assert!(declared.len() > 100, "the walk over the sources sees too little: {}", declared.len());
    let forgotten: Vec<_> = declared.difference(&covered).collect();
    assert!(forgotten.is_empty(), "without a sample: {forgotten:?}");
    let gone: Vec<_> = covered.difference(&declared).collect();
    assert!(gone.is_empty(), "sampled or exempt, but not declared: {gone:?}");
    assert!(sampled.is_disjoint(&exempt), "sampled and exempt at once");
}

#[test]
fn samples_show_every_field_and_every_variant() {
    let all = all();
    let incomplete: Vec<String> = source::declared().iter().filter_map(|declared| incomplete(&all, declared)).collect();
    assert!(incomplete.is_empty(), "{incomplete:#?}");
}

/// What the samples of a type leave out, if they do.
fn incomplete(all: &[Samples], declared: &Declared) -> Option<String> {
    let shown = all.iter().find_map(|samples| samples.members(&declared.name))?;
    let wanted = declared.members.as_ref()?;
    (shown != *wanted).then(|| format!("{}: shown {shown:?}, declared {wanted:?}", declared.name))
}
