//! Alice, Bob and the shop: enrolled, connected and ready for their main job.

use crate::app::{Member, Watching};
use crate::figures::Samples;
use crate::stack::Stack;
use anyhow::{Context as _, Result, bail, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;
use std::future::Future;
use std::time::{Duration, Instant};
use vettid_client::command::CommandError;
use vettid_gateway::Gateway;
use vettid_gateway::view::Status;
use vettid_wire::connection::{AcceptInvitation, ConnectionRef, ConnectionState, ConnectionView, Decide, Invite};
use vettid_wire::data::SetField;
use vettid_wire::enrolment::{AccountCreated, CreateAccount, EnrolmentStarted};
use vettid_wire::event::{
    ConnectionAccept, ConnectionDecide, ConnectionInvite, ConnectionReview, DataSet, MessagingSend, MessagingText,
    Nothing,
};
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::SendText;
use vettid_wire::refusal::RefusalCode;

const FIELD: &str = "address";
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked for a state that other parties bring about.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The parties.
pub(crate) struct Parties {
    alice: Member,
    to_bob: ConnectionId,
    at_bob: Watching,
    shop: Shop,
    text: String,
}

/// The shop as its own program sees it.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    connection: ConnectionId,
    stored: Value,
}

impl Parties {
    /// Makes accounts and vaults, enrols the apps, stores a field of 1 KB, and connects everybody.
    pub(crate) async fn meet(stack: &Stack) -> Result<Self> {
        let (alice, bob) = (enrolled(stack, "alice").await?, enrolled(stack, "bob").await?);
        let stored = Value::String("x".repeat(1024));
        alice.command::<DataSet>(SetField { field: FIELD.into(), value: stored.clone() }).await?;
        alice.make_credential().await?;
        let to_bob = connect(&alice, &bob).await?;
        let connection = accept_contract(&alice, stack.gateway()).await?;
        let at_bob = bob.watch::<MessagingText>().await?;
        Ok(Self { alice, to_bob, at_bob, shop: Shop { connection, stored }, text: "y".repeat(1024) })
    }

    /// The shop.
    pub(crate) fn shop(&self) -> Shop {
        self.shop.clone()
    }

    /// Sends so many messages, each when the one before has arrived. Gives the times from the command, and from its answer.
    pub(crate) async fn messages(&mut self, times: usize) -> Result<(Samples, Samples)> {
        let (mut from_command, mut from_accepted) = (Vec::new(), Vec::new());
        for _ in 0..times {
            let request = SendText::new(self.to_bob, self.text.clone());
            self.alice.command::<MessagingSend>(request).await?;
            let (sent, arrived) = (self.alice.times(), self.at_bob.next().await?);
            from_command.push(arrived.saturating_duration_since(sent.left));
            from_accepted.push(arrived.saturating_duration_since(sent.came));
        }
        Ok((Samples::in_turn(from_command), Samples::in_turn(from_accepted)))
    }

    /// Adds so many secrets under one entry of the password: each is an operation of its own with the credential. The
    /// first one, which waits for the hash of the password, does not count. They are removed again. Gives the times from the
    /// proof to the confirmation, which end where the next one begins, and from the proof to the result.
    pub(crate) async fn secrets(&mut self, times: usize) -> Result<(Samples, Samples)> {
        let done = self.alice.add_secrets(times + 1).await?;
        self.alice.remove_secrets().await?;
        let pairs = done.iter().zip(done.iter().skip(1));
        let confirmed = pairs.map(|(before, after)| after.told.duration_since(before.told)).collect();
        let told = done.iter().skip(1).map(|one| one.told.duration_since(one.began)).collect();
        Ok((Samples::in_turn(confirmed), Samples::in_turn(told)))
    }

    /// Ends what listens.
    pub(crate) async fn part(self) {
        self.at_bob.end().await;
    }
}

impl Shop {
    /// Reads the field once.
    pub(crate) async fn read(&self, gateway: &Gateway) -> Result<()> {
        let view = gateway.request_data(self.connection, FIELD, "Delivery of order 1", PATIENCE).await?;
        match view.status {
            Status::Served { field, value, .. } if field == FIELD && value == self.stored => Ok(()),
            other => bail!("the field was not served as stored: {other:?}"),
        }
    }

