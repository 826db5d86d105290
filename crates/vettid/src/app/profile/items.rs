//! Items of the profile: what they say, who sees them, and what a connection sees of it all.

use super::super::advice::command;
use super::super::{Client, input};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute, printable};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use vettid_crypto::kdf::h256;
use vettid_wire::digest::Digest;
use vettid_wire::event::{Nothing, ProfileItemList, ProfileItemRemove, ProfileItemSet, ProfilePreview};
use vettid_wire::feed::Tag;
use vettid_wire::id::ConnectionId;
use vettid_wire::profile::{
    Age, Audience, ItemName, ItemValue, PreviewProfile, ProfileItem, ProfileItems, SignedProfile, TrustedResource,
};

/// Largest file that is taken in to be hashed, in bytes.
const MAX_RESOURCE_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(in crate::app) enum Command {
    /// Put an item in, or change what it says; who sees it stays as it was, and nobody at first
    #[command(after_help = "\
Examples:
  vettid app profile item set age --age 34
  vettid app profile item set age --age 30-39 --everybody
  vettid app profile item set home --location Hamburg --with-tag friend
  vettid app profile item set site --link https://alice.example --everybody
  vettid app profile item set app --resource app.apk --version 2.1 --everybody")]
    Set(Set),
    /// Say who sees an item
    #[command(after_help = "\
Examples:
  vettid app profile item share home --with-tag friend --with ID
  vettid app profile item share site --everybody
  vettid app profile item share home --nobody")]
    Share(Share),
    /// Take an item out
    #[command(after_help = "Example:\n  vettid app profile item remove home")]
    Remove(Name),
    /// List the items with who sees each
    #[command(after_help = "Example:\n  vettid app profile item list")]
    List,
}

#[derive(Debug, Args)]
pub(in crate::app) struct Seen {
    /// As this connection sees it
    #[arg(long = "as", value_name = "ID", conflicts_with = "as_stranger")]
    by: Option<ConnectionId>,
    /// As whoever reads the published profile sees it
    #[arg(long)]
    as_stranger: bool,
}

impl Seen {
    pub(super) fn is_preview(&self) -> bool {
        self.by.is_some() || self.as_stranger
    }
}

