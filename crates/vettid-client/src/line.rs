//! An open line with the vault: the held state, a connection and a session. Asks questions and takes answers.
//!
//! An answer counts only if it opens under the session, is new, and names the question by event id and body hash
//! (spec §3 R12). Everything else that arrives is passed over in silence.

use crate::app::{App, ConnectionOf, Ports};
use crate::clock::Clock;
use crate::command::CommandError;
use crate::intent::{self, Intent, Outcome, Settled};
use crate::random;
use crate::state::{self, Member, Opened};
use crate::store::Store;
use crate::transport::{Connection, Subscription};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use vettid_core::channel::in_reply_to_canonical;
use vettid_wire::envelope::{Answer, Content, InReplyTo};
use vettid_wire::event::{EventRow, Row};
use vettid_wire::id::EventId;
use vettid_wire::json;
use vettid_wire::refusal::{Refusal, RefusalCode};
use vettid_wire::session::is_open_to_limited;
use vettid_wire::subject::{Pattern, Subject};
use vettid_wire::time::Timestamp;

/// How long each try of a question waits. A vault that does not know the session is silent, so after the second try a
/// new session is made.
const WAITS: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(5), Duration::from_secs(8)];
/// Silent tries after which the session is given up.
const TRIES_OF_A_SESSION: usize = 2;

/// An open line.
pub(crate) struct Line<'a, P: Ports> {
    pub(crate) app: &'a App<P>,
    pub(crate) hold: <P::Store as Store>::Hold,
    pub(crate) member: Member,
    pub(crate) connection: ConnectionOf<P>,
    /// Whether the duties that come before the first question are done.
    settled: bool,
    /// Whether the session was made by this line.
    pub(crate) session_is_fresh: bool,
    /// Whether the credential was renewed by this line; its own connection stands on the old one.
    pub(crate) credential_is_fresh: bool,
    /// How far the vault's clock was ahead of ours in its last answer, in milliseconds.
    pub(crate) vault_ahead_ms: i64,
}

