//! `vettid app secret`: critical secrets. Their values come from a hidden prompt, a file or standard input, never from the
//! command line; there is no way to write them all out.

mod import;
mod shown;
mod value;

use super::credential::{failure, grant_minutes};
use super::password::PasswordInput;
use super::{Client, input};
use crate::failure::Failure;
use crate::output::Output;
use clap::{Args, Subcommand, ValueEnum};
use shown::{Ended, GrantView, List, Removed, Signed, Stored};
use std::path::{Path, PathBuf};
use value::{Curve, Kind, ValueInput};
use vettid_client::vault_credential::{Gained, NewSecret};
use vettid_wire::base64::Base64;
use vettid_wire::secret::{
    GrantRef, Input, MAX_GRANT_USES, MAX_INPUT_BYTES, OpenGrant, Operation, SecretSummary, UseSecret, is_label,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a secret; its value is asked for, or comes from a file or standard input
    #[command(after_help = "\
Examples:
  vettid app secret add Savings --kind seed-phrase
  vettid app secret add Deploy --kind signing-key --curve ed25519 --generate
  vettid app secret add Bank --kind password --generate --category money
  vettid app secret add Passport --kind file --value-file passport.pdf

A signing key is typed as 64 hexadecimal digits. With --password-stdin the first line of standard input is the password
and the rest is the value.")]
    Add(Add),
    /// List your secrets, without their values
    #[command(after_help = "Examples:\n  vettid app secret list\n  vettid app --json secret list")]
    List,
    /// Show the value of a secret
    #[command(after_help = "\
Examples:
  vettid app secret show Savings
  vettid app secret show Passport --out passport.pdf")]
    Show(ShowOne),
    /// Sign a message, or a digest of 32 bytes, with a signing key; the key stays where it is
    #[command(after_help = "\
Examples:
  vettid app secret sign Deploy --in release.txt
  vettid app secret sign Savings --digest --in digest.hex")]
    Sign(Sign),
    /// Decrypt an `age` file with a private key; the key stays where it is
    #[command(after_help = "Example:\n  vettid app secret decrypt Archive --in letter.age --out letter.txt")]
    Decrypt(Decrypt),
    /// Replace the value of a secret by another of the same kind
    #[command(after_help = "\
Examples:
  vettid app secret rotate Bank --generate
  vettid app secret rotate Door --value-file door.txt")]
    Rotate(Rotate),
    /// Remove a secret for good
    #[command(after_help = "Example:\n  vettid app secret remove Bank")]
    Remove(Remove),
    /// Open a grant: one operation with one secret goes without the password for some minutes
    #[command(after_help = "\
Examples:
  vettid app secret grant Deploy --operation sign --uses 10 --minutes 30
  vettid app secret grant Deploy --operation sign --end")]
    Grant(Grant),
    /// Take over the secrets of another program
    #[command(after_help = "\
Examples:
  vettid app secret import --bitwarden export.json
  vettid app secret import --csv secrets.csv --dry-run

The file of --bitwarden is Bitwarden's export as JSON without encryption: logins become passwords, secure notes become
notes. The file of --csv has the columns label, kind, value and category. What is there already is left out, so an import
that was interrupted goes on when it is given again. Delete the file afterwards.")]
    Import(import::Arguments),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Your name for it, at most 64 characters
    #[arg(value_name = "LABEL", value_parser = label)]
    label: String,
    /// What it is
    #[arg(long, value_enum)]
    kind: Kind,
    /// Curve of a signing key
    #[arg(long, value_enum, required_if_eq("kind", "signing-key"))]
    curve: Option<Curve>,
    /// Your category for it
    #[arg(long, value_parser = label)]
    category: Option<String>,
    /// Longest time for which a grant may open it, in minutes: 5 to 60, or 0 for never
    #[arg(long, value_name = "MINUTES", value_parser = grant_minutes)]
    grant_minutes: Option<u32>,
    #[command(flatten)]
    value: ValueInput,
    #[command(flatten)]
    password: PasswordInput,
}

