//! Samples of text messages.

use crate::sample::Samples;
use crate::value;
use vettid_wire::messaging::{
    BeginRecovery, Direction, Disappearing, ExportMessages, LateMessage, ListMessages, MarkRead, MarkedRead,
    MessageList, MessageRef, MessageStretch, MessageView, MessagingSettings, React, Reaction, ReadReceipt, Receipt,
    ReceivedNumbers, RecoverConversation, RemovedMessage, ResumeConversation, ResumedConversation, ReturnedMessage,
    SendText, Sent, SetMessaging, TextMessage, Tidied,
};

const TEXT: &str = "See you at eight ☕";

fn view() -> MessageView {
    MessageView {
        message_id: value::message(),
        direction: Direction::Sent,
        number: 1,
        text: TEXT.to_owned(),
        sent_at: value::at(0),
        delivered_at: Some(value::at(1)),
        read_at: Some(value::at(2)),
        failed_at: Some(value::at(3)),
        reply_to: Some(value::message()),
        disappear_after_s: Some(3600),
        disappears_at: Some(value::at(4)),
        own_reaction: Some("☕".to_owned()),
        peer_reaction: Some("👍".to_owned()),
        is_returned: true,
        file: Some(crate::file::summary()),
    }
}

fn text() -> TextMessage {
    TextMessage {
        message_id: value::message(),
        number: 1,
        text: TEXT.to_owned(),
        sent_at: value::at(0),
        reply_to: Some(value::message()),
        disappear_after_s: Some(3600),
        file: Some(crate::file::manifest()),
    }
}

/// What brings a conversation together after a restore.
fn recovered(samples: &mut Samples) {
    let connection_id = value::connection();
    let received = ReceivedNumbers { up_to: 7, above: [9, 11].into() };
    samples.object("ReceivedNumbers", received.clone()).optional(&["/above"]);
    samples
        .object("ResumeConversation", ResumeConversation { received: received.clone(), sent_up_to: 5, after: Some(0) })
        .optional(&["/received/above", "/after"]);
    samples
        .object("ResumedConversation", ResumedConversation { highest: 8, received, next: Some(100) })
        .optional(&["/received/above", "/next"]);
    let reaction = Reaction { message_id: value::message(), symbol: Some("☕".to_owned()), revision: 1 };
    let (received_at, read_at) = (Some(value::at(1)), Some(value::at(2)));
    samples
        .object("ReturnedMessage", ReturnedMessage { message: text(), received_at, read_at, reaction: Some(reaction) })
        .optional(&[
            "/message/reply_to",
            "/message/disappear_after_s",
            "/message/file",
            "/received_at",
            "/read_at",
            "/reaction/symbol",
            "/reaction",
        ]);
    let begun = BeginRecovery { connection_id, incarnation: 2 };
    samples.object("BeginRecovery", begun.clone());
    let late = LateMessage { connection_id, message: text() };
    samples.object("LateMessage", late.clone()).optional(&[
        "/message/reply_to",
        "/message/disappear_after_s",
        "/message/file",
    ]);
    samples
        .cases("RecoverConversation", [RecoverConversation::Begin(begun), RecoverConversation::Late(Box::new(late))]);
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("messaging");
    let (connection_id, message_id) = (value::connection(), value::message());
    samples
        .object(
            "SendText",
            SendText {
                connection_id,
                text: TEXT.to_owned(),
                reply_to: Some(message_id),
                file: Some(crate::file::manifest()),
            },
        )
        .optional(&["/reply_to", "/file"]);
    samples.object("Sent", Sent { message_id });
    samples.object("TextMessage", text()).optional(&["/reply_to", "/disappear_after_s", "/file"]);
    let symbol = Some("☕".to_owned());
    samples.object("React", React { connection_id, message_id, symbol: symbol.clone() }).optional(&["/symbol"]);
    samples.object("Reaction", Reaction { message_id, symbol, revision: 1 }).optional(&["/symbol"]);
    samples.object("Receipt", Receipt { message_id, received_at: value::at(1) });
    samples.object("ReadReceipt", ReadReceipt { message_ids: vec![message_id], read_at: value::at(2) });
    samples.object("MarkRead", MarkRead { connection_id, message_id: Some(message_id) }).optional(&["/message_id"]);
    samples.object("MarkedRead", MarkedRead { marked: 1, has_more: false });
    samples
        .object(
            "SetMessaging",
            SetMessaging { connection_id, read_receipts: Some(false), disappear_after_s: Some(3600) },
        )
        .optional(&["/read_receipts", "/disappear_after_s"]);
    samples.object("Disappearing", Disappearing { after_s: Some(3600), revision: 1 }).optional(&["/after_s"]);
    samples
        .object(
            "MessagingSettings",
            MessagingSettings {
                read_receipts: true,
                disappear_after_s: Some(3600),
                peer_disappear_after_s: Some(7200),
                is_disappearing: false,
            },
        )
        .optional(&["/disappear_after_s", "/peer_disappear_after_s"]);
    let named = MessageRef { connection_id, message_id };
    samples.object("MessageRef", named.clone());
    let removed = RemovedMessage { connection_id, message_id, told_at: value::at(0) };
    samples.object("RemovedMessage", removed.clone());
    samples
        .object("Tidied", Tidied { undelivered: vec![named], removed: vec![removed], next_at: Some(value::at(4)) })
        .optional(&["/next_at"]);
    samples.object("ListMessages", ListMessages { connection_id });
    samples
        .object("MessageList", MessageList { messages: vec![view()], missing: 2, unread: 1 })
        .optional(&["/missing", "/unread"]);
    samples.object("MessageView", view()).optional(&[
        "/delivered_at",
        "/read_at",
        "/failed_at",
        "/reply_to",
        "/disappear_after_s",
        "/disappears_at",
        "/own_reaction",
        "/peer_reaction",
        "/is_returned",
        "/file",
    ]);
    samples.object("ExportMessages", ExportMessages { connection_id, from: 1 });
    samples.object("MessageStretch", MessageStretch { messages: vec![view()], next: Some(2) }).optional(&["/next"]);
    recovered(&mut samples);
    samples.cases("Direction", [Direction::Sent, Direction::Received]);
    samples
}
