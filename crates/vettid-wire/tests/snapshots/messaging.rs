//! Samples of text messages.

use crate::sample::Samples;
use crate::value;
use vettid_wire::messaging::{Direction, ListMessages, MessageList, MessageView, Receipt, SendText, Sent, TextMessage};

const TEXT: &str = "See you at eight ☕";

fn view() -> MessageView {
    MessageView {
        message_id: value::message(),
        direction: Direction::Sent,
        number: 1,
        text: TEXT.to_owned(),
        sent_at: value::at(0),
        delivered_at: Some(value::at(1)),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("messaging");
    let (connection_id, message_id) = (value::connection(), value::message());
    samples.object("SendText", SendText { connection_id, text: TEXT.to_owned() });
    samples.object("Sent", Sent { message_id });
    samples.object("TextMessage", TextMessage { message_id, number: 1, text: TEXT.to_owned(), sent_at: value::at(0) });
    samples.object("Receipt", Receipt { message_id, received_at: value::at(1) });
    samples.object("ListMessages", ListMessages { connection_id });
    samples.object("MessageList", MessageList { messages: vec![view()] });
    samples.object("MessageView", view()).optional(&["/delivered_at"]);
    samples.cases("Direction", [Direction::Sent, Direction::Received]);
    samples
}
