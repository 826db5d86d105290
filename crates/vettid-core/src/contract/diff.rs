//! What is different between two contracts, change by change, and whether it gives the service more. A change is called
//! narrower only if there is no case in which the service gets more by it; what a machine cannot weigh is called so.

mod storage;

use serde::Serialize;
use vettid_wire::contract::{Access, Contract, ContractField, Permission, Rate, Retention, Tier};

/// What a change means for the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// There is a case in which the service gets more, or more often, or keeps it longer.
    Wider,
    /// Words: only a reader can tell.
    Words,
    /// The service gets less, in no case more.
    Narrower,
}

/// What was done to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// It is there, in another way.
    Changed,
}

/// A part of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A whole field.
    Field,
    /// How a field is handed out.
    Tier,
    /// Each time or once.
    Access,
    /// What a field is for.
    Purpose,
    /// How long the service may keep it.
    Retention,
    /// How often.
    Rate,
    /// What else the service may do.
    Permission,
    /// How many messages it may send in an hour.
    Notifications,
    /// How much it may store.
    Quota,
    /// A category of what it stores, or what that is for.
    Category,
    /// The sentence for the member.
    Description,
    /// The service's terms.
    TermsUrl,
    /// The service's privacy statement.
    PrivacyUrl,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it means for the member.
    pub effect: Effect,
    /// What was done.
    pub kind: Kind,
    /// To which part.
    pub part: Part,
    /// Of which field, if of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Of which category of what is stored, if of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What it was, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Every change from one contract to another: first what is wider, then words, then what is narrower. Order, version and
/// service are no changes.
#[must_use]
pub fn changes(before: &Contract, after: &Contract) -> Vec<Change> {
    let mut changes = Vec::new();
    of_fields(before, after, &mut changes);
    of_permissions(&before.permissions, &after.permissions, &mut changes);
    changes.extend(of_notifications(before.notifications_per_hour, after.notifications_per_hour));
    changes.extend(of_rate(None, Some(before.rate), Some(after.rate)));
    storage::changes(before.storage.as_ref(), after.storage.as_ref(), &mut changes);
    let texts = [
        (Part::Description, &before.description, &after.description),
        (Part::TermsUrl, &before.terms_url, &after.terms_url),
        (Part::PrivacyUrl, &before.privacy_url, &after.privacy_url),
    ];
    changes.extend(texts.into_iter().filter_map(|(part, was, is)| words(part, None, was, is)));
    changes.sort_by_key(|change| change.effect);
    changes
}

fn of_fields(before: &Contract, after: &Contract, changes: &mut Vec<Change>) {
    for field in &after.fields {
        match before.field(&field.field) {
            Some(was) => of_field(was, field, changes),
            None => changes.push(whole(Effect::Wider, Kind::Added, field)),
        }
    }
    let gone = before.fields.iter().filter(|field| after.field(&field.field).is_none());
    changes.extend(gone.map(|field| whole(Effect::Narrower, Kind::Removed, field)));
}

fn whole(effect: Effect, kind: Kind, field: &ContractField) -> Change {
    let shown =
        format!("{}, {}, kept {}: {}", tier(field.tier), access(field.access), kept(field.retention), field.purpose);
    let (before, after) = if kind == Kind::Removed { (Some(shown), None) } else { (None, Some(shown)) };
    Change { effect, kind, part: Part::Field, field: Some(field.field.clone()), category: None, before, after }
}

fn of_field(was: &ContractField, is: &ContractField, changes: &mut Vec<Change>) {
    let name = || Some(is.field.clone());
    let changed = |part, effect, before: String, after: String| Change {
        effect,
        kind: Kind::Changed,
        part,
        field: name(),
        category: None,
        before: Some(before),
        after: Some(after),
    };
    if let Some(effect) = of_tier(was.tier, is.tier) {
        changes.push(changed(Part::Tier, effect, tier(was.tier).into(), tier(is.tier).into()));
    }
    if was.access != is.access {
        let effect = if given(is.access) < given(was.access) { Effect::Narrower } else { Effect::Wider };
        changes.push(changed(Part::Access, effect, access(was.access).into(), access(is.access).into()));
    }
    if was.retention != is.retention {
        let longer = days(is.retention) > days(was.retention);
        let effect = if longer { Effect::Wider } else { Effect::Narrower };
        changes.push(changed(Part::Retention, effect, kept(was.retention), kept(is.retention)));
    }
    changes.extend(of_rate(name(), was.rate, is.rate));
    changes.extend(words(Part::Purpose, name(), &was.purpose, &is.purpose));
}

