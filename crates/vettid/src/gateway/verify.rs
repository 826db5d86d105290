//! `vettid gateway verify`: how members can see who the service is. Prints the record to publish in DNS, claims the domain at the registry
//! through the running gateway, and tells how things stand.

use super::program::{Target, failed};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use url::Host;
use vettid_gateway_client::{ClaimedDomain, Standing};
use vettid_wire::directory::{Domain, Finding, Level};

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
    #[command(flatten)]
    target: Target,
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

pub(super) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let gateway = arguments.target.client()?;
    match arguments.command {
        None => Ok(output.result(&gateway.verification().await.map_err(failed)?)?),
        Some(Command::Domain { domain }) => Ok(output.result(&gateway.claim_domain(&domain).await.map_err(failed)?)?),
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

impl Show for ClaimedDomain {
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
