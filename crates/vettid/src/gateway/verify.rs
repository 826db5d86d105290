//! `vettid gateway verify`: how members can see who the service is. Prints the record to publish in DNS, claims the domain at the registry
//! through the running gateway, and tells how things stand.

use super::keys::Face;
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;
use url::Host;
use vettid_wire::directory::{Domain, Finding, Level};
use vettid_wire::time::Timestamp;

const EXAMPLES: &str = "\
Examples:
  vettid gateway verify --config /etc/vettid/gateway.toml
  vettid gateway verify --config /etc/vettid/gateway.toml domain example.org

Publish the record that is printed, and say the second again when DNS knows it. The registry looks for it once a day from then on; if
it is missing for three days, the service is verified no more.";

/// `vettid gateway verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The configuration file (TOML) of the running gateway, with a section [http]
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Call the gateway at this address, such as http://127.0.0.1:8090, if the configuration names no port
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Prove a domain: print its record, and have the registry look for it now
    #[command(after_help = "Example:\n  vettid gateway verify --config gateway.toml domain example.org")]
    Domain {
        /// The domain that members know the service by
        #[arg(value_name = "DOMAIN", value_parser = domain)]
        domain: Domain,
    },
}

/// Letters of other scripts become the form that DNS has.
fn domain(text: &str) -> Result<Domain, String> {
    let wrong = || "a domain such as example.org".to_owned();
    match Host::parse(text) {
        Ok(Host::Domain(ascii)) => ascii.parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// As the gateway tells it.
#[derive(Debug, Serialize, Deserialize)]
struct Standing {
    level: Level,
    record_text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Proved>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certification: Option<Word>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Proved {
    domain: Domain,
    since: Timestamp,
    checked_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct Word {
    reason: String,
    until: Timestamp,
}

/// As the gateway tells it.
#[derive(Debug, Serialize, Deserialize)]
struct Claimed {
    record_name: String,
    found: Finding,
    standing: Standing,
}

pub(super) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let face = Face::of(&arguments.config, arguments.address)?;
    match arguments.command {
        None => Ok(output.result(&face.ask::<Standing>(face.get("/v1/verification")).await?)?),
        Some(Command::Domain { domain }) => {
            let request = face.post("/v1/verification").json(&json!({"domain": domain}));
            Ok(output.result(&face.ask::<Claimed>(request).await?)?)
        }
    }
}

impl Show for Standing {
    fn show(&self, page: &mut Page) {
        page.line(match self.level {
            Level::Unverified => "Not verified: members are told so.",
            Level::Verified => "Verified.",
            Level::Certified => "Certified by the operator.",
        });
        if let Some(proved) = &self.domain {
            page.field("domain", proved.domain.as_str());
            page.field("since", minute(proved.since));
            page.field("checked", minute(proved.checked_at));
        }
        if let Some(word) = &self.certification {
            page.field("reason", &word.reason);
            page.field("until", minute(word.until));
        }
        page.field("record", format!("TXT \"{}\"", self.record_text));
    }
}

impl Show for Claimed {
    fn show(&self, page: &mut Page) {
        page.line("The record in DNS:");
        page.line(format!("  {}. IN TXT \"{}\"", self.record_name, self.standing.record_text));
        page.gap();
        page.line(match self.found {
            Finding::Confirmed => "It was found.",
            Finding::Absent => {
                "It is not there yet. Publish it; the registry looks again by itself, or say this again."
            }
            Finding::Unknown => "DNS did not answer, or its servers disagree. The registry looks again by itself.",
        });
        page.gap();
        self.standing.show(page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_written_as_dns_has_it() {
        assert_eq!(domain("Example.ORG").unwrap().as_str(), "example.org");
        assert_eq!(domain("bücher.example").unwrap().as_str(), "xn--bcher-kva.example");
        for wrong in ["", "localhost", "192.0.2.1", "[::1]", "https://example.org", "example.org/x"] {
            assert!(domain(wrong).is_err(), "{wrong}");
        }
    }
}
