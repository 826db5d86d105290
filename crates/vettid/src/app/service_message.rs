//! `vettid app service-message`: what services wrote to you. Their words are shown as text: nothing in them becomes a link, and words
//! that look like others are named.

use super::advice::command;
use super::agreement::whole_minute;
use super::{Client, contract, input};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, count, minute};
use clap::{Args, Subcommand};
use serde::Serialize;
use vettid_client::look_alike::{self, LookAlike};
use vettid_wire::event::{ServiceMessageList as ListRow, ServiceMessageRead, ServiceMessageRemove, ServiceMute};
use vettid_wire::id::RequestId;
use vettid_wire::service_message::{
    ListServiceMessages, MAX_LISTED, MessageKind, Mute, MuteService, MutedService, ServiceMessageList,
    ServiceMessageRef, ServiceMessageSummary, ServiceMessageView, unlinked,
};
use vettid_wire::time::Timestamp;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what services wrote to you, newest first, and whom you muted
    #[command(after_help = "\
Examples:
  vettid app service-message list
  vettid app service-message list demo-shop --unread
  vettid app --json service-message list")]
    List {
        /// Only this service
        #[arg(value_name = "SERVICE")]
        service: Option<String>,
        /// Only what you have not read
        #[arg(long)]
        unread: bool,
    },
    /// Read a message; the service is not told
    #[command(after_help = "\
Example:
  vettid app service-message read demo-shop MESSAGE

Addresses are written so that nothing makes a link of them: type one yourself if you trust it.")]
    Read(Named),
    /// Remove a message
    #[command(after_help = "Example:\n  vettid app service-message remove demo-shop MESSAGE")]
    Remove(Named),
    /// Let messages of a service come without a notification; the service is not told
    #[command(after_help = "\
Examples:
  vettid app service-message mute demo-shop
  vettid app service-message mute demo-shop --for 8h
  vettid app service-message mute demo-shop --until 2026-12-24T18:00")]
    Mute(Muting),
    /// Be told of messages of a service again
    #[command(after_help = "Example:\n  vettid app service-message unmute demo-shop")]
    Unmute {
        /// The service or its connection
        #[arg(value_name = "SERVICE")]
        service: String,
    },
}

/// One message.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The service or its connection
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The message, from `vettid app service-message list`
    #[arg(value_name = "MESSAGE")]
    message: RequestId,
}

#[derive(Debug, Args)]
pub(super) struct Muting {
    /// The service or its connection
    #[arg(value_name = "SERVICE")]
    service: String,
    /// For how long, such as 30m or 8h; until you say otherwise if it is not said
    #[arg(long = "for", value_name = "TIME", value_parser = input::seconds)]
    duration: Option<u32>,
    /// Until when (UTC), such as 2026-12-24T18:00
    #[arg(long, value_name = "TIME", value_parser = whole_minute, conflicts_with = "duration")]
    until: Option<Timestamp>,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::List { service, unread } => {
            let connection_id = match service {
                Some(service) => Some(contract::connection(&service, app).await?),
                None => None,
            };
            let request = ListServiceMessages { connection_id, unread, limit: MAX_LISTED };
            Ok(output.result(&Listed(app.command::<ListRow>(request).await.map_err(command)?))?)
        }
        Command::Read(named) => {
            let request = named.find(app).await?;
            let view = app.command::<ServiceMessageRead>(request).await.map_err(command)?;
            Ok(output.result(&Reviewed::of(view))?)
        }
        Command::Remove(named) => {
            let request = named.find(app).await?;
            let message_id = request.message_id;
            app.command::<ServiceMessageRemove>(request).await.map_err(command)?;
            Ok(output.result(&Removed { message_id })?)
        }
        Command::Mute(Muting { service, duration, until }) => {
            let until = until.or(duration.map(|seconds| app.after_ms(i64::from(seconds) * 1000)));
            mute(&service, Some(Mute { until }), app, output).await
        }
        Command::Unmute { service } => mute(&service, None, app, output).await,
    }
}

impl Named {
    async fn find(self, app: &Client) -> Result<ServiceMessageRef, Failure> {
        let connection_id = contract::connection(&self.service, app).await?;
        Ok(ServiceMessageRef { connection_id, message_id: self.message })
    }
}

async fn mute(service: &str, mute: Option<Mute>, app: &Client, output: Output) -> Result<(), Failure> {
    let request = MuteService { connection_id: contract::connection(service, app).await?, mute };
    Ok(output.result(&app.command::<ServiceMute>(request).await.map_err(command)?)?)
}

fn kind(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Information => "information",
        MessageKind::Action => "ACTION",
        MessageKind::Warning => "WARNING",
    }
}

/// Messages and who is muted.
#[derive(Serialize)]
#[serde(transparent)]
struct Listed(ServiceMessageList);

