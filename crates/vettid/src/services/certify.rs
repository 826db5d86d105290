//! `vettid services certify`: the operator's word for a service, as a command that the operator's own key signs. Needs the key file of
//! services, and changes nothing but over the API of running services.

use super::File;
use crate::failure::{Exit, Failure};
use crate::https::Operator;
use crate::output::{Output, Page, Show, minute};
use crate::server_process::{beside, read_config};
use serde::Serialize;
use std::path::{Path, PathBuf};
use vettid_services::certification;
use vettid_wire::directory::{Level, ServiceStanding};
use vettid_wire::id::ServiceId;
use vettid_wire::time::Timestamp;

/// `vettid services certify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vettid services certify demo-shop --config /etc/vettid/services.toml --until 2027-11-30 \\
    --reason 'Register of companies, HRB 1234'
  vettid services certify demo-shop --config /etc/vettid/services.toml --withdraw \\
    --reason 'Company dissolved'

Members see the reason. It counts while the service's domain is verified, and ends with the day that is named.")]
pub(super) struct Arguments {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: ServiceId,
    /// The configuration file (TOML) of the running services
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What was looked at, or why it ends; one line, which members see
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Until the end of this day (UTC)
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = end_of_day, required_unless_present = "withdraw")]
    until: Option<Timestamp>,
    /// Take the word back now
    #[arg(long, conflicts_with = "until")]
    withdraw: bool,
}

fn end_of_day(text: &str) -> Result<Timestamp, String> {
    format!("{text}T23:59:59.999Z").parse().map_err(|_| "a day such as 2027-11-30".to_owned())
}

/// What the registry says of the service now.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Said(ServiceStanding);

impl Show for Said {
    fn show(&self, page: &mut Page) {
        let standing = &self.0;
        page.line(match standing.level {
            Level::Certified => format!("{} is certified.", standing.service_id),
            Level::Verified => format!("{} is verified, and not certified.", standing.service_id),
            Level::Unverified => {
                format!("{} is not verified now: its domain has to be found first.", standing.service_id)
            }
        });
        if let Some(known) = &standing.domain {
            page.field("domain", known.domain.as_str());
        }
        if let Some(word) = &standing.certification {
            page.field("reason", &word.reason);
            page.field("until", minute(word.until));
        }
    }
}

pub(super) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let Arguments { service, config: path, reason, until, .. } = arguments;
    let file: File = read_config(&path)?;
    let data_dir = beside(&path, &file.data);
    let command = certification::command(&data_dir, &beside(&path, &file.key_file), service, reason, until);
    let command = command.map_err(|error| Failure::new(Exit::State, error))?;
    let authority = std::fs::read_to_string(data_dir.join("ca.pem"))
        .map_err(|error| Failure::new(Exit::State, error).next("start services once, which writes ca.pem"))?;
    let operator = Operator::new(&url(&file, &data_dir)?, &authority)?;
    let standing = operator.post("/v1/registry/certifications", None, &command).await?;
    Ok(output.result(&Said(standing))?)
}

/// Where the running services listen.
fn url(file: &File, data_dir: &Path) -> Result<String, Failure> {
    if let Some(url) = &file.public_url {
        return Ok(url.clone());
    }
    let mut address = file.listen;
    if address.port() == 0 {
        let port = std::fs::read_to_string(data_dir.join("api.port")).ok().and_then(|text| text.trim().parse().ok());
        address.set_port(port.ok_or_else(|| Failure::usage("services have not been started yet"))?);
    }
    Ok(format!("https://{address}"))
}
