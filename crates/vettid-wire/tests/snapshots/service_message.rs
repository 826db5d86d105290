//! Samples of messages of services.

use crate::sample::Samples;
use crate::value;
use vettid_wire::service_message::{
    ListServiceMessages, MessageAccepted, MessageKind, Mute, MuteService, MutedService, ServiceMessage,
    ServiceMessageList, ServiceMessageRef, ServiceMessageSummary, ServiceMessageView,
};

const SUBJECT: &str = "Your order is on its way";

fn summary() -> ServiceMessageSummary {
    ServiceMessageSummary {
        message_id: value::request(),
        connection_id: value::connection(),
        display_name: "Demo Shop".to_owned(),
        kind: MessageKind::Action,
        subject: SUBJECT.to_owned(),
        received_at: value::at(1),
        notified: true,
        read_at: Some(value::at(2)),
    }
}

fn muted() -> MutedService {
    let mute = Some(Mute { until: Some(value::at(60)) });
    MutedService { connection_id: value::connection(), display_name: "Demo Shop".to_owned(), mute }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("service_message");
    let (message_id, connection_id) = (value::request(), value::connection());
    let message = ServiceMessage {
        message_id,
        service_id: value::service(),
        connection_id,
        contract_hash: value::bytes_url(32),
        kind: MessageKind::Information,
        subject: SUBJECT.to_owned(),
        text: "It comes on Tuesday.\nNobody has to be at home.".to_owned(),
    };
    assert!(message.is_sound());
    samples.object("ServiceMessage", message);
    samples.cases("MessageKind", [MessageKind::Information, MessageKind::Action, MessageKind::Warning]);
    let proof = Some(crate::answer::proof());
    let accepted = MessageAccepted { message_id, accepted_at: value::at(1), proof };
    samples.object("MessageAccepted", accepted).optional(&["/proof"]);
    let list = ListServiceMessages { connection_id: Some(connection_id), unread: true, limit: 20 };
    samples.object("ListServiceMessages", list).optional(&["/connection_id", "/unread"]);
    let list = ServiceMessageList { messages: vec![summary()], muted: vec![muted()] };
    let optional = &["/messages/0/read_at", "/muted/0/mute/until", "/muted/0/mute"];
    samples.object("ServiceMessageList", list).optional(optional);
    samples.object("ServiceMessageSummary", summary()).optional(&["/read_at"]);
    samples.object("ServiceMessageRef", ServiceMessageRef { connection_id, message_id });
    let view = ServiceMessageView { message: summary(), text: "It comes on Tuesday.".to_owned() };
    samples.object("ServiceMessageView", view).optional(&["/message/read_at"]);
    let mute = Mute { until: Some(value::at(60)) };
    let wanted = MuteService { connection_id, mute: Some(mute) };
    samples.object("MuteService", wanted).optional(&["/mute/until", "/mute"]);
    samples.object("Mute", mute).optional(&["/until"]);
    samples.object("MutedService", muted()).optional(&["/mute/until", "/mute"]);
    samples
}
