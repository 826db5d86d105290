//! Questions about several fields: one screen, and a yes for each field. What nobody said yes to is denied.

use crate::failure::{Exit, Failure};
use crate::output::{Page, printable};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use vettid_wire::request::{Ask, PendingRequest};

/// The fields that the member says yes to; empty where the question is about something else.
pub(super) fn chosen(pending: Option<&PendingRequest>, named: &[String]) -> Result<Vec<String>, Failure> {
    let Some(Ask::DataBatch { fields, purpose }) = pending.map(|pending| &pending.ask) else {
        return match named {
            [] => Ok(vec![]),
            _ => Err(Failure::usage("this request is not about several fields: leave --field out")),
        };
    };
    let unknown = named.iter().find(|name| !fields.contains(name));
    if let Some(name) = unknown {
        return Err(Failure::usage(format_args!("{name} is not among the fields that are asked for")));
    }
    let who = pending.map_or("", |pending| pending.display_name.as_str());
    let chosen = if named.is_empty() { asked(who, fields, purpose)? } else { named.to_vec() };
    if chosen.is_empty() {
        return Err(Failure::new(Exit::Refused, "nothing was approved").next("to say no: vettid app request deny ID"));
    }
    Ok(chosen)
}

/// Asks field by field at the terminal.
fn asked(who: &str, fields: &[String], purpose: &str) -> Result<Vec<String>, Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::usage("say which of the fields you give, with --field FIELD for each")
            .next("see them with: vettid app request list"));
    }
    let mut screen = io::stderr();
    writeln!(screen, "{} asks to read some of your data, for: {}", printable(who), printable(purpose))?;
    let mut chosen = Vec::new();
    for field in fields {
        write!(screen, "  your {}? [y/N] ", printable(field))?;
        screen.flush()?;
        let mut typed = String::new();
        io::stdin().lock().take(64).read_line(&mut typed)?;
        if typed.trim().eq_ignore_ascii_case("y") {
            chosen.push(field.clone());
        }
    }
    Ok(chosen)
}

pub(super) fn show(who: &str, fields: &[String], purpose: &str, page: &mut Page) {
    page.line(format!("{who} asks to read your {}", fields.join(", ")));
    page.field("what for", purpose);
    let options: Vec<_> = fields.iter().map(|field| format!("--field {field}")).collect();
    page.field("to give all", format!("vettid app request approve ID {}", options.join(" ")));
    page.field("to give some", "name only those; the others are denied");
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_wire::id::{ConnectionId, RequestId};
    use vettid_wire::time::Timestamp;

    fn pending(ask: Ask) -> PendingRequest {
        PendingRequest {
            request_id: RequestId::from_bytes([1; 16]),
            connection_id: ConnectionId::from_bytes([2; 16]),
            display_name: "Shop".to_owned(),
            ask,
            login: None,
            received_at: Timestamp::from_unix_ms(0),
            expires_at: Timestamp::from_unix_ms(1),
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_yes_names_fields_that_are_asked_for_and_no_others() {
        let several = pending(Ask::DataBatch { fields: names(&["address", "email"]), purpose: "p".to_owned() });
        assert_eq!(chosen(Some(&several), &names(&["email"])).unwrap(), ["email"]);
        assert!(chosen(Some(&several), &names(&["email", "ssn"])).is_err());
        // Without a terminal nothing is chosen by itself.
        assert!(chosen(Some(&several), &[]).is_err());
        let one = pending(Ask::Data { field: "email".to_owned(), purpose: "p".to_owned() });
        assert_eq!(chosen(Some(&one), &[]).unwrap(), names(&[]));
        assert!(chosen(Some(&one), &names(&["email"])).is_err() && chosen(None, &names(&["email"])).is_err());
    }
}