    /// Reads the field so often, with `at_once` requests under way.
    pub(crate) async fn reads(&self, gateway: &Gateway, times: usize, at_once: usize) -> Result<Samples> {
        let begin = Instant::now();
        let tasks = (0..at_once).map(|_| {
            let (shop, gateway) = (self.clone(), gateway.clone());
            tokio::spawn(async move { shop.in_turn(&gateway, times / at_once).await })
        });
        let each: Result<Vec<_>> = try_join_all(tasks).await?.into_iter().collect();
        Ok(Samples::overlapping(each?.concat(), begin.elapsed()))
    }

    async fn in_turn(&self, gateway: &Gateway, times: usize) -> Result<Vec<Duration>> {
        let mut each = Vec::with_capacity(times);
        for _ in 0..times {
            let begin = Instant::now();
            self.read(gateway).await?;
            each.push(begin.elapsed());
        }
        Ok(each)
    }
}

/// An account, a vault, an app.
pub(crate) async fn enrolled(stack: &Stack, name: &str) -> Result<Member> {
    let operator = stack.operator();
    let account: AccountCreated = operator.post("/v1/accounts", None, &CreateAccount { name: name.into() }).await?;
    let token = Some(account.portal_token.as_str());
    let started: EnrolmentStarted = operator.post("/v1/vault/enroll/start", token, &Nothing {}).await?;
    Member::enrol(&stack.folder().join(name), stack.authority(), &started.qr).await
}

/// Alice invites Bob; both accept.
pub(crate) async fn connect(alice: &Member, bob: &Member) -> Result<ConnectionId> {
    let invited = alice.command::<ConnectionInvite>(Invite { label: None, life_seconds: None }).await?;
    let asked = bob.command::<ConnectionAccept>(AcceptInvitation { link: invited.link, in_person: false }).await?;
    let id = asked.connection_id;
    accept(alice, id).await?;
    accept(bob, id).await?;
    for member in [alice, bob] {
        reach(member, id, ConnectionState::Active).await?;
    }
    Ok(id)
}

/// The shop invites Alice, who accepts its contract.
async fn accept_contract(alice: &Member, gateway: &Gateway) -> Result<ConnectionId> {
    let link = gateway.invite().await?.link;
    let id = alice.command::<ConnectionAccept>(AcceptInvitation { link, in_person: false }).await?.connection_id;
    accept(alice, id).await?;
    reach(alice, id, ConnectionState::Active).await?;
    let active = || async {
        let seen = gateway.connection(id).await;
        Ok(seen.filter(|view| view.state == ConnectionState::Active).map(|_| ()))
    };
    until("the shop's connection is not active", active).await?;
    Ok(id)
}

async fn accept(member: &Member, id: ConnectionId) -> Result<()> {
    reach(member, id, ConnectionState::Review).await?;
    let decision = Decide { connection_id: id, accept: true, optional_fields: Vec::new() };
    let view = member.command::<ConnectionDecide>(decision).await?;
    ensure!(view.connection_id == id, "another connection was decided");
    Ok(())
}

/// Waits until a connection is in this state.
async fn reach(member: &Member, id: ConnectionId, state: ConnectionState) -> Result<ConnectionView> {
    let seen = || async {
        match member.command::<ConnectionReview>(ConnectionRef { connection_id: id }).await {
            Ok(view) => Ok(Some(view).filter(|view| view.state == state)),
            Err(error) if has_not_heard(&error) => Ok(None),
            Err(error) => Err(error),
        }
    };
    until("a connection does not get on", seen).await
}

/// The other side asked, and the message is still on its way.
fn has_not_heard(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<CommandError>();
    matches!(refused, Some(CommandError::Refused { code: RefusalCode::NotFound, .. }))
}

async fn until<T, F: Future<Output = Result<Option<T>>>>(or: &'static str, look: impl Fn() -> F) -> Result<T> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(anyhow::anyhow!(or)).context("waited too long")
}
