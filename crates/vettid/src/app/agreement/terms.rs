//! Terms from the command line, by template.

use crate::failure::Failure;
use clap::{Subcommand, ValueEnum};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use vettid_crypto::kdf::h256;
use vettid_wire::agreement::{AgreementSide, DataTerms, DocumentTerms, MeetingTerms, MoneyTerms, Terms};
use vettid_wire::digest::Digest;
use vettid_wire::rule::{Currency, Money};
use vettid_wire::time::Timestamp;

/// Largest document, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 256 * 1024 * 1024;

/// One of the two, as seen from the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Who {
    /// You
    Me,
    /// The other side
    Them,
}

#[derive(Debug, Subcommand)]
pub(super) enum Template {
    /// A payment
    #[command(after_help = "\
Examples:
  vettid app request new CONNECTION money --amount 20 --currency EUR --payer them \\
    --payee Alice --note lunch
  vettid app request counter ID money --amount 20 --currency EUR --payer them \\
    --payee Alice --note lunch
  vettid app transaction new CONNECTION money --amount 20 --currency EUR --payer them \\
    --payee Alice --note lunch")]
    Money {
        /// How much, such as 500.00
        #[arg(long)]
        amount: Money,
        /// Of what (ISO 4217), such as EUR
        #[arg(long)]
        currency: Currency,
        /// Who pays
        #[arg(long, value_name = "WHO")]
        payer: Who,
        /// Who gets it, in words
        #[arg(long, value_name = "NAME")]
        payee: String,
        /// What for
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// The signature under a document: its name, size and hash, not the document itself
    #[command(after_help = "\
Examples:
  vettid app request new CONNECTION document lease.pdf
  vettid app request counter ID document lease.pdf
  vettid app transaction new CONNECTION document lease.pdf")]
    Document {
        /// The document
        file: PathBuf,
        /// What it is called [default: the name of the file]
        #[arg(long)]
        name: Option<String>,
    },
    /// A meeting
    #[command(after_help = "\
Examples:
  vettid app request new CONNECTION meeting --subject Lease --at 2026-12-01T09:30 \\
    --minutes 30 --place 'The station'
  vettid app request counter ID meeting --subject Lease --at 2026-12-01T09:30 \\
    --minutes 30 --place 'The station'
  vettid app transaction new CONNECTION meeting --subject Lease --at 2026-12-01T09:30 \\
    --minutes 30 --place 'The station'")]
    Meeting {
        /// What it is about
        #[arg(long, value_name = "TEXT")]
        subject: String,
        /// When it begins (UTC), such as 2026-12-01T09:30
        #[arg(long, value_name = "TIME", value_parser = whole_minute)]
        at: Timestamp,
        /// How long it takes
        #[arg(long)]
        minutes: u32,
        /// Where
        #[arg(long)]
        place: String,
    },
    /// Fields of personal data for a purpose
    #[command(after_help = "\
Examples:
  vettid app request new CONNECTION data --giver them --field address \\
    --purpose 'to send the lease'
  vettid app request counter ID data --giver them --field address \\
    --purpose 'to send the lease'
  vettid app transaction new CONNECTION data --giver them --field address \\
    --purpose 'to send the lease'")]
    Data {
        /// Who gives them
        #[arg(long, value_name = "WHO")]
        giver: Who,
        /// The name of a field; may be given more than once
        #[arg(long = "field", value_name = "NAME", required = true)]
        fields: Vec<String>,
        /// What for
        #[arg(long, value_name = "TEXT")]
        purpose: String,
    },
}

pub(in crate::app) fn whole_minute(text: &str) -> Result<Timestamp, String> {
    let full = format!("{}:00.000Z", text.replacen(' ', "T", 1));
    full.parse().map_err(|_| "a time such as 2026-12-01T09:30 is expected".to_owned())
}

impl Who {
    fn side(self, own: AgreementSide) -> AgreementSide {
        match (self, own) {
            (Self::Me, own) => own,
            (Self::Them, AgreementSide::Proposer) => AgreementSide::Asked,
            (Self::Them, AgreementSide::Asked) => AgreementSide::Proposer,
        }
    }
}

impl Template {
    /// The terms, where the owner is on this side.
    pub(super) fn terms(self, own: AgreementSide) -> Result<Terms, Failure> {
        let terms = match self {
            Self::Money { amount, currency, payer, payee, note } => {
                Terms::Money(MoneyTerms { payer: payer.side(own), amount, currency, payee, note })
            }
            Self::Document { file, name } => Terms::Document(document(&file, name)?),
            Self::Meeting { subject, at, minutes, place } => {
                Terms::Meeting(MeetingTerms { subject, starts_at: at, duration_minutes: minutes, place })
            }
            Self::Data { giver, fields, purpose } => {
                let fields = fields.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
                Terms::Data(DataTerms { giver: giver.side(own), fields, purpose })
            }
        };
        terms.check().map_err(Failure::usage)?;
        Ok(terms)
    }
}

pub(crate) fn document(path: &Path, name: Option<String>) -> Result<DocumentTerms, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::usage(format_args!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size_bytes > MAX_DOCUMENT_BYTES {
        return Err(unreadable(&"the document is larger than 256 MiB"));
    }
    let of_file = || path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.or_else(of_file).unwrap_or_default();
    Ok(DocumentTerms { name, sha256: Digest::from_bytes(h256(&bytes)), size_bytes })
}
