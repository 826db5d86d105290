//! Each check of spec 2.15 by itself: a command that passes, and the one thing that stops it.

use super::*;
use serde_json::json;
use vettid_crypto::secret::Secret32;
use vettid_wire::control::ControlOutcome;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + ms)
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&Secret32::from_bytes([byte; 32]))
}

fn id(byte: u8) -> EventId {
    EventId::v7(at(0), [byte; 10])
}

fn member(byte: u8) -> MemberId {
    MemberId::v7(at(0), [byte; 10])
}

fn host() -> HostId {
    "host-a".parse().unwrap()
}

fn order(command: &str, target: Target) -> Order {
    Order {
        command: command.parse().unwrap(),
        target,
        params: json!({"n": 1}),
        issued_by: "services".into(),
        life_ms: 60_000,
    }
}

fn deploy() -> ControlCommand {
    issue(order(VAULT_DEPLOY, Target::Enclave(host())), id(1), 5, at(0), &key(1)).unwrap()
}

fn keys() -> Vec<ControlKey> {
    let all = vec![Class::Observe, Class::Operate, Class::Disruptive, Class::MembersOwn, Class::MemberAuthority];
    let rest = [2, 3, 4].map(|byte| ControlKey { key: key(byte).verifying_key(), classes: all.clone() });
    let observer = ControlKey { key: key(5).verifying_key(), classes: vec![Class::Observe] };
    [ControlKey::of_services(key(1).verifying_key()), observer].into_iter().chain(rest).collect()
}

fn receive_on(
    now: Timestamp,
    journal: &ControlJournal,
    subject: &Subject,
    command: &impl Serialize,
) -> Result<Received, Refused> {
    let bytes = serde_json::to_vec(command).unwrap();
    let receiver = Receiver { host: &host(), holds: &|guid| guid == member(1), keys: &keys() };
    receiver.receive(now, journal, subject, &bytes)
}

fn receive(now: Timestamp, journal: &ControlJournal, command: &ControlCommand) -> Result<Received, Refused> {
    receive_on(now, journal, &subject_of(command), command)
}

fn verdict(command: &ControlCommand) -> Result<(), Refused> {
    receive(at(0), &ControlJournal::default(), command).map(drop)
}

fn result(command: &ControlCommand) -> ControlResult {
    ControlResult { command_id: command.command_id, outcome: ControlOutcome::Done(json!({"ok": 1})) }
}

fn carried_out(journal: &ControlJournal, command: &ControlCommand, now: Timestamp) -> ControlJournal {
    let Ok(Received::Execute(verified)) = receive(now, journal, command) else { panic!("not taken") };
    assert_eq!(verified.get(), command);
    journal.done(&verified, result(command), now).unwrap()
}

#[test]
fn every_change_of_a_signed_command_is_refused() {
    assert_eq!(verdict(&deploy()), Ok(()));
    let subject = subject_of(&deploy());
    let changes = [
        ("command_id", json!(id(2))),
        ("params", json!({"n": 2})),
        ("issued_by", json!("other")),
        ("sequence", json!(6)),
        ("issued_at", json!(at(1))),
        ("expires_at", json!(at(1))),
        ("signature", json!("")),
        ("key_id", json!(key(2).key_id())),
        ("key_id", json!(key(9).key_id())),
        ("approvals", json!([{"key_id": key(2).key_id(), "signature": ""}])),
        ("extra", json!(1)),
    ];
    for (field, value) in changes {
        let mut wrong = serde_json::to_value(deploy()).unwrap();
        wrong[field] = value;
        let verdict = receive_on(at(0), &ControlJournal::default(), &subject, &wrong);
        assert_eq!(verdict.map(drop), Err(Refused::NotGenuine), "{field}");
    }
    let mut unsigned = serde_json::to_value(deploy()).unwrap();
    unsigned.as_object_mut().unwrap().remove("signature");
    let verdict = receive_on(at(0), &ControlJournal::default(), &subject, &unsigned);
    assert_eq!(verdict.map(drop), Err(Refused::NotGenuine));
}