impl Show for Listed {
    fn show(&self, page: &mut Page) {
        let ServiceMessageList { messages, muted } = &self.0;
        if messages.is_empty() {
            page.line("No messages of services.");
        } else {
            let row = |one: &ServiceMessageSummary| {
                let state = if one.read_at.is_some() { "" } else { "new" };
                let (at, id) = (minute(one.received_at), one.message_id.to_string());
                [state.into(), at, one.display_name.clone(), kind(one.kind).into(), unlinked(&one.subject), id]
            };
            let rows: Vec<[String; 6]> = messages.iter().map(row).collect();
            page.table(["", "CAME", "FROM", "KIND", "SUBJECT", "MESSAGE"], &rows);
        }
        if !muted.is_empty() {
            page.gap();
            page.line(format!("{} muted:", count(muted.len() as u64, "service")));
            for service in muted {
                page.line(format!("  {}{}", service.display_name, until(service.mute.as_ref())));
            }
        }
    }
}

fn until(mute: Option<&Mute>) -> String {
    mute.and_then(|mute| mute.until).map_or_else(String::new, |until| format!(" until {}", minute(until)))
}

/// A message with warnings about its words.
#[derive(Debug, Serialize)]
struct Reviewed {
    #[serde(flatten)]
    view: ServiceMessageView,
    /// Absent if there is nothing to warn of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<LookAlike>,
}

impl Reviewed {
    fn of(view: ServiceMessageView) -> Self {
        let mut warnings: Vec<LookAlike> = vec![];
        for text in [&view.message.display_name, &view.message.subject, &view.text] {
            for warning in look_alike::warnings(text) {
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
        }
        Self { view, warnings }
    }
}

impl Show for Reviewed {
    fn show(&self, page: &mut Page) {
        let ServiceMessageView { message, text } = &self.view;
        page.line(format!("{} wrote ({}):", message.display_name, kind(message.kind)));
        page.field("subject", unlinked(&message.subject));
        page.field("came", minute(message.received_at));
        page.gap();
        page.block(&unlinked(text));
        if unlinked(text) != *text || unlinked(&message.subject) != message.subject {
            page.gap();
            page.line("It names an address. Open none that you do not know: type it yourself.");
        }
        for warning in &self.warnings {
            page.line(format!("CAREFUL: {warning}."));
        }
    }
}

/// A message that is gone.
#[derive(Serialize)]
struct Removed {
    message_id: RequestId,
}

impl Show for Removed {
    fn show(&self, page: &mut Page) {
        page.line("Removed.");
    }
}

impl Show for MutedService {
    fn show(&self, page: &mut Page) {
        page.line(match &self.mute {
            Some(mute) => {
                format!("Messages of {} come without a notification{}.", self.display_name, until(Some(mute)))
            }
            None => format!("You are told of messages of {}.", self.display_name),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::text_of;

    fn view(name: &str, subject: &str, text: &str) -> ServiceMessageView {
        let message = ServiceMessageSummary {
            message_id: RequestId::from_bytes([1; 16]),
            connection_id: vettid_wire::id::ConnectionId::from_bytes([2; 16]),
            display_name: name.to_owned(),
            kind: MessageKind::Action,
            subject: subject.to_owned(),
            received_at: Timestamp::from_unix_ms(0),
            notified: true,
            read_at: None,
        };
        ServiceMessageView { message, text: text.to_owned() }
    }

    #[test]
    fn no_address_of_a_message_can_become_a_link() {
        let reviewed = Reviewed::of(view("Shop", "See www.shop.example", "Pay at\nhttps://shop.example/pay\nnow"));
        let shown = text_of(&reviewed);
        assert!(!shown.contains("://") && !shown.contains("www.shop"), "{shown}");
        assert!(shown.contains("https[:]//shop.example/pay") && shown.contains("type it yourself"), "{shown}");
        let list = Listed(ServiceMessageList { messages: vec![reviewed.view.message], muted: vec![] });
        assert!(text_of(&list).contains("www[.]shop.example"));
        assert!(!text_of(&Reviewed::of(view("Shop", "a", "b"))).contains("type it yourself"));
    }

    #[test]
    fn words_that_look_like_others_are_named_wherever_they_stand() {
        for (name, subject, text) in
            [("p\u{430}ypal", "a", "b"), ("Shop", "p\u{430}ypal", "b"), ("Shop", "a", "Your p\u{430}ypal account")]
        {
            let reviewed = Reviewed::of(view(name, subject, text));
            assert_eq!(reviewed.warnings.len(), 1, "{name} {subject} {text}");
            assert!(text_of(&reviewed).contains("CAREFUL: "), "{name} {subject} {text}");
            assert!(serde_json::to_value(&reviewed).unwrap()["warnings"].is_array());
        }
        assert!(serde_json::to_value(Reviewed::of(view("Shop", "a", "b"))).unwrap().get("warnings").is_none());
    }
}
