//! Samples of calls.

use crate::sample::Samples;
use crate::value;
use vettid_wire::call::{
    AddCandidates, CallAnswer, CallDetail, CallEnd, CallList, CallOffer, CallRef, CallSettings, CallState, CallView,
    Candidate, Description, EndReason, ListCalls, MayRing, PlaceCall, SetCalls, TakeCall,
};
use vettid_wire::id::CallId;

pub(crate) fn id() -> CallId {
    CallId::v7(value::at(0), [0x61; 10])
}

fn description() -> Description {
    Description::new("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n".to_owned()).unwrap()
}

fn candidates() -> Vec<Candidate> {
    vec![Candidate::new("candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned()).unwrap()]
}

fn view() -> CallView {
    CallView {
        call_id: id(),
        connection_id: value::connection(),
        display_name: "Bob".to_owned(),
        is_outgoing: true,
        state: CallState::Ended,
        placed_at: value::at(0),
        connected_at: Some(value::at(1)),
        ended_at: Some(value::at(2)),
        reason: Some(EndReason::HungUp),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("call");
    let (call_id, connection_id) = (id(), value::connection());
    samples.text("Description", description());
    samples.text("Candidate", candidates().remove(0));
    samples.cases(
        "EndReason",
        [
            EndReason::HungUp,
            EndReason::Declined,
            EndReason::Busy,
            EndReason::TimedOut,
            EndReason::NotReachable,
            EndReason::Crossed,
            EndReason::Failed,
            EndReason::Revoked,
        ],
    );
    samples.cases(
        "CallState",
        [
            CallState::Calling,
            CallState::RingingThere,
            CallState::Ringing,
            CallState::Answered,
            CallState::Connected,
            CallState::Ended,
        ],
    );
    samples.cases("MayRing", [MayRing::Verified, MayRing::Always, MayRing::Never]);
    samples.object("CallView", view()).optional(&["/connected_at", "/ended_at", "/reason"]);
    let detail = CallDetail { call: view(), description: Some(description()), candidates: candidates() };
    samples.object("CallDetail", detail).optional(&[
        "/description",
        "/candidates",
        "/call/connected_at",
        "/call/ended_at",
        "/call/reason",
    ]);
    samples.object("PlaceCall", PlaceCall { call_id, connection_id, description: description() });
    samples.object("TakeCall", TakeCall { call_id, description: description() });
    samples.object("AddCandidates", AddCandidates { call_id, candidates: candidates() });
    samples.object("CallRef", CallRef { call_id });
    samples
        .object("ListCalls", ListCalls { connection_id: Some(connection_id), limit: 20 })
        .optional(&["/connection_id"]);
    samples.object("CallList", CallList { calls: vec![view()] }).optional(&[
        "/calls/0/connected_at",
        "/calls/0/ended_at",
        "/calls/0/reason",
    ]);
    let set = SetCalls {
        connection_id: Some(connection_id),
        may_ring: Some(MayRing::Always),
        quiet_until: Some(value::at(3)),
    };
    samples.object("SetCalls", set).optional(&["/connection_id", "/may_ring", "/quiet_until"]);
    samples
        .object("CallSettings", CallSettings { quiet_until: Some(value::at(3)), may_ring: Some(MayRing::Never) })
        .optional(&["/quiet_until", "/may_ring"]);
    let offer = CallOffer { call_id, placed_at: value::at(0), description: description(), candidates: candidates() };
    samples.object("CallOffer", offer).optional(&["/candidates"]);
    let answer =
        CallAnswer { call_id, answered_at: value::at(1), description: description(), candidates: candidates() };
    samples.object("CallAnswer", answer).optional(&["/candidates"]);
    samples
        .object("CallEnd", CallEnd { call_id, reason: EndReason::NotReachable, unheard_at: Some(value::at(0)) })
        .optional(&["/unheard_at"]);
    samples
}