/// Names a secret.
#[derive(Debug, Args)]
struct Name {
    /// Label or id of the secret
    #[arg(value_name = "SECRET")]
    secret: String,
}

#[derive(Debug, Args)]
pub(super) struct ShowOne {
    #[command(flatten)]
    name: Name,
    /// Write the value into this new file instead
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordInput,
}

#[derive(Debug, Args)]
pub(super) struct Sign {
    #[command(flatten)]
    name: Name,
    /// What to sign [default: standard input]
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// The input is a digest of 32 bytes that you made yourself, as 64 hexadecimal digits; not for Ed25519
    #[arg(long)]
    digest: bool,
    #[command(flatten)]
    password: PasswordInput,
}

#[derive(Debug, Args)]
pub(super) struct Decrypt {
    #[command(flatten)]
    name: Name,
    /// The `age` file [default: standard input]
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write the content into this new file [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordInput,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    value: ValueInput,
    #[command(flatten)]
    password: PasswordInput,
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    password: PasswordInput,
}

#[derive(Debug, Args)]
pub(super) struct Grant {
    #[command(flatten)]
    name: Name,
    /// The one operation
    #[arg(long, value_enum)]
    operation: Operated,
    /// How often
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_GRANT_USES)))]
    uses: u32,
    /// For how long at most
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(5..=60))]
    minutes: u32,
    /// End the grant instead
    #[arg(long, conflicts_with_all = ["uses", "minutes", "password_stdin"])]
    end: bool,
    #[command(flatten)]
    password: PasswordInput,
}

/// What is done with a secret.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Operated {
    Sign,
    Decrypt,
    Reveal,
}

impl From<Operated> for Operation {
    fn from(operated: Operated) -> Self {
        match operated {
            Operated::Sign => Self::Sign,
            Operated::Decrypt => Self::Decrypt,
            Operated::Reveal => Self::Reveal,
        }
    }
}

fn label(text: &str) -> Result<String, &'static str> {
    if is_label(text) { Ok(text.to_owned()) } else { Err("1 to 64 characters, on one line") }
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::Add(add) => add.run(app, output).await,
        Command::List => {
            let secrets = app.secrets().await.map_err(failure)?;
            Ok(output.result(&List { secrets })?)
        }
        Command::Show(show) => show.run(app, output).await,
        Command::Sign(sign) => sign.run(app, output).await,
        Command::Decrypt(decrypt) => decrypt.run(app, output).await,
        Command::Rotate(rotate) => rotate.run(app, output).await,
        Command::Remove(remove) => remove.run(app, output).await,
        Command::Grant(grant) => grant.run(app, output).await,
        Command::Import(arguments) => import::run(arguments, app, output).await,
    }
}

impl Add {
    async fn run(self, app: &Client, output: Output) -> Result<(), Failure> {
        let mut source = self.password.present()?;
        let value = self.value.read(self.kind.into(), self.curve.map(Into::into))?;
        let Self { label, category, grant_minutes, .. } = self;
        let new = NewSecret { label, category, grant_minutes, value };
        let summary = app.add_secret(new, &mut source).await.map_err(failure)?;
        Ok(output.result(&Stored { summary })?)
    }
}

impl ShowOne {
    async fn run(self, app: &Client, output: Output) -> Result<(), Failure> {
        let mut source = self.password.present()?;
        let secret = self.name.find(app).await?;
        let wanted = UseSecret { secret_id: secret.secret_id, operation: Operation::Reveal, input: None };
        let gained = app.use_secret(wanted, &mut source).await.map_err(failure)?;
        shown::value(&secret, gained, self.out.as_deref(), output)
    }
}

