//! Event types, one row each. Parsing, dispatch, grants, stream subjects, the handler manifest and the
//! documentation table all follow from these rows.

mod name;
mod row;

pub use name::EventType;
pub use row::{Delivery, Lane, Row};

use crate::{
    agreement, auth, authorisation, call, connection, contract, credential, data, enrolment, feed, file, handshake,
    inventory, location, lock, login, messaging, offer, profile, refusal, request, restore, rule, secret,
    service_message, session, statement, stored, trial,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Ties a marker type to its row and to the types of its request and its reply.
pub trait EventRow {
    /// The row.
    const ROW: Row;
    /// Body of the event.
    type Request: Serialize + DeserializeOwned;
    /// Body of the answer; `Nothing` where none is due.
    type Reply: Serialize + DeserializeOwned;
}

/// The empty body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The row of an event type on a lane; `None` means unsupported.
#[must_use]
pub fn find(lane: Lane, event_type: &EventType) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.lane == lane && row.name == event_type.as_str())
}

macro_rules! limit {
    ($n:literal seconds) => {
        Some($n * 1_000)
    };
    ($n:literal minutes) => {
        Some($n * 60_000)
    };
}

macro_rules! events {
    ($( #[doc = $doc:literal] $marker:ident: $name:literal, $lane:ident, $delivery:ident,
        $(within $n:literal $unit:ident,)? up to $kib:literal KiB, $request:ty => $reply:ty; )*) => {
        $(
            #[doc = $doc]
            #[derive(Debug, Clone, Copy)]
            pub struct $marker;
            impl EventRow for $marker {
                const ROW: Row = Row {
                    name: $name,
                    lane: Lane::$lane,
                    delivery: Delivery::$delivery,
                    within_ms: events!(@within $($n $unit)?),
                    cap_bytes: $kib * 1024,
                    summary: $doc,
                };
                type Request = $request;
                type Reply = $reply;
            }
        )*
        /// Every event type on every lane.
        pub const ROWS: &[Row] = &[$($marker::ROW),*];
    };
    (@within) => { None };
    (@within $n:literal $unit:ident) => { limit!($n $unit) };
}

