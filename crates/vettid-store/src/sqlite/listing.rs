//! Rows of `listings`.

use super::row::{from_json, to_json};
use super::{SqliteLedger, Writing, commit, unless_unique};
use crate::audit::AuditEntry;
use crate::ledger::{LedgerError, Pending};
use crate::listing::Listings;
use sqlx::{SqliteConnection, SqlitePool};
use vettid_wire::category::{Category, ServiceListing};
use vettid_wire::id::ServiceId;

const FIND: &str = "SELECT listing FROM listings WHERE service_id = ?";
const PUT: &str = "INSERT INTO listings (service_id, category, listing) VALUES (?, ?, ?)
    ON CONFLICT (service_id) DO UPDATE SET category = excluded.category, listing = excluded.listing";
const OF_CATEGORY: &str = "SELECT listing FROM listings WHERE category = ? ORDER BY service_id LIMIT ?";

impl Listings for SqliteLedger {
    fn listing<'a>(&'a self, service_id: &'a ServiceId) -> Pending<'a, Option<ServiceListing>> {
        Box::pin(async move { find(&mut *self.pool.acquire().await?, service_id).await })
    }
    fn put_listing<'a>(&'a self, listing: &'a ServiceListing, audit: &'a AuditEntry) -> Pending<'a, ()> {
        Box::pin(async move { put(self.writing().await?, listing, audit).await })
    }
    fn listings_of<'a>(&'a self, category: &'a Category, limit: u32) -> Pending<'a, Vec<ServiceListing>> {
        Box::pin(of_category(&self.pool, category, limit))
    }
}

async fn find(connection: &mut SqliteConnection, id: &ServiceId) -> Result<Option<ServiceListing>, LedgerError> {
    let row = sqlx::query(FIND).bind(id.as_str()).fetch_optional(connection).await?;
    row.as_ref().map(|row| from_json(row, "listing")).transpose()
}

async fn put(mut writing: Writing, listing: &ServiceListing, audit: &AuditEntry) -> Result<(), LedgerError> {
    match find(&mut writing, &listing.service_id).await? {
        Some(known) if known == *listing => return Ok(()),
        Some(known) if known.at >= listing.at => return Err(LedgerError::Conflict),
        _ => {}
    }
    sqlx::query(PUT)
        .bind(listing.service_id.as_str())
        .bind(listing.category.as_str())
        .bind(to_json(listing, "listing")?)
        .execute(&mut *writing)
        .await
        .map_err(|error| unless_unique(error, LedgerError::Conflict))?;
    commit(writing, audit).await
}

async fn of_category(pool: &SqlitePool, category: &Category, limit: u32) -> Result<Vec<ServiceListing>, LedgerError> {
    let rows = sqlx::query(OF_CATEGORY).bind(category.as_str()).bind(limit).fetch_all(pool).await?;
    rows.iter().map(|row| from_json(row, "listing")).collect()
}
