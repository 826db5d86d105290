//! First contact of an app, and its later sessions: handshakes in the owner's lane, before any envelope. Whoever is not
//! the holder of an enrolment code or the enrolled app gets no answer.

use crate::app::{self, App, Resume, Session};
use crate::channels::ChannelName;
use crate::failure::Failure;
use crate::feed::Note;
use crate::outbox::Route;
use crate::profile;
use crate::recovery;
use crate::send;
use crate::step::Step;
use serde_json::json;
use vettid_core::channel::Channel;
use vettid_core::handshake::{Answer, InvitationTerms, Outcome, Peer, Phase, Reaction, Responder, SessionKeys, invite};
use vettid_crypto::nats::key::UserPublic;
use vettid_crypto::suite::x25519;
use vettid_wire::audit::Outcome as AuditOutcome;
use vettid_wire::enrolment::{EnrolVault, EnrolmentCode};
use vettid_wire::event::{AppBootstrap, Delivery, EventRow, EventType};
use vettid_wire::feed::{Outcome as FeedOutcome, Severity};
use vettid_wire::handshake::{EnrolmentPointer, HandshakeMessage, InvitationKind, Role, SpaceUri, Step as Message};
use vettid_wire::id::{HandshakeId, KeyId};
use vettid_wire::json as vjson;
use vettid_wire::session::HandshakeEvent;
use vettid_wire::subject::Subject;

/// Makes an enrolment code. A vault takes one app; while it has one, it makes no further code.
pub fn enrolment_code(step: &mut Step<'_>, asked: &EnrolVault) -> Result<EnrolmentCode, Failure> {
    if asked.guid != step.identity.guid || app::get(&step.draft)?.is_some() {
        return Err(Failure::Retry);
    }
    Ok(make_code(step, asked)?.0)
}

/// Makes the code and keeps what opens its handshake; the name of that.
pub(crate) fn make_code(step: &mut Step<'_>, asked: &EnrolVault) -> Result<(EnrolmentCode, KeyId), Failure> {
    let terms = InvitationTerms {
        space: SpaceUri::new(step.endpoint, step.identity.guid)?,
        expires_at: asked.expires_at,
        inviter_hint: "Your vault".into(),
        enrolment: Some(EnrolmentPointer { services_url: asked.services_url.clone(), session_id: asked.session_id }),
    };
    let made = invite(step.now, step.rng, &step.identity.party(), InvitationKind::Enroll, terms)?;
    let mut invitation = made.invitation;
    invitation.token = asked.token.clone();
    let prekey = x25519::PublicKey::from_bytes(invitation.invite_key).key_id();
    step.draft.put(prekey_key(&prekey), &made.responder)?;
    let event_type = AppBootstrap::ROW.event_type();
    step.audit("control", &event_type, AuditOutcome::Success, json!({"session_id": asked.session_id}))?;
    Ok((EnrolmentCode { qr: invitation.to_link(&format!("{}/enroll", asked.services_url))? }, prekey))
}

const ENROLLING: &str = "enrolling/";
const UNDER_WAY: &str = "app_handshake/";
/// Most handshakes of apps that are kept; each ends by itself after ten minutes.
const MAX_UNDER_WAY: usize = 64;

fn prekey_key(prekey: &KeyId) -> String {
    format!("{ENROLLING}{prekey}")
}

fn session_key(hs_id: HandshakeId) -> String {
    format!("{UNDER_WAY}{hs_id}")
}

/// Forgets codes and handshakes that are past their time. The sessions that they made stand by themselves.
pub fn expire(step: &mut Step<'_>) -> Result<(), Failure> {
    for prefix in [ENROLLING, UNDER_WAY] {
        for key in step.draft.keys(prefix, usize::MAX) {
            let over = step.draft.shared::<Responder>(&key)?.is_some_and(|responder| step.now > responder.expires_at());
            if over {
                step.draft.remove(&key);
            }
        }
    }
    Ok(())
}

/// Forgets a code that nobody used.
pub(crate) fn forget_code(step: &mut Step<'_>, prekey: &KeyId) {
    step.draft.remove(&prekey_key(prekey));
}

/// Forgets the handshakes under way: another app took the place of the one that began them.
pub(crate) fn forget_handshakes(step: &mut Step<'_>) {
    step.draft.keys(UNDER_WAY, usize::MAX).iter().for_each(|key| step.draft.remove(key));
}