events! {
    #[doc = "First contact of an app with its vault: handshake messages."]
    AppBootstrap: "app.bootstrap", Bootstrap, BestEffort, up to 64 KiB, session::HandshakeEvent => session::HandshakeEvent;
    #[doc = "A new session of a known app: first handshake message."]
    SessionStart: "session.start", Bootstrap, BestEffort, up to 64 KiB, session::HandshakeEvent => session::HandshakeEvent;
    #[doc = "A new session of a known app: last handshake message."]
    SessionFinish: "session.finish", Bootstrap, BestEffort, up to 64 KiB, session::HandshakeEvent => session::HandshakeEvent;
    #[doc = "Asks for a challenge of the unlock lane, which works while the vault is locked."]
    UnlockChallenge: "vault.unlock.challenge", Bootstrap, BestEffort, up to 4 KiB, lock::AskChallenge => lock::Challenge;
    #[doc = "Tries a PIN or a password, or sets the lock, under one challenge."]
    UnlockAttempt: "vault.unlock.attempt", Bootstrap, BestEffort, up to 4 KiB, lock::UnlockAttempt => lock::UnlockAnswer;
    #[doc = "A fresh NATS credential for the app."]
    SessionRefresh: "session.refresh", Owner, BestEffort, within 2 minutes, up to 4 KiB, session::RefreshRequest => session::RefreshReply;
    #[doc = "Health of the vault."]
    VaultHealth: "vault.health", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => session::VaultHealth;
    #[doc = "Locks the vault now."]
    VaultLock: "vault.lock", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => Nothing;
    #[doc = "Gives leave to set or change the lock once, and the key of the unlock lane."]
    VaultLockSetup: "vault.lock.setup", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => lock::LockPermit;
    #[doc = "Says after which idle time the vault locks itself."]
    VaultLockAuto: "vault.lock.auto", Owner, BestEffort, within 2 minutes, up to 4 KiB, lock::AutoLock => lock::AutoLock;
    #[doc = "Lets a vault that was put back go on from its earlier state, as a new incarnation."]
    VaultRestore: "vault.restore", Owner, BestEffort, within 2 minutes, up to 4 KiB, restore::RestoreVault => restore::Restoring;
    #[doc = "Reads the owner's profile."]
    ProfileGet: "profile.get", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => profile::ProfileView;
    #[doc = "Changes and publishes the owner's profile."]
    ProfileUpdate: "profile.update", Owner, BestEffort, within 2 minutes, up to 16 KiB, profile::ProfileUpdate => profile::ProfileView;
    #[doc = "Puts an item into the owner's profile, or changes it and who sees it."]
    ProfileItemSet: "profile.item.set", Owner, BestEffort, within 2 minutes, up to 16 KiB, profile::ProfileItem => profile::ProfileItems;
    #[doc = "Takes an item out of the owner's profile."]
    ProfileItemRemove: "profile.item.remove", Owner, BestEffort, within 2 minutes, up to 4 KiB, profile::ItemName => profile::ProfileItems;
    #[doc = "Lists the items of the owner's profile with who sees each."]
    ProfileItemList: "profile.item.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => profile::ProfileItems;
    #[doc = "Shows the owner's profile as a connection sees it."]
    ProfilePreview: "profile.preview", Owner, BestEffort, within 2 minutes, up to 4 KiB, profile::PreviewProfile => profile::SignedProfile;
    #[doc = "Stores one field of personal data."]
    DataSet: "data.set", Owner, BestEffort, within 2 minutes, up to 64 KiB, data::SetField => data::FieldView;
    #[doc = "Reads one field of personal data."]
    DataGet: "data.get", Owner, BestEffort, within 2 minutes, up to 4 KiB, data::FieldName => data::FieldView;
    #[doc = "Lists the names of the stored fields."]
    DataList: "data.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => data::FieldList;
    #[doc = "Removes one field of personal data."]
    DataRemove: "data.remove", Owner, BestEffort, within 2 minutes, up to 4 KiB, data::FieldName => Nothing;
    #[doc = "Lists what services were given and how long they may keep it."]
    DataHeld: "data.held.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, data::ListHeld => data::HeldList;
    #[doc = "Makes an invitation for a connection."]
    ConnectionInvite: "connection.invite", Owner, BestEffort, within 2 minutes, up to 4 KiB, connection::Invite => connection::Invited;
    #[doc = "Lists the invitations that nobody has answered yet."]
    ConnectionInvitations: "connection.invitation.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => connection::InvitationList;
    #[doc = "Takes an invitation back that nobody has answered yet."]
    ConnectionUninvite: "connection.uninvite", Owner, BestEffort, within 2 minutes, up to 4 KiB, connection::InvitationRef => Nothing;
    #[doc = "Answers an invitation of another member or of a service."]
    ConnectionAccept: "connection.accept", Owner, BestEffort, within 2 minutes, up to 8 KiB, connection::AcceptInvitation => connection::ConnectionView;
    #[doc = "Shows one connection: its profile, state, safety number and contract."]
    ConnectionReview: "connection.review", Owner, BestEffort, within 2 minutes, up to 4 KiB, connection::ConnectionRef => connection::ConnectionView;
    #[doc = "Accepts or rejects a connection under review."]
    ConnectionDecide: "connection.decide", Owner, BestEffort, within 2 minutes, up to 16 KiB, connection::Decide => connection::ConnectionView;
    #[doc = "Lists the connections, all or those that fit."]
    ConnectionList: "connection.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, connection::ListConnections => connection::ConnectionList;
    #[doc = "Gives a connection a name of the owner's own."]
    ConnectionLabel: "connection.label", Owner, BestEffort, within 2 minutes, up to 4 KiB, connection::LabelConnection => connection::ConnectionView;
    #[doc = "Puts tags on a connection, or takes them off."]
    ConnectionTag: "connection.tag", Owner, BestEffort, within 2 minutes, up to 4 KiB, connection::TagConnection => connection::ConnectionView;
    #[doc = "Marks a connection as verified after comparing the safety number."]
    ConnectionVerify: "connection.verify", Owner, BestEffort, within 2 minutes, up to 4 KiB, connection::ConnectionRef => connection::ConnectionView;
    #[doc = "Ends a connection at once, on this side alone."]
    ConnectionRevoke: "connection.revoke", Owner, BestEffort, within 2 minutes, up to 4 KiB, connection::Revoke => connection::ConnectionView;
    #[doc = "Begins new epoch keys at once, on one connection or on all."]
    RotateKeys: "connection.rotate", Owner, BestEffort, within 2 minutes, up to 4 KiB, connection::RotateKeys => connection::RotationReport;
    #[doc = "How connections are kept: age of keys, credentials, profiles, stragglers."]
    AskHealth: "connection.health", Owner, BestEffort, within 2 minutes, up to 4 KiB, inventory::AskHealth => inventory::HealthReport;
    #[doc = "Lists the key pairs of the vault, without anything private."]
    AskKeys: "key.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, inventory::AskKeys => inventory::KeyInventory;
    #[doc = "New keys that sign the credentials of apps, connections and services."]
    SigningKeyRotate: "key.rotate", Owner, BestEffort, within 2 minutes, up to 4 KiB, inventory::RotateSigning => inventory::SigningKeysMade;
    #[doc = "Sends a text message to a connection."]
    MessagingSend: "messaging.send", Owner, BestEffort, within 2 minutes, up to 64 KiB, messaging::SendText => messaging::Sent;
    #[doc = "Reads one message."]
    MessagingGet: "messaging.get", Owner, BestEffort, within 2 minutes, up to 4 KiB, messaging::MessageRef => messaging::MessageView;
    #[doc = "Reads a stretch of a conversation, to be kept elsewhere."]
    MessagingExport: "messaging.export", Owner, BestEffort, within 2 minutes, up to 4 KiB, messaging::ExportMessages => messaging::MessageStretch;
    #[doc = "Marks received messages as read."]
    MessagingRead: "messaging.read", Owner, BestEffort, within 2 minutes, up to 4 KiB, messaging::MarkRead => messaging::MarkedRead;
    #[doc = "Removes a message on this side alone."]
    MessagingRemove: "messaging.remove", Owner, BestEffort, within 2 minutes, up to 4 KiB, messaging::MessageRef => Nothing;
    #[doc = "Reacts to a message, or takes the reaction back."]
    MessagingReact: "messaging.react", Owner, BestEffort, within 2 minutes, up to 4 KiB, messaging::React => Nothing;
    #[doc = "Reads or changes what holds for the messages of a connection."]
    MessagingSettings: "messaging.settings", Owner, BestEffort, within 2 minutes, up to 4 KiB, messaging::SetMessaging => messaging::MessagingSettings;
    #[doc = "Ends what time ends among the messages; the vault does so by itself."]
    MessagingTidy: "messaging.tidy", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => messaging::Tidied;
    #[doc = "Brings a conversation together again after a restore; the vault does so by itself."]
    MessagingRecover: "messaging.recover", Owner, BestEffort, within 2 minutes, up to 64 KiB, messaging::RecoverConversation => Nothing;
    #[doc = "Lists the messages of a connection."]
    MessagingList: "messaging.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, messaging::ListMessages => messaging::MessageList;
    #[doc = "Prepares to send a file, or goes on with one that was interrupted."]
    FileBegin: "file.begin", Owner, BestEffort, within 2 minutes, up to 4 KiB, file::BeginFile => file::FileBegun;
    #[doc = "Stores one sealed piece of a file that is being prepared; the same piece may come again."]
    FilePut: "file.put", Owner, BestEffort, within 2 minutes, up to 700 KiB, file::FilePiece => Nothing;
    #[doc = "Says which pieces of a file that is being prepared are missing."]
    FileUploadStatus: "file.upload.status", Owner, BestEffort, within 2 minutes, up to 4 KiB, file::UploadRef => file::UploadStatus;
    #[doc = "Lists the files of a connection, newest first, and how far each came."]
    FileList: "file.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, file::ListFiles => file::FileList;
    #[doc = "Says how far the file of a message came."]
    FileStatus: "file.status", Owner, BestEffort, within 2 minutes, up to 4 KiB, messaging::MessageRef => file::FileView;
    #[doc = "Gives what it takes to check and open the file of a message."]
    FileGet: "file.get", Owner, BestEffort, within 2 minutes, up to 4 KiB, messaging::MessageRef => file::FileManifest;
    #[doc = "Reads one sealed piece of a received file."]
    FilePieceGet: "file.piece.get", Owner, BestEffort, within 2 minutes, up to 4 KiB, file::PieceRef => file::PieceBytes;
    #[doc = "Has the vault fetch a received file that waits for its owner's word, or that failed."]
    FileFetch: "file.fetch", Owner, BestEffort, within 2 minutes, up to 4 KiB, messaging::MessageRef => file::FileView;
    #[doc = "Lists what waits for the owner's decision."]
    RequestList: "request.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => request::RequestList;
    #[doc = "Approves or denies a waiting request."]
    RequestDecide: "request.decide", Owner, BestEffort, within 2 minutes, up to 4 KiB, request::Decide => request::Decided;
    #[doc = "Proposes terms to a connected member: a request that may change, or a transaction that may not."]
    AgreementPropose: "agreement.propose", Owner, BestEffort, within 2 minutes, up to 8 KiB, agreement::Propose => agreement::Stepped;
    #[doc = "Puts other terms in the place of those of the other side."]
    AgreementCounter: "agreement.counter", Owner, BestEffort, within 2 minutes, up to 8 KiB, agreement::CounterTerms => agreement::Stepped;
    #[doc = "Approves or denies the terms of the other side."]
    AgreementAnswer: "agreement.answer", Owner, BestEffort, within 2 minutes, up to 4 KiB, agreement::AnswerTerms => agreement::Stepped;
    #[doc = "Takes the owner's terms back."]
    AgreementWithdraw: "agreement.withdraw", Owner, BestEffort, within 2 minutes, up to 4 KiB, agreement::AgreementRef => agreement::Stepped;
    #[doc = "Lists requests and transactions, newest first."]
    AgreementList: "agreement.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, agreement::ListAgreements => agreement::AgreementList;
    #[doc = "Shows one request or transaction with its latest terms."]
    AgreementGet: "agreement.get", Owner, BestEffort, within 2 minutes, up to 4 KiB, agreement::AgreementRef => agreement::AgreementView;
    #[doc = "Gives the signed record of an agreement, for checking offline."]
    AgreementExport: "agreement.export", Owner, BestEffort, within 2 minutes, up to 4 KiB, agreement::AgreementRef => agreement::AgreementRecord;
    #[doc = "Lists requests of services that the owner answered, newest first."]
    AuthorisationList: "authorisation.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, authorisation::ListAnswered => authorisation::AnsweredList;
    #[doc = "Gives the signed record of an answered request, for checking offline."]
    AuthorisationExport: "authorisation.export", Owner, BestEffort, within 2 minutes, up to 4 KiB, authorisation::AnsweredRef => authorisation::AuthorisationRecord;
    #[doc = "Takes a consent back and tells the service."]
    ConsentWithdraw: "consent.withdraw", Owner, BestEffort, within 2 minutes, up to 4 KiB, authorisation::AnsweredRef => authorisation::Answered;
    #[doc = "Calls a connected member."]
    PlaceCall: "call.offer", Owner, BestEffort, within 2 minutes, up to 32 KiB, call::PlaceCall => call::CallView;
    #[doc = "Answers the call that rings."]
    TakeCall: "call.answer", Owner, BestEffort, within 2 minutes, up to 32 KiB, call::TakeCall => call::CallView;
    #[doc = "Does not take the call that rings."]
    DeclineCall: "call.decline", Owner, BestEffort, within 2 minutes, up to 4 KiB, call::CallRef => call::CallView;
    #[doc = "Ends a call."]
    HangUpCall: "call.hang_up", Owner, BestEffort, within 2 minutes, up to 4 KiB, call::CallRef => call::CallView;
    #[doc = "Gives the other side of a call further ways to reach this one."]
    AddCandidates: "call.candidates", Owner, BestEffort, within 2 minutes, up to 32 KiB, call::AddCandidates => call::CallView;
    #[doc = "Lists calls, newest first."]
    CallList: "call.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, call::ListCalls => call::CallList;
    #[doc = "Shows one call, and while it lasts what the other side's app said."]
    CallGet: "call.get", Owner, BestEffort, within 2 minutes, up to 4 KiB, call::CallRef => call::CallDetail;
    #[doc = "Reads or changes who may ring."]
    CallSettings: "call.settings", Owner, BestEffort, within 2 minutes, up to 4 KiB, call::SetCalls => call::CallSettings;
    #[doc = "Lets a connection see where the owner is, for a while."]
    LocationShare: "location.share", Owner, BestEffort, within 2 minutes, up to 4 KiB, location::StartShare => location::ShareView;
    #[doc = "Ends what a connection sees of where the owner is."]
    LocationStop: "location.stop", Owner, BestEffort, within 2 minutes, up to 4 KiB, location::StopShare => location::ShareView;
    #[doc = "Where the owner is now; sent on to whom it is shown."]
    LocationUpdate: "location.update", Owner, BestEffort, within 2 minutes, up to 4 KiB, location::UpdateLocation => location::LocationUpdated;
    #[doc = "Lists who sees where the owner is, and whom the owner sees."]
    LocationList: "location.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => location::LocationList;
    #[doc = "Lists the feed, newest first."]
    FeedList: "feed.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, feed::ListFeed => feed::FeedList;
    #[doc = "Finds entries of the feed by text, tags and filters."]
    FeedSearch: "feed.search", Owner, BestEffort, within 2 minutes, up to 4 KiB, feed::SearchFeed => feed::FoundEntries;
    #[doc = "Reads one entry of the feed."]
    FeedGet: "feed.get", Owner, BestEffort, within 2 minutes, up to 4 KiB, feed::EntryNumber => feed::MarkedEntry;
    #[doc = "Puts tags on entries of the feed, or takes them off."]
    FeedTag: "feed.tag", Owner, BestEffort, within 2 minutes, up to 16 KiB, feed::TagEntries => feed::FeedChanged;
    #[doc = "Moves entries of the feed into the archive, or back."]
    FeedArchive: "feed.archive", Owner, BestEffort, within 2 minutes, up to 8 KiB, feed::ArchiveEntries => feed::FeedChanged;
    #[doc = "Removes entries from the feed; the audit chain keeps what it has."]
    FeedRemove: "feed.remove", Owner, BestEffort, within 2 minutes, up to 8 KiB, feed::EntryNumbers => feed::FeedChanged;
    #[doc = "Marks entries of the feed as seen."]
    FeedRead: "feed.read", Owner, BestEffort, within 2 minutes, up to 8 KiB, feed::ReadEntries => feed::FeedChanged;
    #[doc = "Counts what the owner has not seen."]
    FeedUnread: "feed.unread", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => feed::UnreadCounts;
    #[doc = "Reads or sets what happens to old entries of the feed."]
    FeedPolicy: "feed.policy", Owner, BestEffort, within 2 minutes, up to 4 KiB, feed::SetFeedPolicy => feed::FeedPolicy;
    #[doc = "Stores a rule, or puts it in the place of the one with the same id."]
    RuleSet: "rule.set", Owner, BestEffort, within 2 minutes, up to 4 KiB, rule::SetRule => rule::RuleStored;
    #[doc = "Lists the owner's rules."]
    RuleList: "rule.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => rule::RuleList;
    #[doc = "Removes a rule."]
    RuleRemove: "rule.remove", Owner, BestEffort, within 2 minutes, up to 4 KiB, rule::RuleRef => Nothing;
    #[doc = "Says what the rules would have decided for past events, and changes nothing."]
    RuleTest: "rule.test", Owner, BestEffort, within 2 minutes, up to 8 KiB, rule::TestRules => rule::RulesTested;
    #[doc = "The owner opened the link of a page that waits to be logged in."]
    LoginOpen: "login.open", Owner, BestEffort, within 2 minutes, up to 4 KiB, login::OpenLogin => login::OpenedLogin;
    #[doc = "Says whether an unknown browser may be let in by a number."]
    LoginSettings: "login.settings", Owner, BestEffort, within 2 minutes, up to 4 KiB, login::SetLogins => login::LoginSettings;
    #[doc = "Lists the browsers that count as known."]
    BrowserList: "browser.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => login::BrowserList;
    #[doc = "Forgets a known browser."]
    BrowserForget: "browser.forget", Owner, BestEffort, within 2 minutes, up to 4 KiB, login::BrowserRef => Nothing;
    #[doc = "Lets a connection ask again that was silenced after three denials."]
    ConnectionUnmute: "connection.unmute", Owner, BestEffort, within 2 minutes, up to 4 KiB, connection::ConnectionRef => Nothing;
    #[doc = "Lists the contracts with services, and which wait for the owner's decision."]
    ContractList: "contract.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => offer::ContractList;
    #[doc = "Shows the contract of one connection, with the version that is offered."]
    ContractGet: "contract.get", Owner, BestEffort, within 2 minutes, up to 4 KiB, connection::ConnectionRef => offer::ContractView;
    #[doc = "Accepts or rejects a new version of a contract, or chooses anew among its optional fields."]
    ContractDecide: "contract.decide", Owner, BestEffort, within 2 minutes, up to 16 KiB, offer::DecideContract => offer::ContractView;
    #[doc = "Tries the contract that waits, else the one in force, on past requests; hands nothing out."]
    ContractTest: "contract.test", Owner, BestEffort, within 2 minutes, up to 16 KiB, trial::TryContract => trial::ContractTrial;
    #[doc = "Exports a part of the signed statement of what a service ever got."]
    ContractStatement: "contract.statement.export", Owner, BestEffort, within 2 minutes, up to 4 KiB, statement::AskStatement => statement::StatementPart;
    #[doc = "Lists messages of services, newest first, and which services are muted."]
    ServiceMessageList: "service_message.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, service_message::ListServiceMessages => service_message::ServiceMessageList;
    #[doc = "Reads a message of a service, which is then marked as read; the service is not told."]
    ServiceMessageRead: "service_message.read", Owner, BestEffort, within 2 minutes, up to 4 KiB, service_message::ServiceMessageRef => service_message::ServiceMessageView;
    #[doc = "Removes a message of a service."]
    ServiceMessageRemove: "service_message.remove", Owner, BestEffort, within 2 minutes, up to 4 KiB, service_message::ServiceMessageRef => Nothing;
    #[doc = "Lets messages of a service come without a notification, for a while or for good, or with one again."]
    ServiceMute: "service_message.mute", Owner, BestEffort, within 2 minutes, up to 4 KiB, service_message::MuteService => service_message::MutedService;
    #[doc = "Exports a stretch of the audit chain, for checking offline."]
    AuditExport: "audit.export", Owner, BestEffort, within 2 minutes, up to 4 KiB, feed::ExportAudit => feed::AuditStretch;
    #[doc = "How the Vault Credential stands: whether there is one, its attempts, what it may be used for."]
    CredentialStatus: "credential.status", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => credential::CredentialStatus;
    #[doc = "Fresh transaction keys for the app."]
    CredentialReplenish: "credential.utk.replenish", Owner, BestEffort, within 2 minutes, up to 4 KiB, credential::ReplenishKeys => credential::ReplenishedKeys;
    #[doc = "Makes the Vault Credential, once."]
    CredentialCreate: "credential.create", Owner, BestEffort, within 2 minutes, up to 4 KiB, credential::CreateCredential => credential::UseResult;
    #[doc = "Asks the vault to prove that it is the issuer, before a password is typed."]
    CredentialChallenge: "credential.challenge", Owner, BestEffort, within 2 minutes, up to 4 KiB, credential::ChallengeRequest => credential::LatAnswer;
    #[doc = "One operation with the Vault Credential and its password."]
    CredentialUse: "credential.use", Owner, BestEffort, within 2 minutes, up to 128 KiB, credential::UseRequest => credential::UseResult;
    #[doc = "The app has stored the credential's next form."]
    CredentialConfirm: "credential.confirm", Owner, BestEffort, within 2 minutes, up to 4 KiB, credential::Confirm => credential::ConfirmReply;
    #[doc = "Lists the critical secrets, without their values."]
    SecretList: "secret.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, Nothing => secret::SecretList;
    #[doc = "Uses a critical secret under an open grant."]
    GrantUse: "grant.use", Owner, BestEffort, within 2 minutes, up to 32 KiB, secret::UseSecret => secret::Used;
    #[doc = "Ends a grant."]
    GrantEnd: "grant.end", Owner, BestEffort, within 2 minutes, up to 4 KiB, secret::GrantRef => Nothing;
    #[doc = "Lists what services stored, with size and quota."]
    StoredList: "stored.list", Owner, BestEffort, within 2 minutes, up to 4 KiB, stored::BrowseStored => stored::StoredList;
    #[doc = "Reads one thing that a service stored."]
    StoredGet: "stored.get", Owner, BestEffort, within 2 minutes, up to 4 KiB, stored::StoredRef => stored::StoredValue;
    #[doc = "Deletes one thing, a category, or everything that a service stored."]
    StoredDelete: "stored.delete", Owner, BestEffort, within 2 minutes, up to 4 KiB, stored::DeleteStored => stored::StoredDeleted;
    #[doc = "Tells an app that listens of a new entry in the feed; an app asks for the feed after each connect."]
    FeedItem: "feed.item", App, BestEffort, up to 16 KiB, feed::FeedEntry => Nothing;
    #[doc = "Tells the app of a change of a call."]
    CallChanged: "call.changed", App, BestEffort, up to 64 KiB, call::CallDetail => Nothing;
    #[doc = "Handshake message under an invitation."]
    ConnectionHandshake: "connection.handshake", Invite, Durable, up to 64 KiB, handshake::HandshakeMessage => Nothing;
    #[doc = "The handshake is complete on the sender's side (key confirmation)."]
    ConnectionReady: "connection.ready", Connection, Durable, up to 16 KiB, connection::Ready => Nothing;
    #[doc = "A signed notice that the peer ended the connection."]
    ConnectionRevoked: "connection.revoked", Connection, Durable, up to 8 KiB, connection::RevocationNotice => Nothing;
    #[doc = "A step towards the keys of the next epoch."]
    ConnectionRekey: "connection.rekey", Connection, Durable, up to 8 KiB, handshake::RekeyMessage => Nothing;
    #[doc = "New keys after one side came back from an earlier state."]
    ConnectionResync: "connection.resync", Connection, Durable, up to 8 KiB, restore::Resync => Nothing;
    #[doc = "A fresh NATS credential for the receiver."]
    ConnectionCredential: "connection.credential", Connection, Durable, up to 8 KiB, connection::ConnectionCredential => Nothing;
    #[doc = "A new version of the peer's profile, as this connection sees it."]
    ProfileChanged: "profile.changed", Connection, Durable, up to 64 KiB, profile::ProfileChanged => Nothing;
    #[doc = "A text message."]
    MessagingText: "messaging.text", Connection, Durable, up to 64 KiB, messaging::TextMessage => Nothing;
    #[doc = "A text message was stored by its receiver."]
    MessagingReceipt: "messaging.receipt", Connection, Durable, up to 4 KiB, messaging::Receipt => Nothing;
    #[doc = "Messages of the receiver were read by the sender's owner."]
    MessagingSeen: "messaging.seen", Connection, Durable, up to 8 KiB, messaging::ReadReceipt => Nothing;
    #[doc = "How the sender's owner reacts to a message."]
    MessagingReaction: "messaging.reaction", Connection, Durable, up to 4 KiB, messaging::Reaction => Nothing;
    #[doc = "After how long the sender's owner wants messages to disappear."]
    MessagingDisappear: "messaging.disappear", Connection, Durable, up to 4 KiB, messaging::Disappearing => Nothing;
    #[doc = "What a restored vault has of a conversation: it asks for the rest."]
    MessagingResume: "messaging.resume", Connection, Durable, up to 8 KiB, messaging::ResumeConversation => Nothing;
    #[doc = "How far the sender has sent again what the receiver lost."]
    MessagingResumed: "messaging.resumed", Connection, Durable, up to 8 KiB, messaging::ResumedConversation => Nothing;
    #[doc = "A message that the receiver wrote and does not have any more."]
    MessagingReturned: "messaging.returned", Connection, Durable, up to 64 KiB, messaging::ReturnedMessage => Nothing;
    #[doc = "Asks for one piece of a file that was sent on this connection."]
    FileAsk: "file.ask", Connection, BestEffort, up to 4 KiB, file::AskPiece => Nothing;
    #[doc = "One sealed piece of a file that the receiver asked for."]
    FilePieceSent: "file.piece", Connection, BestEffort, up to 700 KiB, file::FilePiece => Nothing;
    #[doc = "A file that the receiver asked for is not held by the sender any more."]
    FileIsGone: "file.gone", Connection, BestEffort, up to 4 KiB, file::FileGone => Nothing;
    #[doc = "The sender's vault has the whole of a file."]
    FileArrived: "file.received", Connection, Durable, up to 4 KiB, file::FileReceived => Nothing;
    #[doc = "Terms of a request: the first ones, or others in their place; signed by their maker."]
    RequestTerms: "request.terms", Connection, Durable, up to 32 KiB, agreement::SignedTerms => Nothing;
    #[doc = "The fixed terms of a transaction, signed by their maker."]
    TransactionTerms: "transaction.terms", Connection, Durable, up to 32 KiB, agreement::SignedTerms => Nothing;
    #[doc = "Yes or no to the terms of the receiver, signed."]
    TermsAnswer: "agreement.answer", Connection, Durable, up to 16 KiB, agreement::SignedAnswer => Nothing;
    #[doc = "How terms of the sender ended, signed."]
    TermsOutcome: "agreement.outcome", Connection, Durable, up to 16 KiB, agreement::SignedOutcome => Nothing;
    #[doc = "The receiver is called."]
    CallOffer: "call.offer", Connection, BestEffort, up to 64 KiB, call::CallOffer => Nothing;
    #[doc = "The call of the receiver rings."]
    CallRinging: "call.ringing", Connection, BestEffort, up to 4 KiB, call::CallRef => Nothing;
    #[doc = "The call of the receiver was answered."]
    CallAnswer: "call.answer", Connection, BestEffort, up to 64 KiB, call::CallAnswer => Nothing;
    #[doc = "The answer of the receiver has arrived: the call is connected."]
    CallConnected: "call.connected", Connection, BestEffort, up to 4 KiB, call::CallRef => Nothing;
    #[doc = "Further ways to reach the sender's side of a call."]
    CallCandidates: "call.candidates", Connection, BestEffort, up to 32 KiB, call::AddCandidates => Nothing;
    #[doc = "A call is over; the receiver may have missed it."]
    CallEnd: "call.end", Connection, Durable, up to 4 KiB, call::CallEnd => Nothing;
    #[doc = "Where the sender's owner is, as exactly as the receiver may see it."]
    SharedLocation: "location.share", Connection, BestEffort, up to 4 KiB, location::SharedLocation => Nothing;
    #[doc = "The sender's owner does not show any more where they are."]
    ShareEnd: "location.end", Connection, Durable, up to 4 KiB, location::ShareEnded => Nothing;
    #[doc = "An event of the receiver had no effect."]
    EventRefused: "event.refused", Connection, BestEffort, up to 4 KiB, refusal::EventRefused => Nothing;
    #[doc = "The service completed the handshake and countersigned the contract."]
    ServiceReady: "connection.ready", Service, Durable, up to 16 KiB, connection::Ready => Nothing;
    #[doc = "A step of the service towards the keys of the next epoch."]
    ServiceRekey: "connection.rekey", Service, Durable, up to 8 KiB, handshake::RekeyMessage => Nothing;
    #[doc = "A fresh NATS credential for the member."]
    ServiceCredential: "connection.credential", Service, Durable, up to 8 KiB, connection::ConnectionCredential => Nothing;
    #[doc = "A new version of the service's profile."]
    ServiceProfileChanged: "profile.changed", Service, Durable, up to 64 KiB, profile::ProfileChanged => Nothing;
    #[doc = "A signed notice that the service ended the connection."]
    ServiceRevoked: "connection.revoked", Service, Durable, up to 8 KiB, connection::RevocationNotice => Nothing;
    #[doc = "Reads a field that the contract names."]
    DataRequest: "data.request", Service, BestEffort, within 5 minutes, up to 16 KiB, data::DataRequest => data::DataResponse;
    #[doc = "Asks the member to log in."]
    AuthChallenge: "auth.challenge", Service, Durable, within 2 minutes, up to 16 KiB, auth::AuthChallenge => auth::AuthResponse;
    #[doc = "The browser that waited brought the code of a login back: it was logged in."]
    LoginFinished: "login.finished", Service, Durable, within 5 minutes, up to 4 KiB, login::LoginFinished => Nothing;
    #[doc = "Offers a new version of the contract; until the member decides, the one before is frozen."]
    ContractOffered: "contract.offered", Service, Durable, up to 24 KiB, offer::ContractOffer => Nothing;
    #[doc = "The service countersigned an acceptance of its contract."]
    ContractCountersigned: "contract.countersigned", Service, Durable, up to 4 KiB, contract::CounterSignature => Nothing;
    #[doc = "Wants the member to pay."]
    PaymentRequest: "payment.request", Service, Durable, within 5 minutes, up to 16 KiB, authorisation::AuthorisationRequest => authorisation::AuthorisationAnswer;
    #[doc = "Wants the member to approve what the service does in the member's name."]
    TransactionRequest: "transaction.request", Service, Durable, within 5 minutes, up to 16 KiB, authorisation::AuthorisationRequest => authorisation::AuthorisationAnswer;
    #[doc = "Wants the member's consent to something, for a purpose and a time."]
    ConsentRequest: "consent.request", Service, Durable, up to 16 KiB, authorisation::AuthorisationRequest => authorisation::AuthorisationAnswer;
    #[doc = "Wants the member's signature under a document."]
    DocumentSign: "document.sign", Service, Durable, up to 16 KiB, authorisation::AuthorisationRequest => authorisation::AuthorisationAnswer;
    #[doc = "Wants a signed proof of claims about the member."]
    IdentityVerify: "identity.verify", Service, Durable, within 5 minutes, up to 16 KiB, authorisation::AuthorisationRequest => authorisation::AuthorisationAnswer;
    #[doc = "Tells the member something; counted by the hour."]
    ServiceMessageSend: "service_message.send", Service, Durable, up to 16 KiB, service_message::ServiceMessage => service_message::MessageAccepted;
    #[doc = "Reads several fields that the contract names, each decided by itself."]
    BatchAsked: "data.batch.request", Service, BestEffort, within 5 minutes, up to 16 KiB, data::batch::BatchRequest => data::batch::BatchResponse;
    #[doc = "Stores a value with the member, in a category of the contract."]
    DataStore: "data.store", Service, Durable, within 5 minutes, up to 32 KiB, stored::StoreData => stored::StoredResponse;
    #[doc = "Reads one thing back that the service stored."]
    DataStoredGet: "data.stored.get", Service, BestEffort, within 5 minutes, up to 4 KiB, stored::NameStored => stored::StoredResponse;
    #[doc = "Lists what the service stored, without values."]
    DataStoredList: "data.stored.list", Service, BestEffort, within 5 minutes, up to 4 KiB, stored::ListStored => stored::StoredResponse;
    #[doc = "Deletes one thing that the service stored."]
    DataStoredDelete: "data.stored.delete", Service, Durable, within 5 minutes, up to 4 KiB, stored::NameStored => stored::StoredResponse;

    #[doc = "A step of the member towards the keys of the next epoch."]
    MemberRekey: "connection.rekey", Member, Durable, up to 8 KiB, handshake::RekeyMessage => Nothing;
    #[doc = "A fresh NATS credential for the service."]
    MemberCredential: "connection.credential", Member, Durable, up to 8 KiB, connection::ConnectionCredential => Nothing;
    #[doc = "A new version of the sender's profile, as far as the service may see it."]
    MemberProfileChanged: "profile.changed", Member, Durable, up to 64 KiB, profile::ProfileChanged => Nothing;
    #[doc = "Answer to a data request."]
    DataResponse: "data.response", Member, BestEffort, up to 64 KiB, data::DataResponse => Nothing;
    #[doc = "A field that the contract lets out unasked: after acceptance and after each change."]
    DataSnapshot: "data.snapshot", Member, Durable, up to 80 KiB, data::Snapshot => Nothing;
    #[doc = "Answer to a login request, signed by the connection's pairwise key."]
    AuthResponse: "auth.response", Member, BestEffort, up to 16 KiB, auth::AuthResponse => Nothing;
    #[doc = "The member's app opened the link of a waiting page: the service may ask for that login."]
    LoginOpened: "login.opened", Member, BestEffort, up to 4 KiB, login::LoginOpened => Nothing;
    #[doc = "The member's signed answer to a request for the member's word."]
    AuthorisationResponse: "authorisation.response", Member, Durable, up to 32 KiB, authorisation::AuthorisationAnswer => Nothing;
    #[doc = "The member takes a consent back."]
    ConsentWithdrawn: "consent.withdrawn", Member, Durable, up to 8 KiB, authorisation::ConsentWithdrawal => Nothing;
    #[doc = "A signed notice that the member ended the connection."]
    MemberRevoked: "connection.revoked", Member, Durable, up to 8 KiB, connection::RevocationNotice => Nothing;
    #[doc = "An event of the service had no effect."]
    MemberRefused: "event.refused", Member, BestEffort, up to 4 KiB, refusal::EventRefused => Nothing;
    #[doc = "The member accepted a version of the contract, or chose anew among its optional fields."]
    ContractAccepted: "contract.accepted", Member, Durable, up to 16 KiB, contract::Acceptance => Nothing;
    #[doc = "The vault took a message of the service. Says nothing about reading."]
    ServiceMessageAccepted: "service_message.accepted", Member, Durable, up to 4 KiB, service_message::MessageAccepted => Nothing;
    #[doc = "Answer to a request for several fields: a value or a refusal for each."]
    BatchAnswered: "data.batch.response", Member, BestEffort, up to 128 KiB, data::batch::BatchResponse => Nothing;
    #[doc = "Answer to a service about what it stores."]
    DataStoredResponse: "data.stored.response", Member, BestEffort, up to 48 KiB, stored::StoredResponse => Nothing;
    #[doc = "Asks services to cut off a NATS user."]
    RevokeUser: "account.revoke_user", Services, BestEffort, up to 4 KiB, enrolment::RevokeUser => enrolment::UserRevoked;
    #[doc = "Tells services the keys that sign the credentials of a vault's users from now on."]
    RotateSigningKeys: "account.rotate_keys", Services, BestEffort, up to 4 KiB, enrolment::RotateSigningKeys => enrolment::SigningKeysRotated;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_name_stands_once_on_a_lane_and_is_valid() {
        let mut seen = HashSet::new();
        for row in ROWS {
            assert!(seen.insert((row.lane, row.name)), "{} twice", row.name);
            assert_eq!(row.name.parse::<EventType>().unwrap(), row.event_type());
        }
    }

    #[test]
    fn a_name_that_arrives_on_one_subject_is_delivered_in_one_way() {
        for a in ROWS {
            for b in ROWS {
                let same = a.arrival().is_some() && a.arrival() == b.arrival();
                assert!(!same || a.delivery == b.delivery, "{} {}", a.name, b.name);
            }
        }
    }

    #[test]
    fn names_outside_the_grammar_are_refused() {
        for wrong in ["a", "a.", ".a", "a..b", "a.*", "a.>", "A.b", "a.b.c.d.e", "a b.c", ""] {
            assert!(wrong.parse::<EventType>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn table() {
        let lines: Vec<String> = ROWS
            .iter()
            .map(|r| format!("{:?} {} {:?} {:?} {}", r.lane, r.name, r.delivery, r.within_ms, r.cap_bytes))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
