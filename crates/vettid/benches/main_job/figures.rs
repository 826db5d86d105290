//! Samples and what is told of them: percentiles and rates.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// Sealing and opening 1 KB.
    SealOpen,
    /// A message of 128 bytes to another user, and one back.
    RawRequest,
    /// 1 KB into a file stream, until it is acknowledged.
    RawPublish,
    /// The same with 32 under way.
    RawPublish32,
    /// A service reads a field of 1 KB.
    DataRequest,
    /// The same with 32 under way.
    DataRequest32,
    /// From the owner's command to the other owner's app.
    MessageFromCommand,
    /// From the answer to the owner's command until the other vault has the message.
    MessageFromAccepted,
    /// 1 KB into a file stream, until it is acknowledged and a durable consumer has it.
    RawMessage,
    /// The same with 32 under way, half of them in the other direction.
    RawMessage32,
    /// Messages of 16 pairs of members in both directions at once, so with 32 under way.
    Messages32,
    /// One operation with the credential, the app's durable writes included, without hashing the password.
    CredentialUse,
    /// The same until its result is told; the confirmation is left out.
    CredentialResult,
}

impl Work {
    /// All of it, in the order of the table.
    pub(crate) const ALL: [Self; 13] = [
        Self::SealOpen,
        Self::RawRequest,
        Self::RawPublish,
        Self::RawPublish32,
        Self::DataRequest,
        Self::DataRequest32,
        Self::RawMessage,
        Self::RawMessage32,
        Self::MessageFromCommand,
        Self::MessageFromAccepted,
        Self::Messages32,
        Self::CredentialUse,
        Self::CredentialResult,
    ];

    /// Name on the command line and in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SealOpen => "seal_open",
            Self::RawRequest => "raw_request",
            Self::RawPublish => "raw_publish",
            Self::RawPublish32 => "raw_publish_32",
            Self::DataRequest => "data_request",
            Self::DataRequest32 => "data_request_32",
            Self::MessageFromCommand => "message",
            Self::MessageFromAccepted => "message_from_accepted",
            Self::RawMessage => "raw_message",
            Self::RawMessage32 => "raw_message_32",
            Self::Messages32 => "messages_32",
            Self::CredentialUse => "credential_use",
            Self::CredentialResult => "credential_result",
        }
    }

    /// Name in the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::SealOpen => "seal + open, 1 KB",
            Self::RawRequest => "raw core request and reply, 128 B",
            Self::RawPublish => "raw publish with ack, file, synced, 1 KB",
            Self::RawPublish32 => "  the same, 32 under way",
            Self::DataRequest => "data.request served, field of 1 KB",
            Self::DataRequest32 => "  the same, 32 under way",
            Self::MessageFromCommand => "message, Alice's command to Bob's app",
            Self::MessageFromAccepted => "message, accepted to stored by Bob's vault",
            Self::RawMessage => "raw message, ack and durable consumer, 1 KB",
            Self::RawMessage32 => "  the same, both ways, 32 under way",
            Self::Messages32 => "  command to app, both ways, 32 under way",
            Self::CredentialUse => "credential.use, proof to confirmation",
            Self::CredentialResult => "credential.use, proof to result",
        }
    }

    /// The work of this name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|work| work.name() == name)
            .with_context(|| format!("no such work; known are {}", known()))
    }
}

/// Samples of one work, and the time that all of them took together.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples {
    each: Vec<Duration>,
    together: Duration,
    /// What all processors worked meanwhile, where that was looked at.
    busy: Duration,
}

impl Samples {
    /// Samples that were taken one after the other.
    pub(crate) fn in_turn(each: Vec<Duration>) -> Self {
        Self { together: each.iter().sum(), each, busy: Duration::ZERO }
    }

    /// Samples that overlap and took this long together.
    pub(crate) fn overlapping(each: Vec<Duration>, together: Duration) -> Self {
        Self { each, together, busy: Duration::ZERO }
    }

    /// The same, during which all processors worked so long.
    pub(crate) fn busy(self, busy: Duration) -> Self {
        Self { busy, ..self }
    }

    /// Adds those of another round.
    pub(crate) fn add(&mut self, other: Self) {
        self.each.extend(other.each);
        self.together += other.together;
        self.busy += other.busy;
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.each.len()
    }

    /// The sample below which this share of all lies, in milliseconds.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.each.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list"
        )]
        let place = (last as f64 * share).round() as usize;
        sorted.get(place).map_or(f64::NAN, |sample| sample.as_secs_f64() * 1000.0)
    }

    /// Done per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.per(self.together)
    }

    /// Done per second of work of one core, all parts and the broker together, where that was looked at.
    pub(crate) fn per_core_second(&self) -> Option<f64> {
        (!self.busy.is_zero()).then(|| self.per(self.busy))
    }

    fn per(&self, time: Duration) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let count = self.each.len() as f64;
        count / time.as_secs_f64()
    }
}

/// The samples of a run by work.
#[derive(Debug, Default)]
pub(crate) struct Collected(BTreeMap<Work, Samples>);

impl Collected {
    /// Adds samples of one round.
    pub(crate) fn add(&mut self, work: Work, samples: Samples) {
        self.0.entry(work).or_default().add(samples);
    }

    /// Those of one work, if it was measured.
    pub(crate) fn of(&self, work: Work) -> Option<&Samples> {
        self.0.get(&work)
    }
}