/// Takes up a handshake event of an app.
pub fn receive(step: &mut Step<'_>, event_type: &EventType, bytes: &[u8]) -> Result<(), Failure> {
    let event = vjson::read::<HandshakeEvent>(bytes).ok();
    let parts = event.and_then(|event| event.handshake.clone().map(|message| (event, message)));
    let Some((event, message)) = parts else {
        return drop_it(step);
    };
    let Some((key, mut responder)) = find(step, event_type, &message)? else {
        return drop_it(step);
    };
    let before = responder.phase();
    let reaction = responder.receive(step.now, &message.to_bytes()?);
    if !has_place(step, &responder)? {
        return drop_it(step);
    }
    let reaction = advance(step, &mut responder, reaction)?;
    if responder.phase() == Phase::Active
        && before != Phase::Active
        && let Some(outcome) = responder.take_outcome()
        && !activate(step, outcome)?
    {
        step.draft.remove(&key);
        return drop_it(step);
    }
    if reaction.changed || before != responder.phase() {
        keep(step, &key, &message, &responder)?;
    }
    answer(step, event_type, &event, &responder, reaction)
}

fn drop_it(step: &mut Step<'_>) -> Result<(), Failure> {
    step.dropped += 1;
    Ok(())
}

/// The handshake that a message belongs to: one under way, an enrolment code that waits, or a new session.
fn find(
    step: &Step<'_>,
    event_type: &EventType,
    message: &HandshakeMessage,
) -> Result<Option<(String, Responder)>, Failure> {
    let under_way = session_key(message.hs_id);
    if let Some(responder) = step.draft.get::<Responder>(&under_way)? {
        return Ok(Some((under_way, responder)));
    }
    let Message::Hs1(hs1) = &message.step else {
        return Ok(None);
    };
    match message.role {
        // A vault takes one app: while it has one, no code leads anywhere but that of a recovery.
        Role::Enroll if *event_type == AppBootstrap::ROW.event_type() && leads_in(step, &hs1.prekey_id)? => {
            let waiting = prekey_key(&hs1.prekey_id);
            Ok(step.draft.get(&waiting)?.map(|responder| (waiting, responder)))
        }
        Role::Session if step.draft.keys(UNDER_WAY, MAX_UNDER_WAY).len() == MAX_UNDER_WAY => Ok(None),
        Role::Session => Ok(begin_session(step, message)?.map(|responder| (under_way, responder))),
        _ => Ok(None),
    }
}

/// Whether a code leads to this vault as it is: the first app, or the device of a recovery.
fn leads_in(step: &Step<'_>, prekey: &KeyId) -> Result<bool, Failure> {
    let is_first = app::get(&step.draft)?.is_none();
    Ok(is_first || recovery::open(&step.draft)?.is_some_and(|open| open.has_code(prekey)))
}

/// Whether whoever begins an enrolment may: while there is an app, only the one device of a recovery.
fn has_place(step: &Step<'_>, responder: &Responder) -> Result<bool, Failure> {
    let begins = responder.role() == Role::Enroll && responder.phase() == Phase::Hs1Received;
    let Some(peer) = responder.peer().filter(|_| begins) else { return Ok(true) };
    let fingerprint = peer.fingerprint();
    let recovers = recovery::open(&step.draft)?.is_some_and(|open| open.expects(&fingerprint));
    Ok(recovers || app::get(&step.draft)?.is_none())
}

/// The first message of a session of the enrolled app.
fn begin_session(step: &Step<'_>, message: &HandshakeMessage) -> Result<Option<Responder>, Failure> {
    let Some(app) = app::get(&step.draft)? else {
        return Ok(None);
    };
    let recovering = recovery::open(&step.draft)?;
    let apps: Vec<_> =
        [Some(&app), recovering.as_ref().and_then(recovery::Open::candidate)].into_iter().flatten().collect();
    let resumes = apps.iter().flat_map(|app| [&app.resume, &app.previous_resume]).flatten();
    let resumes: Vec<_> = resumes.map(|resume| &resume.0).collect();
    let fingerprints: Vec<_> = apps.iter().map(|app| app.fingerprint).collect();
    let keys = SessionKeys { prekeys: &[step.identity.session_kem()], resumes: &resumes, apps: &fingerprints };
    let begun = Responder::session(step.now, &step.identity.party(), &keys, &message.to_bytes()?);
    Ok(begun.inspect_err(|refusal| tracing::debug!(%refusal, "a session was not begun")).ok())
}

/// An app needs nobody's decision: whoever holds the code or the secret of the last session is let in.
fn advance(step: &mut Step<'_>, responder: &mut Responder, reaction: Reaction) -> Result<Reaction, Failure> {
    if responder.phase() == Phase::Hs1Received {
        responder.accept(step.now)?;
    }
    if responder.phase() != Phase::Accepted {
        return Ok(reaction);
    }
    let content = answer_content(step, responder)?;
    Ok(responder.answer(step.now, step.rng, &step.identity.party(), &content)?)
}

fn answer_content(step: &Step<'_>, responder: &Responder) -> Result<Answer, Failure> {
    let peer = responder.peer();
    let device = peer.and_then(|peer| peer.device.clone());
    let user = peer.and_then(|peer| peer.nkey_pub.as_ref()).and_then(|text| text.parse::<UserPublic>().ok());
    let jwt = match (device, user) {
        (Some(device), Some(user)) => Some(app::credential(step, &device, &user)?.jwt),
        _ => None,
    };
    let incarnation = (step.identity.incarnation != 1).then_some(step.identity.incarnation);
    Ok(Answer { jwt, profile: Some(profile::signed(step, None)?), incarnation, ..Answer::default() })
}

