//! `vettid app record`: takes the signed record of an agreement home and checks it on arrival.

use super::{Client, advice, authorisation, private_file};
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;
use vettid_client::clock::{Clock as _, SystemClock};
use vettid_crypto::agreement::verify_record;
use vettid_crypto::authorisation::verify_record as verify_answered;
use vettid_wire::agreement::AgreementRef;
use vettid_wire::event::AgreementExport;
use vettid_wire::id::{AgreementId, RequestId};
use vettid_wire::json;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write the record of a request or transaction that was approved or denied, with a member or for a service
    #[command(after_help = "\
Examples:
  vettid app record export ID --to lease.json
  vettid app record export ID > lease.json

The record is checked before it is written. To check it again, anywhere: vettid verify FILE")]
    Export(Export),
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The request or transaction
    #[arg(value_name = "ID")]
    id: AgreementId,
    /// Write to this new file instead of standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    let Command::Export(Export { id, to }) = wanted;
    let bytes = match authorisation::record(app, RequestId::from_bytes(id.to_bytes())).await? {
        Some(record) => {
            let bytes = json::canonical(&record).map_err(|error| Failure::new(Exit::Other, error))?;
            verify_answered(&bytes, SystemClock.now(), &[]).map_err(|error| wrong(&error))?;
            bytes
        }
        None => {
            let asked = AgreementRef { agreement_id: id };
            let record = app.command::<AgreementExport>(asked).await.map_err(advice::command)?;
            let bytes = json::canonical(&record).map_err(|error| Failure::new(Exit::Other, error))?;
            verify_record(&bytes, SystemClock.now(), &[]).map_err(|error| wrong(&error))?;
            bytes
        }
    };
    match to {
        Some(file) => {
            private_file::write(&file, &bytes)?;
            Ok(output.result(&Written { file, agreement_id: id })?)
        }
        None => Ok(output.raw_bytes(&bytes)?),
    }
}

fn wrong(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Refused, error).next("do not rely on this vault")
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    agreement_id: AgreementId,
}

impl Show for Written {
    fn show(&self, page: &mut Page) {
        let file = self.file.display();
        page.line(format!("Wrote {file}; the record holds."));
        page.next("To check it again, anywhere", &format!("vettid verify {file}"));
    }
}
