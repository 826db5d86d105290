//! What an event of a peer has to pass before anything happens: row, size, time, and for services the contract. Refuses
//! whatever no rule names.

use super::outcome::Refused;
use super::{Arrived, MAX_SKEW_MS};
use crate::authorisation;
use crate::connection::{self, Connection};
use crate::failure::Failure;
use crate::login;
use crate::profile::sync;
use crate::service::batch::{self, Decisions};
use crate::service::message;
use crate::step::Step;
use crate::stored;
use serde_json::Value;
use std::sync::Arc;
use vettid_core::contract::{self, AcceptedContract, Buckets, Reading};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::signature::{self, Context as SignatureContext};
use vettid_wire::contract::{Permission, Tier};
use vettid_wire::data::DataRequest;
use vettid_wire::event::{self, EventRow, Lane, Row};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::{auth, json as vjson};

/// What an event may do that passed.
pub(super) struct Admitted {
    /// Its row.
    pub(super) row: &'static Row,
    /// The tier of the one field that it names.
    pub(super) tier: Option<Tier>,
    /// What the contract said about each field, where it names several.
    pub(super) fields: Decisions,
}

impl From<(&'static Row, Option<Tier>)> for Admitted {
    fn from((row, tier): (&'static Row, Option<Tier>)) -> Self {
        Self { row, tier, fields: Decisions::new() }
    }
}

/// Row, size, time and contract.
pub(super) fn admit(
    step: &Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    buckets: &mut Buckets,
) -> Result<Result<Admitted, Refused>, Failure> {
    let Some(row) = event::find(arrived.lane, &arrived.event_type) else {
        return Ok(Err(RefusalCode::UnsupportedEvent.into()));
    };
    if arrived.body_bytes > row.cap_bytes {
        return Ok(Err(RefusalCode::InvalidRequest.into()));
    }
    if is_late(step, row, arrived) {
        return Ok(Err(RefusalCode::Expired.into()));
    }
    if arrived.lane != Lane::Service || is_built_in(row) {
        return Ok(Ok((row, None).into()));
    }
    if batch::is_one(&arrived.event_type) {
        let decided = several(step, connection, arrived, buckets)?;
        return Ok(decided.map(|fields| Admitted { row, tier: None, fields }));
    }
    Ok(under_contract(step, connection, arrived, buckets)?.map(|tier| (row, tier).into()))
}

fn is_built_in(row: &Row) -> bool {
    matches!(
        row.name,
        "connection.ready"
            | "connection.rekey"
            | "connection.credential"
            | "connection.revoked"
            | "contract.offered"
            | "contract.countersigned"
            | "profile.changed"
            | "event.refused"
            | "login.finished"
    )
}

fn is_late(step: &Step<'_>, row: &Row, arrived: &Arrived) -> bool {
    let expired = arrived.content.expires_at.is_some_and(|at| at < step.now);
    let Some(within_ms) = row.within_ms else {
        return expired;
    };
    let age_ms = step.now.since_ms(arrived.sealed_at);
    expired || age_ms > within_ms + MAX_SKEW_MS || age_ms < -MAX_SKEW_MS
}

/// The contract in force, if it is not frozen.
fn in_force(step: &Step<'_>, connection: &Connection) -> Result<Result<Arc<AcceptedContract>, RefusalCode>, Failure> {
    if let Err(code) = crate::contract::check_not_frozen(&step.draft, connection.connection_id)? {
        return Ok(Err(code));
    }
    Ok(connection::shared_contract(&step.draft, connection.connection_id)?.ok_or(RefusalCode::NotInContract))
}

/// Several fields: each is decided, and only another contract fails all of them.
fn several(
    step: &Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    buckets: &mut Buckets,
) -> Result<Result<Decisions, Refused>, Failure> {
    let accepted = match in_force(step, connection)? {
        Ok(accepted) => accepted,
        Err(code) => return Ok(Err(code.into())),
    };
    let request = match batch::open(connection, &arrived.content.body) {
        Ok(request) => request,
        Err(code) => return Ok(Err(code.into())),
    };
    let spent = connection::spent(&step.draft, connection.connection_id)?;
    let fields: Vec<_> = request.fields.iter().map(|asked| (asked.field.as_str(), asked.retention)).collect();
    let decided = contract::read_fields(step.now, &accepted, (buckets, &spent), &request.contract_hash, &fields);
    Ok(decided.map_err(Refused::from))
}

fn under_contract(
    step: &Step<'_>,
    connection: &Connection,
    arrived: &Arrived,
    buckets: &mut Buckets,
) -> Result<Result<Option<Tier>, Refused>, Failure> {
    let accepted = match in_force(step, connection)? {
        Ok(accepted) => accepted,
        Err(code) => return Ok(Err(code.into())),
    };
    if arrived.event_type == event::DataRequest::ROW.event_type() {
        let Ok(asked) = vjson::from_ref::<DataRequest>(&arrived.content.body) else {
            return Ok(Err(RefusalCode::InvalidRequest.into()));
        };
        let own = connection.service_id() == Some(&asked.service_id) && asked.connection_id == connection.connection_id;
        if !own {
            return Ok(Err(RefusalCode::NotAllowed.into()));
        }
        let spent = connection::spent(&step.draft, connection.connection_id)?;
        let reading = Reading { quoted_hash: &asked.contract_hash, field: &asked.field, retention: asked.retention };
        let grant = contract::read_field(step.now, &accepted, (buckets, &spent), reading);
        let tier = accepted.contract.field(&asked.field).map(|field| field.tier);
        return Ok(grant.map(|_| tier).map_err(Refused::from));
    }
    if arrived.event_type == event::AuthChallenge::ROW.event_type() {
        let challenge = match admit_login(step, connection, (&accepted, buckets), &arrived.content.body) {
            Ok(challenge) => challenge,
            Err(refused) => return Ok(Err(refused)),
        };
        return Ok(login::assess(step, &challenge)?.map(|_| None).map_err(Refused::from));
    }
    if arrived.event_type == event::ServiceMessageSend::ROW.event_type() {
        let (message, is_known) = match message::open(step, connection, &arrived.content.body)? {
            Ok(opened) => opened,
            Err(code) => return Ok(Err(code.into())),
        };
        let sent = contract::send_message(step.now, &accepted, buckets, &message.contract_hash, is_known);
        return Ok(sent.map(|()| None).map_err(Refused::from));
    }
    if stored::service::is_one(&arrived.event_type) {
        let asked = match stored::service::read(step.now, &arrived.event_type, &arrived.content.body) {
            Ok(asked) => asked,
            Err(code) => return Ok(Err(code.into())),
        };
        let wanted = stored::service::wanted(&step.draft, connection.connection_id, &asked)?;
        let granted = contract::storage::on_stored(step.now, &accepted, buckets, asked.contract_hash(), wanted);
        return Ok(granted.map(|()| Some(Tier::OnDemand)).map_err(Refused::from));
    }
    if authorisation::is_one(&arrived.event_type) {
        let asked = (&arrived.event_type, &arrived.content.body);
        return Ok(authorisation::admit(step, connection, (&accepted, buckets), asked)?
            .map(|()| None)
            .map_err(Refused::from));
    }
    Ok(Err(RefusalCode::UnsupportedEvent.into()))
}

fn admit_login(
    step: &Step<'_>,
    connection: &Connection,
    (accepted, buckets): (&AcceptedContract, &mut Buckets),
    body: &Value,
) -> Result<auth::AuthChallenge, Refused> {
    let quoted_hash = crate::contract::quoted_hash(body)?;
    contract::act(step.now, accepted, buckets, &quoted_hash, Permission::RequestAuthentication)?;
    sync::check_fresh(&step.draft, step.now, connection)?;
    Ok(check_challenge(connection, body)?)
}

/// A login request is signed by the service and names this very connection.
fn check_challenge(connection: &Connection, body: &Value) -> Result<auth::AuthChallenge, RefusalCode> {
    let peer = connection.peer.as_ref().ok_or(RefusalCode::NotConnected)?;
    let key = VerifyingKey::from_typed(&peer.signing_key).map_err(|_| RefusalCode::NotAllowed)?;
    let opened = signature::open::<auth::AuthChallenge>(SignatureContext::ServiceRequest, &key, body.clone());
    let challenge = opened.map_err(|_| RefusalCode::InvalidRequest)?.into_inner();
    let own =
        connection.service_id() == Some(&challenge.service_id) && challenge.connection_id == connection.connection_id;
    if own { Ok(challenge) } else { Err(RefusalCode::NotAllowed) }
}
