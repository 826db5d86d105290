//! Control commands of services: make a vault, make an enrolment code, tell how the host is. Each is checked against
//! the control key, its time and its sequence, carried out once, and its result kept for repetitions.

use super::actor::Work;
use super::{Host, HostFailed, clock};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use vettid_core::control::{
    ControlJournal, ControlKey, Received, Receiver, VAULT_DEPLOY, VAULT_ENROLL, VAULT_RECOVER, VAULT_RECOVERY_DECIDE,
};
use vettid_crypto::signature::Verified;
use vettid_nats::connection::{Incoming, Subscription};
use vettid_wire::control::{ControlCommand, ControlOutcome, ControlResult};
use vettid_wire::enrolment::{DeployVault, EnrolVault};
use vettid_wire::id::{HostId, MemberId};
use vettid_wire::json as vjson;
use vettid_wire::recovery::{DecideRecovery, RecoverVault};
use vettid_wire::subject::Pattern;

const FILE: &str = "control";

/// The commands that reach a host.
pub(super) struct Control {
    keys: Vec<ControlKey>,
    host_id: HostId,
    journal: ControlJournal,
    enclave: Subscription,
    user: Subscription,
    global: Subscription,
}

impl Control {
    pub(super) async fn start(host: &Host) -> Result<Self, HostFailed> {
        let journal = match host.loader.storage_keys.kept(FILE)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| HostFailed::Control(error.to_string()))?,
            None => ControlJournal::default(),
        };
        let host_id = host.config.host_id.clone();
        Ok(Self {
            keys: vec![ControlKey::of_services(host.control_key)],
            journal,
            enclave: host.subscriber.subscribe(&Pattern::ControlEnclave(Some(host_id.clone()))).await?,
            user: host.subscriber.subscribe(&Pattern::ControlUser(None)).await?,
            global: host.subscriber.subscribe(&Pattern::ControlGlobal).await?,
            host_id,
        })
    }

    /// The next command; waits for ever once the connection is closed.
    pub(super) async fn next(&mut self) -> Incoming {
        loop {
            let incoming = tokio::select! {
                incoming = self.enclave.next() => incoming,
                incoming = self.user.next() => incoming,
                incoming = self.global.next() => incoming,
            };
            match incoming {
                Some(Ok(incoming)) => return incoming,
                Some(Err(denial)) => tracing::error!(%denial, "control commands cannot be heard"),
                None => std::future::pending().await,
            }
        }
    }

    /// Checks a command, carries it out, keeps its result, and answers.
    pub(super) async fn carry_out(&mut self, host: &mut Host, incoming: Incoming) -> Result<(), HostFailed> {
        let result = match self.receive(host, &incoming) {
            Some(Received::Execute(command)) => self.execute(host, &command).await?,
            Some(Received::Repeat(result)) => result,
            Some(Received::NotHeld(command_id)) => {
                ControlResult { command_id, outcome: ControlOutcome::NotHoldingUser }
            }
            None => return Ok(()),
        };
        let Some(reply) = incoming.reply else {
            return Ok(());
        };
        let bytes = vjson::canonical(&result).map_err(|error| HostFailed::Control(error.to_string()))?;
        // Services that did not get the answer send the command again.
        if let Err(error) = reply.send(bytes.into()).await {
            tracing::warn!(%error, "the answer to a command was not sent");
        }
        Ok(())
    }

    fn receive(&self, host: &Host, incoming: &Incoming) -> Option<Received> {
        let holds = |member: MemberId| {
            let is_down = host.broken.contains_key(&member) || host.locked().contains(&member);
            is_down || host.vaults.contains_key(&member) || host.coming_back.contains(&member)
        };
        let receiver = Receiver { host: &self.host_id, holds: &holds, keys: &self.keys };
        let received = receiver.receive(clock::now(), &self.journal, &incoming.subject, &incoming.payload);
        received
            .inspect_err(
                |refused| tracing::warn!(%refused, subject = %incoming.subject, "a control command was refused"),
            )
            .ok()
    }

    async fn execute(
        &mut self,
        host: &mut Host,
        verified: &Verified<ControlCommand>,
    ) -> Result<ControlResult, HostFailed> {
        let command = verified.get();
        tracing::info!(command = %command.command, command_id = %command.command_id, "control command");
        let outcome = match command.command.as_str() {
            VAULT_DEPLOY => deploy(host, command).await?,
            VAULT_ENROLL => enrol(host, command).await,
            VAULT_RECOVER => recover(host, command).await,
            VAULT_RECOVERY_DECIDE => decide_recovery(host, command).await,
            "health.request" => ControlOutcome::Done(json!({
                "host_id": self.host_id,
                "vaults": host.vaults.len(),
                "locked": host.locked().len(),
                "broken": host.broken,
                "reloads": host.reloads,
            })),
            _ => ControlOutcome::Refused,
        };
        let result = ControlResult { command_id: command.command_id, outcome };
        let journal = self
            .journal
            .done(verified, result.clone(), clock::now())
            .map_err(|error| HostFailed::Control(error.to_string()))?;
        let bytes = serde_json::to_vec(&journal).map_err(|error| HostFailed::Control(error.to_string()))?;
        host.loader.storage_keys.keep(FILE, &bytes, &mut UnwrapErr(SysRng))?;
        self.journal = journal;
        Ok(result)
    }
}