#[derive(Debug, Args)]
pub(in crate::app) struct Name {
    /// The item: small letters, digits and _
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
pub(in crate::app) struct Set {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    value: Value,
    /// The version of the file of --resource
    #[arg(long, value_name = "VERSION", requires = "resource")]
    version: Option<String>,
    /// Where the file of --resource is offered
    #[arg(long, value_name = "URL", requires = "resource")]
    url: Option<String>,
    #[command(flatten)]
    audience: AudienceArguments,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Value {
    /// An age in years, or a band such as 30-39
    #[arg(long, value_name = "YEARS", value_parser = age)]
    age: Option<Age>,
    /// Where you are at home, as roughly as you like
    #[arg(long, value_name = "PLACE")]
    location: Option<String>,
    /// A text
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// A page that you stand for; https only
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    /// A file that you stand for; its hash goes into the profile, not the file
    #[arg(long, value_name = "FILE", requires = "version")]
    resource: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::app) struct Share {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    audience: AudienceArguments,
    /// Nobody any more
    #[arg(long, conflicts_with_all = ["everybody", "with", "with_tag"])]
    nobody: bool,
}

#[derive(Debug, Args)]
struct AudienceArguments {
    /// Every connection, and whoever reads the published profile
    #[arg(long, conflicts_with_all = ["with", "with_tag"])]
    everybody: bool,
    /// This connection; may be given more than once
    #[arg(long, value_name = "ID")]
    with: Vec<ConnectionId>,
    /// Connections with this tag; may be given more than once
    #[arg(long, value_name = "TAG")]
    with_tag: Vec<Tag>,
}

impl AudienceArguments {
    fn given(self) -> Option<Audience> {
        let audience = Audience {
            everybody: self.everybody,
            connections: self.with.into_iter().collect(),
            tags: self.with_tag.into_iter().collect(),
        };
        (audience != Audience::default()).then_some(audience)
    }
}

/// `34`, or `30-39`.
fn age(text: &str) -> Result<Age, String> {
    let years = |text: &str| text.trim().parse::<u8>().ok();
    let age = match text.split_once('-') {
        Some((from, to)) => years(from).zip(years(to)).map(|(from, to)| Age::Band(from, to)),
        None => years(text).map(Age::Years),
    };
    age.filter(|age| ItemValue::Age(*age).is_sound())
        .ok_or_else(|| "years, such as 34, or a band, such as 30-39".into())
}

pub(super) async fn preview(seen: &Seen, app: &Client, output: Output) -> Result<(), Failure> {
    let request = PreviewProfile { connection_id: seen.by };
    Ok(output.result(&app.command::<ProfilePreview>(request).await.map_err(command)?)?)
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    let items = match wanted {
        Command::List => items(app).await?,
        Command::Remove(name) => {
            app.command::<ProfileItemRemove>(ItemName { name: name.name }).await.map_err(command)?
        }
        Command::Set(set) => {
            let value = set.value.read(set.version, set.url)?;
            let name = set.name.name;
            let audience = match set.audience.given() {
                Some(audience) => audience,
                None => present(app, &name).await?.map(|item| item.audience).unwrap_or_default(),
            };
            put(app, ProfileItem { name, value, audience }).await?
        }
        Command::Share(share) => {
            let name = share.name.name;
            let Some(item) = present(app, &name).await? else {
                return Err(Failure::usage(format_args!("your profile has no item {name}")));
            };
            let Some(audience) = share.audience.given().or(share.nobody.then(Audience::default)) else {
                return Err(Failure::usage("say who sees it: --everybody, --nobody, --with ID, --with-tag TAG"));
            };
            put(app, ProfileItem { audience, ..item }).await?
        }
    };
    Ok(output.result(&items)?)
}

async fn items(app: &Client) -> Result<ProfileItems, Failure> {
    app.command::<ProfileItemList>(Nothing {}).await.map_err(command)
}

async fn present(app: &Client, name: &str) -> Result<Option<ProfileItem>, Failure> {
    Ok(items(app).await?.items.into_iter().find(|item| item.name == name))
}

async fn put(app: &Client, item: ProfileItem) -> Result<ProfileItems, Failure> {
    app.command::<ProfileItemSet>(item).await.map_err(command)
}

impl Value {
    fn read(self, version: Option<String>, url: Option<String>) -> Result<ItemValue, Failure> {
        let resource = match (self.resource, version) {
            (Some(path), Some(version)) => {
                let bytes = input::bytes(Some(&path), MAX_RESOURCE_BYTES, "")?;
                let sha256 = Digest::from_bytes(h256(&bytes));
                Some(ItemValue::Resource(TrustedResource { version, sha256, url }))
            }
            _ => None,
        };
        let texts = [
            self.location.map(ItemValue::Location),
            self.text.map(ItemValue::Text),
            self.link.map(ItemValue::Link),
            self.age.map(ItemValue::Age),
            resource,
        ];
        let value = texts.into_iter().flatten().next();
        value
            .filter(ItemValue::is_sound)
            .ok_or_else(|| Failure::usage("an item is one line of at most 300 bytes, a link begins with https://"))
    }
}

/// What an item says, for people.
pub(in crate::app) fn shown(value: &ItemValue) -> String {
    match value {
        ItemValue::Age(Age::Years(years)) => format!("{years} years old"),
        ItemValue::Age(Age::Band(from, to)) => format!("between {from} and {to} years old"),
        ItemValue::Location(text) | ItemValue::Text(text) | ItemValue::Link(text) => printable(text),
        ItemValue::Resource(resource) => {
            let place = resource.url.as_deref().map_or_else(String::new, |url| format!(", at {}", printable(url)));
            format!("version {}, SHA-256 {}{place}", printable(&resource.version), resource.sha256)
        }
    }
}

fn seen_by(audience: &Audience) -> String {
    if audience.everybody {
        return "everybody".to_owned();
    }
    let tags = audience.tags.iter().map(|tag| format!("tag {tag}"));
    let all: Vec<String> = tags.chain(audience.connections.iter().map(ToString::to_string)).collect();
    if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
}

impl Show for ProfileItems {
    fn show(&self, page: &mut Page) {
        if self.items.is_empty() {
            page.line("Your profile has no items.");
            return page.next("To put one in", "vettid app profile item set NAME --text TEXT");
        }
        let rows: Vec<_> =
            self.items.iter().map(|item| [item.name.clone(), shown(&item.value), seen_by(&item.audience)]).collect();
        page.table(["NAME", "SAYS", "SEEN BY"], &rows);
    }
}

impl Show for SignedProfile {
    fn show(&self, page: &mut Page) {
        page.line(printable(&self.public.first_name));
        page.field("public key", self.public_key.to_string());
        for (name, text) in &self.public.more {
            page.field(&printable(name), printable(text));
        }
        for (name, value) in &self.items {
            page.field(&printable(name), shown(value));
        }
        for event in &self.supported {
            let may = event.permissions.join(", ");
            page.field(
                "takes",
                format!("{} by {} {} (may use: {may})", event.event_type, event.handler, event.version),
            );
        }
        page.field("version", self.sequence.to_string());
        page.field("valid until", minute(self.valid_until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_or_a_band() {
        assert_eq!(age("34"), Ok(Age::Years(34)));
        assert_eq!(age("30-39"), Ok(Age::Band(30, 39)));
        for wrong in ["", "-1", "39-30", "131", "thirty", "30-"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_sees_an_item_is_said() {
        assert_eq!(seen_by(&Audience::default()), "nobody");
        let tags = Audience { tags: ["friend".parse().unwrap()].into(), ..Audience::default() };
        assert_eq!(seen_by(&tags), "tag friend");
    }
}
