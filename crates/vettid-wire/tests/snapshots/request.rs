//! Samples of what waits for the owner's decision.

use crate::sample::Samples;
use crate::{auth, authorisation, value};
use vettid_wire::auth::Decision;
use vettid_wire::request::{Ask, Decide, Decided, PendingRequest, RequestList};

fn data() -> Ask {
    Ask::Data { field: "birth_date".to_owned(), purpose: "To check your age".to_owned() }
}

fn login() -> Ask {
    Ask::Login { origin: auth::origin(), display: auth::display() }
}

fn pending() -> PendingRequest {
    PendingRequest {
        request_id: value::request(),
        connection_id: value::connection(),
        display_name: "Demo Shop".to_owned(),
        ask: data(),
        received_at: value::at(0),
        expires_at: value::at(5),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("request");
    samples.object("RequestList", RequestList { requests: vec![pending()] });
    samples.object("PendingRequest", pending());
    samples.cases("Ask", [data(), login()]);
    let authorisation = Ask::Authorisation(Box::new(authorisation::view()));
    samples.case("Ask", authorisation).optional(&["/authorisation/document", "/authorisation/needs"]);
    let (request_id, decision) = (value::request(), Decision::Approve);
    samples.object("Decide", Decide { request_id, decision, shown: Some(value::digest()) }).optional(&["/shown"]);
    samples.object("Decided", Decided { request_id, decision });
    samples
}