async fn deploy(host: &mut Host, command: &ControlCommand) -> Result<ControlOutcome, HostFailed> {
    let Some(asked) = params::<DeployVault>(command) else {
        return Ok(ControlOutcome::Refused);
    };
    if host.broken.contains_key(&asked.guid) {
        return Ok(ControlOutcome::Refused);
    }
    match host.deploy(asked.guid).await {
        Ok(()) => {}
        Err(error) if error.is_of_one_vault() => {
            host.give_up(asked.guid, &error).await?;
            return Ok(ControlOutcome::Refused);
        }
        Err(error) => return Err(error),
    }
    Ok(ask(host, asked.guid, Work::Public).await)
}

async fn enrol(host: &Host, command: &ControlCommand) -> ControlOutcome {
    match params::<EnrolVault>(command) {
        Some(asked) => ask(host, asked.guid, |answer| Work::Enrol(asked, answer)).await,
        None => ControlOutcome::Refused,
    }
}

async fn recover(host: &Host, command: &ControlCommand) -> ControlOutcome {
    match params::<RecoverVault>(command) {
        Some(asked) => ask(host, asked.enrol.guid, |answer| Work::Recover(asked, answer)).await,
        None => ControlOutcome::Refused,
    }
}

/// The vault looks at the words as they were signed.
async fn decide_recovery(host: &Host, command: &ControlCommand) -> ControlOutcome {
    match params::<DecideRecovery>(command) {
        Some(asked) => ask(host, asked.guid, |answer| Work::DecideRecovery(command.params.clone(), answer)).await,
        None => ControlOutcome::Refused,
    }
}

fn params<T: DeserializeOwned>(command: &ControlCommand) -> Option<T> {
    vjson::from_value(command.params.clone()).ok()
}

/// Asks a vault of this host.
async fn ask<T: Serialize>(
    host: &Host,
    member: MemberId,
    work: impl FnOnce(oneshot::Sender<Option<T>>) -> Work,
) -> ControlOutcome {
    let Some(vault) = host.vaults.get(&member) else {
        // One that is here and does not run must not be made elsewhere.
        let is_down = host.broken.contains_key(&member) || host.locked().contains(&member);
        let is_here = is_down || host.coming_back.contains(&member);
        return if is_here { ControlOutcome::Refused } else { ControlOutcome::NotHoldingUser };
    };
    let (answer, answered) = oneshot::channel();
    if vault.work.send(work(answer)).await.is_err() {
        return ControlOutcome::Refused;
    }
    let value: Option<Value> = answered.await.ok().flatten().and_then(|value| serde_json::to_value(value).ok());
    value.map_or(ControlOutcome::Refused, ControlOutcome::Done)
}
