//! `vettid app stored`: what services stored with you. It is yours: you see all of it and delete whatever you like, also of
//! services that you are not connected with any more.

use super::Client;
use super::advice::command;
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show, count, minute};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;
use vettid_wire::data::is_field_name;
use vettid_wire::event::{StoredDelete, StoredGet, StoredList as ListRow};
use vettid_wire::id::ConnectionId;
use vettid_wire::stored::{
    BrowseStored, DeleteStored, StoredByService, StoredInCategory, StoredItem, StoredPlace, StoredRef, StoredValue,
    is_stored_name,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List who stored how much with you, or what one service stored
    #[command(after_help = "\
Examples:
  vettid app stored list
  vettid app stored list demo-shop
  vettid app --json stored list demo-shop --category receipts")]
    List(List),
    /// Show one thing that a service stored
    #[command(after_help = "Example:\n  vettid app stored get demo-shop receipts order-1042")]
    Get(Get),
    /// Delete one thing, a category, or everything that a service stored; the service is not told
    #[command(after_help = "\
Examples:
  vettid app stored delete demo-shop receipts order-1042
  vettid app stored delete demo-shop receipts
  vettid app stored delete demo-shop --all

What is deleted cannot be brought back. A service that asks for it hears that it is not found.")]
    Delete(Delete),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// The service: its id, its name, or the connection
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
    /// Only this category
    #[arg(long, value_name = "CATEGORY", requires = "service", value_parser = category_name)]
    category: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Get {
    /// The service: its id, its name, or the connection
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The category
    #[arg(value_name = "CATEGORY", value_parser = category_name)]
    category: String,
    /// The name of the thing
    #[arg(value_name = "NAME", value_parser = thing_name)]
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The service: its id, its name, or the connection
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The category
    #[arg(value_name = "CATEGORY", value_parser = category_name, required_unless_present = "all")]
    category: Option<String>,
    /// The name of the thing; without it, the whole category
    #[arg(value_name = "NAME", value_parser = thing_name)]
    name: Option<String>,
    /// Everything that this service stored
    #[arg(long, conflicts_with_all = ["category", "name"])]
    all: bool,
}

fn category_name(text: &str) -> Result<String, &'static str> {
    if is_field_name(text) { Ok(text.to_owned()) } else { Err("1 to 64 of a-z, 0-9 and _") }
}

fn thing_name(text: &str) -> Result<String, &'static str> {
    if is_stored_name(text) { Ok(text.to_owned()) } else { Err("1 to 64 of letters, digits, _, - and .") }
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::List(List { service: None, .. }) => Ok(output.result(&Overview { services: all(app).await? })?),
        Command::List(List { service: Some(service), category }) => {
            let id = find(app, &service).await?;
            Ok(output.result(&of_one(app, id, category).await?)?)
        }
        Command::Get(Get { service, category, name }) => {
            let connection_id = find(app, &service).await?;
            let named = StoredRef { connection_id, category, name };
            Ok(output.result(&app.command::<StoredGet>(named).await.map_err(command)?)?)
        }
        Command::Delete(Delete { service, category, name, .. }) => {
            let connection_id = find(app, &service).await?;
            let request = DeleteStored { connection_id, category, name };
            let gone = app.command::<StoredDelete>(request).await.map_err(command)?;
            Ok(output.result(&Deleted { connection_id, items: gone.items, bytes: gone.bytes })?)
        }
    }
}

fn everything() -> BrowseStored {
    BrowseStored { connection_id: None, category: None, after: None, after_connection: None, limit: None }
}

/// Every service that stored something.
async fn all(app: &Client) -> Result<Vec<StoredByService>, Failure> {
    let mut services: Vec<StoredByService> = Vec::new();
    loop {
        let after_connection = services.last().map(|service| service.connection_id);
        let page = app.command::<ListRow>(BrowseStored { after_connection, ..everything() }).await.map_err(command)?;
        let is_end = !page.more || page.services.is_empty();
        services.extend(page.services);
        if is_end {
            return Ok(services);
        }
    }
}