#[test]
fn what_is_no_command_is_malformed() {
    let signed = signature::sign_object(Context::Control, &key(1), &json!({"command": "x"})).unwrap();
    let subject = subject_of(&deploy());
    assert_eq!(receive_on(at(0), &ControlJournal::default(), &subject, &signed).map(drop), Err(Refused::Malformed));
    let receiver = Receiver { host: &host(), holds: &|_| true, keys: &keys() };
    for bytes in [&b"{"[..], b"", b"{\"key_id\":1,\"key_id\":1}", &[b' '; 70_000]] {
        assert_eq!(
            receiver.receive(at(0), &ControlJournal::default(), &subject, bytes).map(drop),
            Err(Refused::Malformed)
        );
    }
}

#[test]
fn a_signature_of_another_kind_is_refused() {
    let mut command = deploy();
    command.signature = signature::sign(Context::Lease, &key(1), &command).unwrap();
    assert_eq!(verdict(&command), Err(Refused::NotGenuine));
}

#[test]
fn subject_and_target_must_fit() {
    let command = deploy();
    let enroll = VAULT_ENROLL.parse::<EventType>().unwrap();
    for subject in [
        Subject::ControlEnclave("host-b".parse().unwrap(), command.command.clone()),
        Subject::ControlGlobal(command.command.clone()),
        Subject::ControlEnclave(host(), enroll),
        Subject::ControlUser(member(1), command.command.clone()),
    ] {
        let verdict = receive_on(at(0), &ControlJournal::default(), &subject, &command);
        assert_eq!(verdict.map(drop), Err(Refused::WrongTarget), "{subject}");
    }
    let elsewhere =
        issue(order(VAULT_DEPLOY, Target::Enclave("host-b".parse().unwrap())), id(1), 1, at(0), &key(1)).unwrap();
    assert_eq!(verdict(&elsewhere), Err(Refused::WrongTarget));
}

#[test]
fn only_the_holder_of_a_vault_acts_for_it() {
    let command = |guid| issue(order("session.invalidate", Target::User(guid)), id(1), 1, at(0), &key(1)).unwrap();
    let taken = receive(at(0), &ControlJournal::default(), &command(member(1)));
    assert!(matches!(taken, Ok(Received::Execute(_))), "{taken:?}");
    let other = receive(at(0), &ControlJournal::default(), &command(member(2)));
    assert!(matches!(other, Ok(Received::NotHeld(named)) if named == id(1)), "{other:?}");
}

#[test]
fn time_is_held_on_both_sides() {
    let command = deploy();
    let verdict = |now| receive(now, &ControlJournal::default(), &command).map(drop);
    let last = 60_000 + MAX_SKEW_MS;
    assert_eq!([verdict(at(-MAX_SKEW_MS)), verdict(at(last))], [Ok(()), Ok(())]);
    assert_eq!([verdict(at(-MAX_SKEW_MS - 1)), verdict(at(last + 1))], [Err(Refused::OutOfTime); 2]);
}

#[test]
fn no_command_lives_longer_than_five_minutes() {
    let long = Order { life_ms: i64::MAX, ..order(VAULT_DEPLOY, Target::Enclave(host())) };
    let issued = issue(long, id(1), 1, at(0), &key(1)).unwrap();
    assert_eq!(issued.expires_at, at(MAX_LIFE_MS));
    for expires_at in [at(MAX_LIFE_MS + 1), at(-1)] {
        let forced = signed(ControlCommand { expires_at, ..deploy() }, &key(1)).unwrap();
        assert_eq!(verdict(&forced), Err(Refused::OutOfTime));
    }
}

#[test]
fn a_repeated_command_gets_the_same_answer_and_no_second_effect() {
    let journal = carried_out(&ControlJournal::default(), &deploy(), at(0));
    let again = receive(at(10), &journal, &deploy());
    assert!(matches!(again, Ok(Received::Repeat(kept)) if kept == result(&deploy())));
    let other = issue(order(VAULT_ENROLL, Target::Enclave(host())), id(1), 6, at(0), &key(1)).unwrap();
    assert_eq!(receive(at(10), &journal, &other).map(drop), Err(Refused::Reused));
}

