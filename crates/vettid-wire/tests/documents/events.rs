//! `docs/events.md` is made from the event rows. `UPDATE_DOCS=1` writes it anew.

use crate::assert_written;
use std::fmt::Write as _;
use vettid_wire::event::{Delivery, Lane, ROWS, Row};

const ROW_SOURCE: &str = include_str!("../../src/event.rs");

const HEAD: &str = "\
# Events

Generated from the rows in `crates/vettid-wire/src/event.rs`; do not edit. To write it anew:

```sh
UPDATE_DOCS=1 cargo nextest run -p vettid-wire --test documents
```

- **Delivery**: *durable* events are kept by the receiver's inbox until its vault has committed them. *Best effort*
  reaches whoever listens now.
- **Within**: an event that arrives later than this after its timestamp has no effect. A dash means no limit.
- **Up to**: the largest plaintext.
- **Request** and **reply** are the Rust types of the bodies, in `crates/vettid-wire/src/`; `Nothing` is the empty object.
  An owner's command is answered on `forApp`, a connection's or service's event by an event of its own, or not at all
  where the reply is `Nothing`.
";

#[test]
fn the_table_of_events_is_that_of_the_rows() {
    assert_written("docs/events.md", &document());
}

#[test]
fn every_row_is_listed_with_its_bodies() {
    let text = document();
    for row in ROWS {
        let (request, reply) = bodies(row);
        let line = text.lines().find(|line| line.contains(row.summary) && line.contains(&request)).unwrap();
        assert!(line.contains(row.name) && line.contains(&reply), "{line}");
    }
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for lane in Lane::ALL {
        let rows: Vec<&Row> = ROWS.iter().filter(|row| row.lane == lane).collect();
        assert!(!rows.is_empty(), "{lane:?} has no rows");
        section(&mut text, lane, &rows);
    }
    text
}

fn section(text: &mut String, lane: Lane, rows: &[&Row]) {
    let (title, subject) = lane_words(lane);
    let first = "| event | delivery | within | up to | request | reply | what for |";
    write!(text, "\n## {title}\n\nSubject: `{subject}`\n\n{first}\n|---|---|---|---|---|---|---|\n").unwrap();
    for row in rows {
        let (request, reply) = bodies(row);
        writeln!(
            text,
            "| `{}` | {} | {} | {} KiB | `{request}` | `{reply}` | {} |",
            row.name,
            delivery(row.delivery),
            within(row.within_ms),
            row.cap_bytes / 1024,
            row.summary
        )
        .unwrap();
    }
}

fn lane_words(lane: Lane) -> (&'static str, &'static str) {
    match lane {
        Lane::Bootstrap => ("Bootstrap: app to vault, before a session", "OwnerSpace.{guid}.forVault.{event}"),
        Lane::Owner => ("Owner: app to vault, inside a session", "OwnerSpace.{guid}.forVault.{event}"),
        Lane::App => ("App: vault to app, unasked", "OwnerSpace.{guid}.forApp.{event}.{event_id}"),
        Lane::Invite => ("Invite: holder of an invitation", "MessageSpace.{guid}.forOwner.invite.{invite_id}"),
        Lane::Connection => {
            ("Connection: a member's vault to a vault", "MessageSpace.{guid}.forOwner.{connection_id}.{event}")
        }
        Lane::Service => ("Service: a service to a vault", "MessageSpace.{guid}.fromService.{service_id}.{event}"),
        Lane::Member => {
            ("Member: a member's vault to a service", "MessageSpace.{guid}.forOwner.{connection_id}.{event}")
        }
        Lane::Services => ("Services: vault to the operator's services", "OwnerSpace.{guid}.forServices.{event}"),
    }
}

fn delivery(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Durable => "durable",
        Delivery::BestEffort => "best effort",
    }
}

fn within(limit_ms: Option<i64>) -> String {
    match limit_ms {
        Some(ms) if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        Some(ms) => format!("{} s", ms / 1_000),
        None => "–".to_owned(),
    }
}

/// The request and the reply of a row as its source names them.
fn bodies(row: &Row) -> (String, String) {
    let start = format!("\"{}\", {:?}, {:?},", row.name, row.lane, row.delivery);
    let mut rows = ROW_SOURCE.lines().filter(|line| line.contains(&start));
    let line = rows.next().unwrap_or_else(|| panic!("the row of {} is not on one line", row.name));
    assert!(rows.next().is_none(), "{} has two rows", row.name);
    let (_, pair) = line.split_once("KiB, ").unwrap();
    let (request, reply) = pair.trim_end_matches(';').split_once(" => ").unwrap();
    (request.to_owned(), reply.to_owned())
}
