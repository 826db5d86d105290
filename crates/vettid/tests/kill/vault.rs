//! The vault's process: the real vault over a journal file that is synced with each commit.

use crate::frame::{FromVault, Killer, Mail, Point, Report, Side, ToVault, parent, receive, send};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use vettid_client::random::SystemRandom;
use vettid_core::credential::attempts::{BootId, Clocks};
use vettid_core::credential::issuer::Issuer;
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::secret::Secret32;
use vettid_vault::audit;
use vettid_vault::credential::durable::Durable;
use vettid_vault::manager::{Event, Prepared, Vault};
use vettid_vault::projection::Draft;
use vettid_wire::enrolment::EnrolVault;
use vettid_wire::feed::MAX_AUDIT_ENTRIES;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::secret::SecretSummary;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

pub(crate) const ENDPOINT: &str = "tls://broker.test:4222";
const KEY: [u8; 32] = [7; 32];

fn guid() -> MemberId {
    MemberId::from_bytes([1; 16])
}

fn key() -> StorageKey {
    StorageKey::from_secret(Secret32::from_bytes(KEY))
}

/// One record after another, each with its length.
struct Journal {
    file: File,
    records: Vec<Vec<u8>>,
}

impl Journal {
    fn open(path: &Path) -> Self {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let (mut rest, mut records) = (bytes.as_slice(), Vec::new());
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (record, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            records.push(record.to_vec());
            rest = after;
        }
        Self { file, records }
    }

    fn append(&mut self, record: &[u8]) {
        let length = u32::try_from(record.len()).unwrap().to_be_bytes();
        self.file.write_all(&[length.as_slice(), record].concat()).unwrap();
        self.file.sync_all().unwrap();
    }
}

struct Node {
    vault: Vault,
    journal: Journal,
    parent: Arc<UnixStream>,
    killer: Killer,
    boot: [u8; 16],
    now: Timestamp,
    /// When time passed last in this process.
    ticked: Option<i64>,
    rng: SystemRandom,
}

/// Runs until the driver is gone.
pub(crate) fn run() {
    let parent = Arc::new(parent());
    let Some(ToVault::Start { folder, now_ms, boot, kill }) = receive(&parent) else { panic!("no start") };
    let killer = Killer::new(parent.clone(), kill);
    let journal = Journal::open(&Path::new(&folder).join("journal"));
    let (now, mut rng) = (Timestamp::from_unix_ms(now_ms), SystemRandom::new().unwrap());
    let handlers = vettid_handlers::native().build().unwrap();
    let (vault, first) = if journal.records.is_empty() {
        let (vault, first) = Vault::found(guid(), key(), handlers, ENDPOINT.into(), now, &mut rng).unwrap();
        (vault, Some(first))
    } else {
        (Vault::load(guid(), key(), handlers, ENDPOINT.into(), &journal.records, None).unwrap(), None)
    };
    let mut node = Node { vault, journal, parent, killer, boot, now, ticked: None, rng };
    if let Some(first) = first {
        node.commit(&first, &[]);
    }
    while let Some(asked) = receive::<ToVault>(&node.parent) {
        let answer = match asked {
            ToVault::Start { .. } => panic!("started twice"),
            ToVault::Aim(kill) => {
                node.killer.aim(kill);
                continue;
            }
            ToVault::Handle { mail, now_ms } => FromVault::Posts(node.receive(mail, now_ms)),
            ToVault::Code => FromVault::Code(node.code()),
            ToVault::Report => FromVault::Report(node.report()),
        };
        send(&node.parent, &answer).unwrap();
    }
}

impl Node {
    fn clocks(&self) -> Clocks {
        Clocks { now: self.now, monotonic_ms: self.now.unix_ms().unsigned_abs(), boot_id: BootId(self.boot) }
    }

    fn commit(&mut self, prepared: &Prepared, durable: &[Durable]) {
        self.pass(durable, false);
        self.journal.append(&prepared.sealed);
        self.pass(durable, true);
        self.vault.committed(prepared).unwrap();
    }

    fn pass(&self, durable: &[Durable], after: bool) {
        for step in durable {
            self.killer.pass(Point { side: Side::Vault, step: step.to_string(), after }, FromVault::Passed);
        }
    }

    /// As the host does it: time passes, then the message.
    fn receive(&mut self, mail: Mail, now_ms: i64) -> Vec<Mail> {
        let since_ms = self.ticked.map_or(i64::MAX, |ticked| now_ms - ticked);
        self.now = Timestamp::from_unix_ms(now_ms);
        if since_ms >= 1000 {
            self.ticked = Some(now_ms);
            self.handle(Event::Tick);
        }
        let subject: Subject = mail.subject.parse().unwrap();
        self.handle(Event::Message { subject, bytes: mail.text.into_bytes() })
    }

    /// As the host does it: commit, then send, then what the commit leads to.
    fn handle(&mut self, event: Event) -> Vec<Mail> {
        let mut events = vec![event];
        let mut posts = Vec::new();
        while !events.is_empty() {
            for event in &events {
                if let Event::Compare(op_id) = event {
                    send(&self.parent, &FromVault::Evaluates(op_id.to_string())).unwrap();
                }
            }
            let batch = self.vault.handle(self.clocks(), &mut self.rng, &events);
            assert!(batch.commit.is_some() || batch.durable.is_empty(), "a durable step without a commit");
            if let Some(prepared) = &batch.commit {
                self.commit(prepared, &batch.durable);
            }
            posts.extend(batch.posts);
            events = batch.afterwards;
        }
        let to_app = posts.into_iter().filter(|post| matches!(post.subject, Subject::ForApp(..)));
        to_app
            .map(|post| Mail {
                subject: post.subject.to_string(),
                text: String::from_utf8(post.bytes.as_bytes().to_vec()).unwrap(),
            })
            .collect()
    }

    fn code(&mut self) -> String {
        let asked = EnrolVault {
            guid: guid(),
            expires_at: self.now.plus_ms(600_000),
            token: "token".into(),
            services_url: "https://services.test".into(),
            session_id: EventId::v7(self.now, [3; 10]),
        };
        let made = self.vault.enrolment_code(self.clocks(), &mut self.rng, &asked).unwrap();
        self.commit(&made.prepared, &[]);
        made.done.qr
    }

    fn report(&self) -> Report {
        let draft = Draft::new(self.vault.state());
        let Some(issuer) = draft.get::<Issuer>("credential/issuer").unwrap() else { return Report::default() };
        let secrets = draft.values::<SecretSummary>("secret/").unwrap();
        let mut entries = Vec::new();
        loop {
            let from = u64::try_from(entries.len()).unwrap();
            let more = audit::entries(&draft, from, MAX_AUDIT_ENTRIES).unwrap();
            if more.is_empty() {
                break;
            }
            entries.extend(more);
        }
        let operations = entries.iter().filter_map(|exported| {
            let detail = &exported.detail.as_ref()?.value;
            // That an attempt was counted is no effect.
            if detail.get("attempt").is_some() {
                return None;
            }
            let text = |name: &str| detail.get(name)?.as_str().map(str::to_owned);
            Some((text("op_id")?, text("action")?, format!("{:?}", exported.entry.outcome)))
        });
        Report {
            floor: issuer.record().floor,
            attempts_total: issuer.record().attempts.total,
            secrets: secrets.into_iter().map(|secret| (secret.label, secret.uses)).collect(),
            operations: operations.collect(),
        }
    }
}