/// Everything of one connection, or of one category of it.
async fn of_one(app: &Client, id: ConnectionId, category: Option<String>) -> Result<OfService, Failure> {
    let mut items: Vec<StoredItem> = Vec::new();
    loop {
        let place = |item: &StoredItem| StoredPlace { category: item.category.clone(), name: item.name.clone() };
        let after = items.last().map(place);
        let request = BrowseStored { connection_id: Some(id), category: category.clone(), after, ..everything() };
        let page = app.command::<ListRow>(request).await.map_err(command)?;
        let is_end = !page.more || page.items.is_empty();
        items.extend(page.items);
        if is_end {
            let none = || Failure::new(Exit::Refused, "there is no such service");
            let service = page.services.into_iter().next().ok_or_else(none)?;
            return Ok(OfService { service, stored: items });
        }
    }
}

/// The connection that a text names.
async fn find(app: &Client, text: &str) -> Result<ConnectionId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let mut found = all(app).await?;
    found.retain(|service| service.service_id.as_str() == text || service.display_name.eq_ignore_ascii_case(text));
    match found.as_slice() {
        [only] => Ok(only.connection_id),
        [] => Err(Failure::new(Exit::Refused, "no service of that name has stored anything with you")
            .next("to see who has: vettid app stored list")),
        _ => Err(Failure::new(Exit::Refused, "there are several connections with such a service")
            .next("name the connection; to see them: vettid app stored list")),
    }
}

#[derive(Serialize)]
struct Overview {
    services: Vec<StoredByService>,
}

impl Show for Overview {
    fn show(&self, page: &mut Page) {
        if self.services.is_empty() {
            page.line("No service has stored anything with you.");
            return;
        }
        let row = |service: &StoredByService| {
            let name = service.display_name.clone();
            let ended = if service.ended { "ended" } else { "" };
            [name, service.connection_id.to_string(), service.items.to_string(), taken(service), ended.to_owned()]
        };
        let rows: Vec<_> = self.services.iter().map(row).collect();
        page.table(["SERVICE", "CONNECTION", "THINGS", "BYTES", ""], &rows);
        page.next("To see what one of them stored", "vettid app stored list SERVICE");
    }
}

/// What is taken, of how much.
fn taken(service: &StoredByService) -> String {
    match service.quota_bytes {
        Some(quota_bytes) => format!("{} of {quota_bytes}", service.used_bytes),
        None => service.used_bytes.to_string(),
    }
}

#[derive(Serialize)]
struct OfService {
    #[serde(flatten)]
    service: StoredByService,
    stored: Vec<StoredItem>,
}

impl Show for OfService {
    fn show(&self, page: &mut Page) {
        let service = &self.service;
        let name = &service.display_name;
        let ended = if service.ended { "; the connection ended, so nobody but you reaches it" } else { "" };
        page.line(format!("{name}: {}, {} bytes{ended}.", count(service.items, "thing"), taken(service)));
        let row = |of: &StoredInCategory| {
            let purpose = of.purpose.clone().unwrap_or_else(|| "(not in the contract any more)".to_owned());
            [of.category.clone(), of.items.to_string(), of.used_bytes.to_string(), purpose]
        };
        let rows: Vec<_> = service.categories.iter().map(row).collect();
        page.table(["CATEGORY", "THINGS", "BYTES", "WHAT FOR"], &rows);
        if self.stored.is_empty() {
            return;
        }
        page.gap();
        let row = |item: &StoredItem| {
            let until = item.expires_at.map_or_else(|| "you delete it".to_owned(), minute);
            let StoredItem { category, name, size_bytes, stored_at, .. } = item;
            [category.clone(), name.clone(), size_bytes.to_string(), minute(*stored_at), until]
        };
        let rows: Vec<_> = self.stored.iter().map(row).collect();
        page.table(["CATEGORY", "NAME", "BYTES", "STORED", "UNTIL"], &rows);
    }
}

impl Show for StoredValue {
    fn show(&self, page: &mut Page) {
        let StoredItem { category, name, stored_at, .. } = &self.item;
        page.line(format!("{name} in {category} (stored {})", minute(*stored_at)));
        match &self.value {
            Value::String(text) => page.block(text),
            value => page.block(&format!("{value:#}")),
        }
    }
}

#[derive(Serialize)]
struct Deleted {
    connection_id: ConnectionId,
    items: u64,
    bytes: u64,
}

impl Show for Deleted {
    fn show(&self, page: &mut Page) {
        page.line(format!("Deleted {}, {} bytes.", count(self.items, "thing"), self.bytes));
    }
}
