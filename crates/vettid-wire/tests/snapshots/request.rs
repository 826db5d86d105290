//! Samples of what waits for the owner's decision.

use crate::sample::Samples;
use crate::{auth, authorisation, login, value};
use vettid_wire::auth::Decision;
use vettid_wire::request::{Ask, Decide, Decided, PendingRequest, RequestList};

fn data() -> Ask {
    Ask::Data { field: "birth_date".to_owned(), purpose: "To check your age".to_owned() }
}

fn asks_for_login() -> Ask {
    Ask::Login { origin: auth::origin(), display: auth::display() }
}

fn pending() -> PendingRequest {
    PendingRequest {
        request_id: value::request(),
        connection_id: value::connection(),
        display_name: "Demo Shop".to_owned(),
        ask: data(),
        login: Some(login::check()),
        received_at: value::at(0),
        expires_at: value::at(5),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("request");
    samples.object("RequestList", RequestList { requests: vec![pending()] }).optional(&[
        "/requests/0/login/numbers",
        "/requests/0/login/not_before",
        "/requests/0/login/key_kind",
        "/requests/0/login",
    ]);
    samples.object("PendingRequest", pending()).optional(&[
        "/login/numbers",
        "/login/not_before",
        "/login/key_kind",
        "/login",
    ]);
    let several = Ask::DataBatch { fields: vec!["birth_date".to_owned()], purpose: "To check your age".to_owned() };
    samples.cases("Ask", [data(), several, asks_for_login()]);
    let authorisation = Ask::Authorisation(Box::new(authorisation::view()));
    samples.case("Ask", authorisation).optional(&["/authorisation/document", "/authorisation/needs"]);
    let (request_id, decision) = (value::request(), Decision::Approve);
    let decide = Decide {
        request_id,
        decision,
        number: Some(42),
        remember: true,
        shown: Some(value::digest()),
        fields: vec!["birth_date".to_owned()],
    };
    samples.object("Decide", decide).optional(&["/number", "/remember", "/shown", "/fields"]);
    let return_to = Some("https://shop.example/login/return#login=PDw8PDw8PDw8PDw8PDw8PA&code=AAAA".to_owned());
    samples.object("Decided", Decided { request_id, decision, return_to }).optional(&["/return_to"]);
    samples
}