#[test]
fn sequences_rise_for_each_key_and_target() {
    let journal = carried_out(&ControlJournal::default(), &deploy(), at(0));
    let next = |sequence, target, by| issue(order("health.request", target), id(2), sequence, at(0), &key(by)).unwrap();
    let here = || Target::Enclave(host());
    for (command, expected) in [
        (next(5, here(), 1), Err(Refused::OutOfSequence)),
        (next(0, here(), 1), Err(Refused::OutOfSequence)),
        (next(6, here(), 1), Ok(())),
        (next(1, here(), 2), Ok(())),
        (next(1, Target::Global, 1), Ok(())),
        (next(1, Target::User(member(1)), 1), Ok(())),
        (next(0, Target::Global, 1), Err(Refused::OutOfSequence)),
    ] {
        assert_eq!(receive(at(0), &journal, &command).map(drop), expected, "{command:?}");
    }
}

#[test]
fn a_journal_survives_storage_and_forgets_only_what_cannot_come_back() {
    let journal = carried_out(&ControlJournal::default(), &deploy(), at(0));
    let journal: ControlJournal = serde_json::from_value(serde_json::to_value(journal).unwrap()).unwrap();
    let later = at(60_000 + MAX_SKEW_MS + 1);
    let next = issue(order("health.request", Target::Global), id(2), 1, later, &key(1)).unwrap();
    let journal = carried_out(&journal, &next, later);
    assert_eq!(journal.results.keys().copied().collect::<Vec<_>>(), [id(2)]);
    assert_eq!(receive(later, &journal, &deploy()).map(drop), Err(Refused::OutOfTime));
    let forced = signed(ControlCommand { issued_at: later, expires_at: later, ..deploy() }, &key(1)).unwrap();
    assert_eq!(receive(later, &journal, &forced).map(drop), Err(Refused::OutOfSequence));
}

#[test]
fn classes_bound_what_a_key_may_order() {
    let by = |command: &str, target, key_byte| issue(order(command, target), id(1), 1, at(0), &key(key_byte)).unwrap();
    let here = || Target::Enclave(host());
    assert_eq!(verdict(&by("health.request", Target::Global, 5)), Ok(()));
    assert_eq!(verdict(&by("host.restart", here(), 1)), Ok(()));
    for (command, target, key_byte) in [
        (VAULT_DEPLOY, here(), 5),
        ("host.restart", Target::Global, 1),
        ("host.shutdown", Target::Global, 2),
        ("key.rotate", Target::User(member(1)), 2),
        ("vault.terminate", Target::User(member(1)), 2),
        ("no.such", here(), 2),
    ] {
        assert_eq!(verdict(&by(command, target, key_byte)), Err(Refused::NoAuthority), "{command}");
    }
}

#[test]
fn a_disruptive_command_needs_two_other_persons() {
    let plain = issue(order("host.shutdown", Target::Global), id(1), 1, at(0), &key(2)).unwrap();
    let approvals = |bytes: &[u8]| bytes.iter().map(|byte| approve(&plain, &key(*byte)).unwrap()).collect::<Vec<_>>();
    let with = |approvals| verdict(&with_approvals(plain.clone(), approvals, &key(2)).unwrap());
    assert_eq!(with(approvals(&[3, 4])), Ok(()));
    for too_few in [&[3][..], &[3, 3], &[2, 3], &[1, 3], &[9, 3], &[5, 3]] {
        assert_eq!(with(approvals(too_few)), Err(Refused::NoAuthority), "{too_few:?}");
    }
    let other = issue(order("host.shutdown", Target::Global), id(2), 1, at(0), &key(2)).unwrap();
    let borrowed = vec![approve(&other, &key(3)).unwrap(), approve(&other, &key(4)).unwrap()];
    assert_eq!(with(borrowed), Err(Refused::NoAuthority));
    let added_later = ControlCommand { approvals: approvals(&[3, 4]), ..plain.clone() };
    assert_eq!(verdict(&added_later), Err(Refused::NotGenuine));
}