impl<'a, P: Ports> Line<'a, P> {
    pub(crate) fn new(
        app: &'a App<P>,
        hold: <P::Store as Store>::Hold,
        member: Member,
        connection: ConnectionOf<P>,
    ) -> Self {
        Self {
            app,
            hold,
            member,
            connection,
            settled: false,
            session_is_fresh: false,
            credential_is_fresh: false,
            vault_ahead_ms: 0,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.app.ports.clock().now()
    }

    /// Closes the connection and lets go of the state.
    pub(crate) async fn close(self) {
        self.connection.close().await;
    }

    pub(crate) fn save(&mut self) -> Result<(), CommandError> {
        Ok(state::save_member(&mut self.hold, &self.member)?)
    }

    /// Carries out one command of the owner.
    pub(crate) async fn ask<R: EventRow>(&mut self, request: &R::Request) -> Result<R::Reply, CommandError> {
        self.ask_by_id::<R>(request).await.map(|(_, reply)| reply)
    }

    /// Carries out one command of the owner, and names the event that was answered.
    pub(crate) async fn ask_by_id<R: EventRow>(
        &mut self,
        request: &R::Request,
    ) -> Result<(EventId, R::Reply), CommandError> {
        let mut question = self.question(&R::ROW, request)?;
        if let Some(intent) = self.member.intent.as_ref().filter(|intent| intent.asks_the_same(&question)) {
            question = intent.clone();
        }
        self.settle(&question).await?;
        let asked_too_late = !question.is_alive(self.now());
        let mut reply = self.put_logged::<R>(&question).await;
        // The earlier try had no effect and its time is over, so this is a new command.
        if asked_too_late && matches!(reply, Err(CommandError::Refused { code: RefusalCode::Expired, .. })) {
            question = self.question(&R::ROW, request)?;
            reply = self.put_logged::<R>(&question).await;
        }
        Ok((question.event_id, reply?))
    }

    /// Puts a question that stays out of the log: its caller keeps it, or asking twice does no harm.
    pub(crate) async fn ask_unlogged<R: EventRow>(&mut self, question: &Intent) -> Result<R::Reply, CommandError> {
        self.settle(question).await?;
        self.put::<R>(question).await
    }

    /// A question that is asked beside the member's own, without log.
    pub(crate) async fn ask_aside<R: EventRow>(&mut self, request: &R::Request) -> Result<R::Reply, CommandError> {
        let question = self.question(&R::ROW, request)?;
        self.put::<R>(&question).await
    }

    /// A new question, with an event id of its own.
    pub(crate) fn question(&self, row: &Row, request: &impl Serialize) -> Result<Intent, CommandError> {
        let bytes = json::canonical(request).map_err(CommandError::Request)?;
        if bytes.len() > row.cap_bytes {
            return Err(CommandError::TooLarge { cap_bytes: row.cap_bytes });
        }
        let body = json::parse_large(&bytes).map_err(CommandError::Request)?;
        let now = self.now();
        let event_id = EventId::v7(now, random::bytes(&mut self.app.ports.random()));
        let InReplyTo { body_hash, .. } = in_reply_to_canonical(event_id, &bytes);
        let expires_at = row.within_ms.map(|within_ms| now.plus_ms(within_ms));
        Ok(Intent { event_id, event_type: row.event_type(), body, body_hash, started_at: now, expires_at })
    }

    /// The duties that come before a question: a fresh credential, and the outcome of an earlier command.
    async fn settle(&mut self, question: &Intent) -> Result<(), CommandError> {
        if !self.settled {
            self.settled = true;
            let renewed = self.renew_credential().await;
            self.or_limited(renewed, &question.event_type)?;
        }
        let earlier = self.member.intent.clone().filter(|intent| intent.event_id != question.event_id);
        let Some(earlier) = earlier else {
            return Ok(());
        };
        if is_open_to_limited(&question.event_type) {
            self.require_session_for(&question.event_type).await?;
            if self.is_limited() {
                // It waits until the limit is lifted.
                return Ok(());
            }
        }
        let outcome = match self.exchange(&earlier).await {
            Ok(Answer::Success(_)) => Outcome::CarriedOut,
            Ok(Answer::Refused(Refusal { code })) => Outcome::Refused(code),
            Err(CommandError::Answer { .. }) => Outcome::Unreadable,
            Err(error) => return Err(error),
        };
        self.forget(earlier.event_id)?;
        let Intent { event_type, started_at, .. } = earlier;
        self.app.tell_settled(Settled { event_type, started_at, outcome });
        Ok(())
    }

    /// Logs a question with effects before it is sent, and takes it out of the log once its outcome is known.
    async fn put_logged<R: EventRow>(&mut self, question: &Intent) -> Result<R::Reply, CommandError> {
        if intent::has_effect(&R::ROW) {
            self.member.intent = Some(question.clone());
        }
        let reply = self.put::<R>(question).await;
        if matches!(reply, Ok(_) | Err(CommandError::Refused { .. } | CommandError::Answer { .. })) {
            self.forget(question.event_id)?;
        }
        reply
    }

    fn forget(&mut self, event_id: EventId) -> Result<(), CommandError> {
        match self.member.intent.take_if(|intent| intent.event_id == event_id) {
            Some(_) => self.save(),
            None => Ok(()),
        }
    }

    fn is_logged(&self, question: &Intent) -> bool {
        self.member.intent.as_ref().is_some_and(|intent| intent.event_id == question.event_id)
    }

    /// Puts a question and reads its answer as the row's reply.
    async fn put<R: EventRow>(&mut self, question: &Intent) -> Result<R::Reply, CommandError> {
        reply_of::<R>(self.exchange(question).await?)
    }

    /// Sends a question until it is answered, within bounds: each try under the same event id, sealed anew.
    async fn exchange(&mut self, question: &Intent) -> Result<Answer<Value>, CommandError> {
        let event_type = &question.event_type;
        self.require_session_for(event_type).await.map_err(|error| self.silence_of(error, question))?;
        self.exchange_in_session(question).await
    }

    /// As [`Self::ask_aside`], in the session as it is, be it limited.
    pub(crate) async fn ask_in_session<R: EventRow>(&mut self, request: &R::Request) -> Result<R::Reply, CommandError> {
        let question = self.question(&R::ROW, request)?;
        let answer = self.exchange_in_session(&question).await?;
        reply_of::<R>(answer)
    }

    async fn exchange_in_session(&mut self, question: &Intent) -> Result<Answer<Value>, CommandError> {
        let answers = Subject::ForApp(self.member.guid, question.event_type.clone(), question.event_id);
        let mut answers = self.connection.subscribe(&Pattern::One(answers)).await?;
        for (tries, wait) in WAITS.into_iter().enumerate() {
            if tries == TRIES_OF_A_SESSION && !self.session_is_fresh {
                let started = self.start_session().await;
                let started = self.or_limited(started, &question.event_type);
                started.map_err(|error| self.silence_of(error, question))?;
            }
            self.send(question).await?;
            let answer = tokio::time::timeout(wait, self.receive(&mut answers, question)).await;
            if let Ok(content) = answer {
                let event_type = question.event_type.clone();
                return json::from_value(content?.body).map_err(|source| CommandError::Answer { event_type, source });
            }
        }
        Err(self.silence(question))
    }

    /// A vault that is silent to a handshake is silent to the question behind it.
    fn silence_of(&self, error: CommandError, question: &Intent) -> CommandError {
        if matches!(error, CommandError::NoAnswer { .. }) { self.silence(question) } else { error }
    }

    fn silence(&self, question: &Intent) -> CommandError {
        CommandError::NoAnswer { event_type: question.event_type.clone(), has_effect: self.is_logged(question) }
    }

    /// Seals, stores what has to be stored first, and publishes.
    async fn send(&mut self, question: &Intent) -> Result<(), CommandError> {
        let (now, rng) = (self.now(), &mut self.app.ports.random());
        let Intent { event_id, event_type, body, expires_at, .. } = question;
        let to_incarnation = self.member.vault.incarnation;
        let content = Content { body, to_incarnation, in_reply_to: None, expires_at: *expires_at };
        let subject = Subject::ForVault(self.member.guid, event_type.clone());
        let session = self.member.session.as_mut().ok_or(CommandError::LimitedSession)?;
        let sealed = session.channel.seal(now, rng, &subject, *event_id, event_type, &content)?;
        session.sent += 1;
        if session.channel.must_store() || self.is_logged(question) {
            self.save()?;
            self.member.session.iter_mut().for_each(|session| session.channel.stored());
        }
        Ok(self.connection.publish(&subject, &sealed).await?)
    }

    /// Waits for the answer; whatever else arrives is passed over.
    async fn receive(
        &mut self,
        answers: &mut <ConnectionOf<P> as Connection>::Subscription,
        question: &Intent,
    ) -> Result<Content<Value>, CommandError> {
        let wanted = InReplyTo { event_id: question.event_id, body_hash: question.body_hash.clone() };
        loop {
            let delivery = answers.next().await?;
            let Some(Opened { content, at }) = self.member.open(&delivery) else {
                continue;
            };
            self.vault_ahead_ms = at.since_ms(self.now());
            if content.in_reply_to.as_ref() == Some(&wanted) {
                return Ok(content);
            }
        }
    }

    /// Lets go of the state and keeps the connection.
    pub(crate) fn into_connection(self) -> ConnectionOf<P> {
        self.connection
    }
}

/// Reads an answer as the row's reply.
fn reply_of<R: EventRow>(answer: Answer<Value>) -> Result<R::Reply, CommandError> {
    let event_type = R::ROW.event_type();
    match answer {
        Answer::Success(value) => json::from_value(value).map_err(|source| CommandError::Answer { event_type, source }),
        Answer::Refused(Refusal { code }) => Err(CommandError::Refused { event_type, code }),
    }
}
