//! `vettid app connection invitations` and `uninvite`: what was given out and nobody has answered. Never shows a link again.

use super::super::Client;
use super::super::advice::command;
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use serde::Serialize;
use vettid_wire::connection::{InvitationList, InvitationRef};
use vettid_wire::event::{ConnectionInvitations, ConnectionUninvite, Nothing};
use vettid_wire::id::InviteId;

pub(super) async fn list(app: &Client, output: Output) -> Result<(), Failure> {
    let list = app.command::<ConnectionInvitations>(Nothing {}).await.map_err(command)?;
    Ok(output.result(&list)?)
}

pub(super) async fn take_back(invite_id: InviteId, app: &Client, output: Output) -> Result<(), Failure> {
    app.command::<ConnectionUninvite>(InvitationRef { invite_id }).await.map_err(command)?;
    Ok(output.result(&TakenBack { invite_id })?)
}

/// An invitation that leads nowhere any more.
#[derive(Serialize)]
struct TakenBack {
    invite_id: InviteId,
}

impl Show for TakenBack {
    fn show(&self, page: &mut Page) {
        page.line("The invitation is taken back; its link leads nowhere.");
    }
}

impl Show for InvitationList {
    fn show(&self, page: &mut Page) {
        if self.invitations.is_empty() {
            page.line("No invitation waits for an answer.");
            return;
        }
        let rows: Vec<_> = self
            .invitations
            .iter()
            .map(|one| {
                let label = one.label.clone().unwrap_or_default();
                [one.invite_id.to_string(), label, minute(one.made_at), minute(one.expires_at)]
            })
            .collect();
        page.table(["INVITATION", "LABEL", "MADE", "UNTIL"], &rows);
    }
}