/// Between `optional` and `consent` either may give more: one asks where nothing was given, the other gives without asking.
fn of_tier(was: Tier, is: Tier) -> Option<Effect> {
    let strength = |tier| match tier {
        Tier::Optional | Tier::Consent => 0,
        Tier::OnDemand => 1,
        Tier::Required => 2,
    };
    match (was == is, strength(is) < strength(was)) {
        (true, _) => None,
        (false, true) => Some(Effect::Narrower),
        (false, false) => Some(Effect::Wider),
    }
}

fn of_permissions(before: &[Permission], after: &[Permission], changes: &mut Vec<Change>) {
    let change = |effect, kind, permission: Permission| {
        let shown = Some(may(permission).to_owned());
        let (before, after) = if kind == Kind::Removed { (shown, None) } else { (None, shown) };
        Change { effect, kind, part: Part::Permission, field: None, category: None, before, after }
    };
    let new = after.iter().filter(|permission| !before.contains(permission));
    changes.extend(new.map(|permission| change(Effect::Wider, Kind::Added, *permission)));
    let gone = before.iter().filter(|permission| !after.contains(permission));
    changes.extend(gone.map(|permission| change(Effect::Narrower, Kind::Removed, *permission)));
}

/// Without a number nothing may be sent.
fn of_notifications(was: Option<u32>, is: Option<u32>) -> Option<Change> {
    let kind = match (was, is) {
        (None, Some(_)) => Kind::Added,
        (Some(_), None) => Kind::Removed,
        (was, is) if was == is => return None,
        _ => Kind::Changed,
    };
    let effect = if is > was { Effect::Wider } else { Effect::Narrower };
    let shown = |number: u32| format!("{number} in an hour");
    Some(Change {
        effect,
        kind,
        part: Part::Notifications,
        field: None,
        category: None,
        before: was.map(shown),
        after: is.map(shown),
    })
}

/// A rate is narrower if neither the bucket is larger nor it refills faster.
fn of_rate(field: Option<String>, was: Option<Rate>, is: Option<Rate>) -> Option<Change> {
    if was == is {
        return None;
    }
    let (effect, kind) = match (was, is) {
        (_, None) => (Effect::Wider, Kind::Removed),
        (None, Some(_)) => (Effect::Narrower, Kind::Added),
        (Some(was), Some(is)) => (if exceeds(is, was) { Effect::Wider } else { Effect::Narrower }, Kind::Changed),
    };
    Some(Change { effect, kind, part: Part::Rate, field, category: None, before: was.map(often), after: is.map(often) })
}

fn exceeds(a: Rate, b: Rate) -> bool {
    let refills = |x: Rate, y: Rate| u64::from(x.count) * u64::from(y.per_seconds);
    a.count > b.count || refills(a, b) > refills(b, a)
}

fn words(part: Part, field: Option<String>, was: &str, is: &str) -> Option<Change> {
    (was != is).then(|| Change {
        effect: Effect::Words,
        kind: Kind::Changed,
        part,
        field,
        category: None,
        before: Some(was.to_owned()),
        after: Some(is.to_owned()),
    })
}

/// For ordering: the session is shorter than any day, and nothing is longer than the connection.
fn days(retention: Retention) -> u64 {
    match retention {
        Retention::Session => 0,
        Retention::TimeLimited { days } => u64::from(days),
        Retention::UntilRevoked => u64::MAX,
    }
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Required => "required",
        Tier::Optional => "optional",
        Tier::OnDemand => "on demand",
        Tier::Consent => "asks each time",
    }
}

/// For ordering: how much is handed out, and at whose word.
fn given(access: Access) -> u8 {
    match access {
        Access::OneTime => 0,
        Access::OnDemand => 1,
        Access::Snapshot => 2,
    }
}

fn access(access: Access) -> &'static str {
    match access {
        Access::Snapshot => "at once and after each change",
        Access::OnDemand => "whenever asked for",
        Access::OneTime => "once",
    }
}

fn kept(retention: Retention) -> String {
    match retention {
        Retention::Session => "for the session".to_owned(),
        Retention::TimeLimited { days } => format!("for {days} days"),
        Retention::UntilRevoked => "until the connection ends".to_owned(),
    }
}

fn often(rate: Rate) -> String {
    format!("{} in {} seconds", rate.count, rate.per_seconds)
}

fn may(permission: Permission) -> &'static str {
    match permission {
        Permission::RequestAuthentication => "ask for logins",
        Permission::RequestPayment => "ask for payments",
        Permission::SendMessages => "send messages",
        Permission::StoreData => "store data",
        Permission::Call => "call",
        Permission::RequestConsent => "ask for consent",
        Permission::RequestSignature => "ask for signatures under documents",
        Permission::RequestProof => "ask for proofs",
    }
}

#[cfg(test)]
mod tests;
