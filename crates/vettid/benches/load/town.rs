//! A thousand members, each connected with the two services and with a field of 1 KB, and how the services read it.

use crate::member::Member;
use crate::stack::Stack;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use vettid_gateway::Gateway;
use vettid_gateway::view::Status;
use vettid_wire::connection::{AcceptInvitation, ConnectionState, Decide};
use vettid_wire::data::SetField;
use vettid_wire::event::{ConnectionAccept, ConnectionDecide, DataSet};
use vettid_wire::id::ConnectionId;
use vettid_wire::refusal::RefusalCode;

const FIELD: &str = "address";
const PURPOSE: &str = "Delivery of order 1";
/// Members that are enrolled at once.
const AT_ONCE: usize = 6;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A service and its connections, one for each member.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    gateway: Gateway,
    connections: Arc<[ConnectionId]>,
    stored: Value,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The value, as stored.
    Served,
    /// The vault said that it is too often.
    TooOften,
}

/// Enrols so many members and connects each with every gateway; tells how far it is.
pub(crate) async fn settle(
    stack: &Arc<Stack>,
    gateways: &[Gateway],
    members: usize,
    tell: impl Fn(usize) -> Result<()>,
) -> Result<Vec<Service>> {
    let stored = Value::String("x".repeat(1024));
    let (room, mut moving) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for number in 0..members {
        let (room, stack, gateways, stored) = (room.clone(), stack.clone(), gateways.to_vec(), stored.clone());
        moving.spawn(async move {
            let _turn = room.acquire().await?;
            move_in(&stack, &gateways, number, stored).await
        });
    }
    let mut connections = vec![Vec::new(); gateways.len()];
    while let Some(moved) = moving.join_next().await {
        for (of_service, id) in connections.iter_mut().zip(moved??) {
            of_service.push(id);
        }
        tell(connections.first().map_or(0, Vec::len))?;
    }
    let services = gateways.iter().cloned().zip(connections);
    Ok(services.map(|(gateway, ids)| Service { gateway, connections: ids.into(), stored: stored.clone() }).collect())
}

/// One member: an app that is enrolled, stores the field, and accepts each contract.
async fn move_in(stack: &Stack, gateways: &[Gateway], number: usize, stored: Value) -> Result<Vec<ConnectionId>> {
    let name = format!("member-{number}");
    let member = Member::enrol(stack.operator(), stack.authority(), &name, &stack.folder().join(&name)).await;
    member.command::<DataSet>(SetField { field: FIELD.into(), value: stored }).await;
    let mut ids = Vec::new();
    for gateway in gateways {
        ids.push(accept(&member, gateway).await?);
    }
    Ok(ids)
}

async fn accept(member: &Member, gateway: &Gateway) -> Result<ConnectionId> {
    let link = gateway.invite().await?.link;
    let asked = AcceptInvitation { link, in_person: false };
    let connection_id = member.command::<ConnectionAccept>(asked).await.connection_id;
    member.reach(connection_id, ConnectionState::Review).await;
    let decision = Decide { connection_id, accept: true, optional_fields: Vec::new() };
    member.command::<ConnectionDecide>(decision).await;
    member.reach(connection_id, ConnectionState::Active).await;
    let begin = Instant::now();
    while gateway.connection(connection_id).await.is_none_or(|view| view.state != ConnectionState::Active) {
        ensure!(begin.elapsed() < PATIENCE, "the connection is never active at the service");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(connection_id)
}

impl Service {
    /// How many members it has.
    pub(crate) fn members(&self) -> usize {
        self.connections.len()
    }

    /// Reads the field of one member. Whatever is neither the stored value nor a limit of rate ends the run.
    pub(crate) async fn read(&self, member: usize) -> Result<Answer> {
        let id = *self.connections.get(member % self.connections.len()).context("nobody lives here")?;
        match self.gateway.request_data(id, FIELD, PURPOSE, PATIENCE).await?.status {
            Status::Served { field, value, .. } if field == FIELD && value == self.stored => Ok(Answer::Served),
            Status::Refused { code: RefusalCode::RateLimited, .. } => Ok(Answer::TooOften),
            other => bail!("the field was not served as stored: {other:?}"),
        }
    }

    /// Reads, and takes nothing for an answer but the value.
    pub(crate) async fn served(&self, member: usize) -> Result<()> {
        match self.read(member).await? {
            Answer::Served => Ok(()),
            Answer::TooOften => bail!("a member refused that it is too often"),
        }
    }
}