impl Sign {
    async fn run(self, app: &Client, output: Output) -> Result<(), Failure> {
        let mut source = self.password.present()?;
        let bytes = input::bytes(self.input.as_deref(), MAX_INPUT_BYTES, "Type what to sign")?;
        let input = if self.digest {
            Input::Digest(Base64::new(value::digits(&bytes)?.expose().to_vec()))
        } else {
            Input::Message(Base64::new(bytes.to_vec()))
        };
        let secret = self.name.find(app).await?;
        let wanted = UseSecret { secret_id: secret.secret_id, operation: Operation::Sign, input: Some(input) };
        match app.use_secret(wanted, &mut source).await.map_err(failure)? {
            Gained::Signature(signature) => Ok(output.result(&Signed::new(&secret, signature))?),
            Gained::Value(_) => Err(unexpected()),
        }
    }
}

impl Decrypt {
    async fn run(self, app: &Client, output: Output) -> Result<(), Failure> {
        let mut source = self.password.present()?;
        let bytes = input::bytes(self.input.as_deref(), MAX_INPUT_BYTES, "Paste the age file")?;
        let input = Some(Input::Age(Base64::new(bytes.to_vec())));
        let secret = self.name.find(app).await?;
        let wanted = UseSecret { secret_id: secret.secret_id, operation: Operation::Decrypt, input };
        let gained = app.use_secret(wanted, &mut source).await.map_err(failure)?;
        shown::decrypted(&secret, gained, self.out.as_deref(), output)
    }
}

impl Rotate {
    async fn run(self, app: &Client, output: Output) -> Result<(), Failure> {
        let mut source = self.password.present()?;
        let secret = self.name.find(app).await?;
        let value = self.value.read(secret.kind, secret.curve)?;
        let summary = app.rotate_secret(secret.secret_id, value, &mut source).await.map_err(failure)?;
        Ok(output.result(&Stored { summary })?)
    }
}

impl Remove {
    async fn run(self, app: &Client, output: Output) -> Result<(), Failure> {
        let mut source = self.password.present()?;
        let secret = self.name.find(app).await?;
        app.remove_secret(secret.secret_id, &mut source).await.map_err(failure)?;
        Ok(output.result(&Removed { removed: secret.secret_id, label: secret.label })?)
    }
}

impl Grant {
    async fn run(self, app: &Client, output: Output) -> Result<(), Failure> {
        let (operation, uses, minutes) = (self.operation.into(), self.uses, self.minutes);
        let mut source = if self.end { None } else { Some(self.password.present()?) };
        let SecretSummary { secret_id, label, .. } = self.name.find(app).await?;
        match source.as_mut() {
            Some(source) => {
                let wanted = OpenGrant { secret_id, operation, uses, minutes };
                let grant = app.open_grant(wanted, source).await.map_err(failure)?;
                Ok(output.result(&GrantView { label, uses, grant })?)
            }
            None => {
                app.end_grant(GrantRef { secret_id, operation }).await.map_err(failure)?;
                Ok(output.result(&Ended { secret_id, operation })?)
            }
        }
    }
}

impl Name {
    /// The secret of this label or id.
    async fn find(&self, app: &Client) -> Result<SecretSummary, Failure> {
        const LIST: &str = "see: vettid app secret list";
        let mut found: Vec<SecretSummary> = app.secrets().await.map_err(failure)?;
        let by_id = self.secret.parse().ok();
        found.retain(|secret| Some(secret.secret_id) == by_id || secret.label == self.secret);
        match (found.pop(), found.is_empty()) {
            (Some(secret), true) => Ok(secret),
            (Some(_), false) => {
                Err(Failure::usage("several secrets have this label").next(format!("name its id; {LIST}")))
            }
            (None, _) => Err(Failure::usage("there is no such secret").next(LIST)),
        }
    }
}

fn unexpected() -> Failure {
    Failure::new(crate::failure::Exit::Other, "the vault answered with something else").next("update this program")
}

/// Writes a value into a new file that only its owner may read.
fn write_new(path: &Path, value: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(value).and_then(|()| file.sync_all()));
    written.map_err(|error| Failure::new(crate::failure::Exit::Other, format_args!("{}: {error}", path.display())))
}