/// Stores the handshake under its own id; the code that began it is used up.
fn keep(step: &mut Step<'_>, key: &str, message: &HandshakeMessage, responder: &Responder) -> Result<(), Failure> {
    match responder.hs_id() {
        Some(hs_id) => {
            let under_way = session_key(hs_id);
            if key != under_way {
                step.draft.remove(key);
            }
            step.draft.put(under_way, responder)?;
        }
        None => step.draft.put(key.to_owned(), responder)?,
    }
    tracing::debug!(role = message.role.name(), phase = ?responder.phase(), "app handshake");
    Ok(())
}

fn answer(
    step: &mut Step<'_>,
    event_type: &EventType,
    event: &HandshakeEvent,
    responder: &Responder,
    reaction: Reaction,
) -> Result<(), Failure> {
    let handshake = match &reaction.send {
        Some(bytes) => Some(vjson::read::<HandshakeMessage>(bytes)?),
        None if responder.phase() == Phase::Active && reaction.refusal.is_none() => None,
        None => return drop_it(step),
    };
    let answer = HandshakeEvent { event_id: event.event_id, timestamp: step.now, handshake };
    let subject = Subject::ForApp(step.identity.guid, event_type.clone(), event.event_id);
    let bytes = vjson::canonical(&answer)?;
    let post = send::post(step, Route::Host, subject, event.event_id, Delivery::BestEffort, bytes);
    step.posts.push(post);
    Ok(())
}

/// Both sides have the keys: the app is enrolled, or its session begins. `false` if that app has no place here.
fn activate(step: &mut Step<'_>, outcome: Outcome) -> Result<bool, Failure> {
    let (role, limited) = (outcome.role(), outcome.is_limited());
    let resume = Resume(outcome.resume().duplicate());
    let (keys, peer) = outcome.into_keys(step.identity.incarnation);
    let (Some((mut app, recovers)), Some(device)) = (app_of(step, role, &peer)?, peer.device.clone()) else {
        return Ok(false);
    };
    app.unproved_resume = None;
    if limited {
        app.unproved_resume = Some(resume);
    } else {
        app.keep_resumption(resume);
    }
    // A new user comes with a new credential; the one before ends with its own.
    app.user_nkey = peer.nkey_pub.clone().or(app.user_nkey);
    let session = Session { key_id: keys.key_id, limited: limited || recovers, started_at: step.now, device };
    app::begin_session(step, &mut app, &session)?;
    step.channels.add(&mut step.draft, ChannelName::Session(session.key_id), Channel::new(keys))?;
    if recovers {
        return recovery::join(step, app);
    }
    app::put(&mut step.draft, &app)?;
    if role == Role::Enroll {
        step.draft.keys(ENROLLING, usize::MAX).iter().for_each(|code| step.draft.remove(code));
    }
    told(step, role)?;
    Ok(true)
}

/// Who shook hands, and whether it is a device that recovers; `None` if it is neither that nor the app.
fn app_of(step: &Step<'_>, role: Role, peer: &Peer) -> Result<Option<(App, bool)>, Failure> {
    let fingerprint = peer.fingerprint();
    let Some(app) = app::get(&step.draft)? else {
        return Ok(new_app(peer).filter(|_| role == Role::Enroll).map(|app| (app, false)));
    };
    if role == Role::Session && app.fingerprint == fingerprint {
        return Ok(Some((app, false)));
    }
    let Some(open) = recovery::open(&step.draft)?.filter(|open| open.expects(&fingerprint)) else {
        // Another handshake was faster: this one leads nowhere.
        return Ok(None);
    };
    let known = open.into_candidate();
    let candidate = if role == Role::Enroll { known.or_else(|| new_app(peer)) } else { known };
    Ok(candidate.map(|candidate| (candidate, true)))
}

fn new_app(peer: &Peer) -> Option<App> {
    Some(App {
        fingerprint: peer.fingerprint(),
        identity_key: peer.identity().typed(),
        device: peer.device.clone()?,
        session: None,
        resume: None,
        previous_resume: None,
        unproved_resume: None,
        user_nkey: None,
    })
}

fn told(step: &mut Step<'_>, role: Role) -> Result<(), Failure> {
    let event_type = AppBootstrap::ROW.event_type();
    step.audit("app", &event_type, AuditOutcome::Success, json!({"role": role.name()}))?;
    if role == Role::Enroll {
        step.tell(Note {
            event_type,
            connection_id: None,
            request_id: None,
            severity: Severity::Notice,
            outcome: FeedOutcome::Done,
            summary: "This app was enrolled".into(),
        })?;
    }
    Ok(())
}
