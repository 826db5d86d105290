//! The changes of a contract file, one by one.

use super::storage::{AddCategory, Category, SetQuota};
use crate::failure::{Exit, Failure};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use vettid_wire::contract::{
    Access, Contract, ContractField, MAX_NOTIFICATIONS_PER_HOUR, Permission, Rate, Retention, Tier,
};
use vettid_wire::id::ServiceId;

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The file to write: TOML if its name ends in .toml, else JSON
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The service's id
    #[arg(long, value_name = "ID")]
    service: ServiceId,
    /// One sentence for the member
    #[arg(long, value_name = "TEXT")]
    description: String,
    /// The page with the terms
    #[arg(long, value_name = "URL")]
    terms: String,
    /// The page with the privacy statement
    #[arg(long, value_name = "URL")]
    privacy: String,
    /// What else the service may do
    #[arg(long, value_enum, value_name = "PERMISSION", default_value = "request-authentication")]
    permission: Vec<PermissionName>,
    /// How often it may ask, over all fields: N/SECONDS
    #[arg(long, value_name = "N/SECONDS", default_value = "60/60", value_parser = rate)]
    rate: Rate,
}

impl New {
    pub(super) fn contract(&self) -> Contract {
        Contract {
            service_id: self.service.clone(),
            contract_version: 1,
            description: self.description.clone(),
            fields: Vec::new(),
            permissions: self.permission.iter().map(|name| name.permission()).collect(),
            notifications_per_hour: None,
            storage: None,
            rate: self.rate,
            terms_url: self.terms.clone(),
            privacy_url: self.privacy.clone(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// The file to change
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ask for one more field
    #[command(after_help = "\
Examples:
  vettid gateway contract edit contract.json add-field address --tier on-demand \\
    --purpose 'To deliver what you ordered' --kept 30d --rate 3/60
  vettid gateway contract edit contract.json add-field email --tier optional \\
    --purpose 'To send you the receipt'")]
    AddField(AddField),
    /// Ask for a field in another way
    #[command(after_help = "\
Examples:
  vettid gateway contract edit contract.json set-field address --kept session
  vettid gateway contract edit contract.json set-field address --tier required --no-rate")]
    SetField(SetField),
    /// Ask for a field no more
    #[command(after_help = "Example:\n  vettid gateway contract edit contract.json remove-field address")]
    RemoveField {
        /// Name of the field
        #[arg(value_name = "FIELD")]
        field: String,
    },
    /// How often the service may ask, over all fields
    #[command(after_help = "Example:\n  vettid gateway contract edit contract.json set-rate 60/60")]
    SetRate {
        /// N/SECONDS
        #[arg(value_name = "N/SECONDS", value_parser = rate)]
        rate: Rate,
    },
    /// How many messages the service may send in any hour; 0: none, and the number is left out
    #[command(after_help = "Example:\n  vettid gateway contract edit contract.json set-notifications 3")]
    SetNotifications {
        /// The number
        #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_NOTIFICATIONS_PER_HOUR)))]
        per_hour: u32,
    },
    /// What else the service may do
    #[command(after_help = "\
Examples:
  vettid gateway contract edit contract.json permission add send-messages
  vettid gateway contract edit contract.json permission remove request-payment")]
    Permission {
        /// Add it, or take it away
        #[arg(value_enum)]
        change: AddOrRemove,
        /// Which one
        #[arg(value_enum, value_name = "PERMISSION")]
        permission: PermissionName,
    },
    /// Store in one more category with the member, or say anew what it is for; permits storing, too
    #[command(after_help = "\
Example:
  vettid gateway contract edit contract.json add-category receipts \\
    --purpose 'Receipts of what you ordered' --quota-bytes 65536")]
    AddCategory(AddCategory),
    /// Store in a category no more; without the last one nothing is stored
    #[command(after_help = "Example:\n  vettid gateway contract edit contract.json remove-category receipts")]
    RemoveCategory(Category),
    /// How much may be stored with each member
    #[command(after_help = "Example:\n  vettid gateway contract edit contract.json set-quota 400000")]
    SetQuota(SetQuota),
    /// The texts and pages
    #[command(after_help = "\
Examples:
  vettid gateway contract edit contract.json set-text --description 'Delivers, and writes to you.'
  vettid gateway contract edit contract.json set-text --terms https://shop.example/terms")]
    SetText(Texts),
}

#[derive(Debug, Args)]
struct AddField {
    /// Name of the field: a-z, 0-9 and _
    #[arg(value_name = "FIELD")]
    field: String,
    /// How it is handed out
    #[arg(long, value_enum)]
    tier: TierName,
    /// What for, as the member reads it
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    /// How long it is kept: session, such as 30d, or until-revoked
    #[arg(long, value_name = "TIME", default_value = "session", value_parser = retention)]
    kept: Retention,
    /// How often it is handed out
    #[arg(long, value_enum, default_value = "on-demand")]
    access: AccessName,
    /// How often it may be read: N/SECONDS
    #[arg(long, value_name = "N/SECONDS", value_parser = rate)]
    rate: Option<Rate>,
}

#[derive(Debug, Args)]
struct SetField {
    /// Name of the field
    #[arg(value_name = "FIELD")]
    field: String,
    /// How it is handed out
    #[arg(long, value_enum)]
    tier: Option<TierName>,
    /// What for, as the member reads it
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    /// How long it is kept: session, such as 30d, or until-revoked
    #[arg(long, value_name = "TIME", value_parser = retention)]
    kept: Option<Retention>,
    /// How often it is handed out
    #[arg(long, value_enum)]
    access: Option<AccessName>,
    /// How often it may be read: N/SECONDS
    #[arg(long, value_name = "N/SECONDS", value_parser = rate, conflicts_with = "no_rate")]
    rate: Option<Rate>,
    /// No rate of its own
    #[arg(long)]
    no_rate: bool,
}

#[derive(Debug, Args)]
struct Texts {
    /// One sentence for the member
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The page with the terms
    #[arg(long, value_name = "URL")]
    terms: Option<String>,
    /// The page with the privacy statement
    #[arg(long, value_name = "URL")]
    privacy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AddOrRemove {
    Add,
    Remove,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TierName {
    Required,
    Optional,
    OnDemand,
    Consent,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AccessName {
    OnDemand,
    OneTime,
    Snapshot,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PermissionName {
    RequestAuthentication,
    RequestPayment,
    SendMessages,
    StoreData,
    Call,
    RequestConsent,
    RequestSignature,
    RequestProof,
}

impl TierName {
    fn tier(self) -> Tier {
        match self {
            Self::Required => Tier::Required,
            Self::Optional => Tier::Optional,
            Self::OnDemand => Tier::OnDemand,
            Self::Consent => Tier::Consent,
        }
    }
}

impl AccessName {
    fn access(self) -> Access {
        match self {
            Self::OnDemand => Access::OnDemand,
            Self::OneTime => Access::OneTime,
            Self::Snapshot => Access::Snapshot,
        }
    }
}

impl PermissionName {
    fn permission(self) -> Permission {
        match self {
            Self::RequestAuthentication => Permission::RequestAuthentication,
            Self::RequestPayment => Permission::RequestPayment,
            Self::SendMessages => Permission::SendMessages,
            Self::StoreData => Permission::StoreData,
            Self::Call => Permission::Call,
            Self::RequestConsent => Permission::RequestConsent,
            Self::RequestSignature => Permission::RequestSignature,
            Self::RequestProof => Permission::RequestProof,
        }
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    let numbers = text.split_once('/').and_then(|(count, per)| Some((count.parse().ok()?, per.parse().ok()?)));
    let (count, per_seconds) = numbers.ok_or_else(|| "N/SECONDS, such as 3/60".to_owned())?;
    Ok(Rate { count, per_seconds })
}

fn retention(text: &str) -> Result<Retention, String> {
    match (text, text.strip_suffix('d').map(str::parse)) {
        ("session", _) => Ok(Retention::Session),
        ("until-revoked", _) => Ok(Retention::UntilRevoked),
        (_, Some(Ok(days))) => Ok(Retention::TimeLimited { days }),
        _ => Err("session, a number of days such as 30d, or until-revoked".to_owned()),
    }
}

impl Edit {
    pub(super) fn apply(&self, contract: &mut Contract) -> Result<(), Failure> {
        match &self.action {
            Action::AddField(add) => add_field(add, contract),
            Action::SetField(set) => set_field(set, contract),
            Action::RemoveField { field } => {
                find(contract, field)?;
                contract.fields.retain(|other| other.field != *field);
                Ok(())
            }
            Action::SetRate { rate } => {
                contract.rate = *rate;
                Ok(())
            }
            Action::SetNotifications { per_hour } => {
                contract.notifications_per_hour = (*per_hour > 0).then_some(*per_hour);
                Ok(())
            }
            Action::Permission { change, permission } => {
                let permission = permission.permission();
                contract.permissions.retain(|other| *other != permission);
                contract.permissions.extend((*change == AddOrRemove::Add).then_some(permission));
                if !contract.permissions.contains(&Permission::StoreData) {
                    contract.storage = None;
                }
                Ok(())
            }
            Action::AddCategory(add) => {
                add.apply(contract);
                Ok(())
            }
            Action::RemoveCategory(category) => category.remove(contract),
            Action::SetQuota(quota) => quota.apply(contract),
            Action::SetText(texts) => {
                for (place, text) in [
                    (&mut contract.description, &texts.description),
                    (&mut contract.terms_url, &texts.terms),
                    (&mut contract.privacy_url, &texts.privacy),
                ] {
                    text.iter().for_each(|text| place.clone_from(text));
                }
                Ok(())
            }
        }
    }
}

fn add_field(add: &AddField, contract: &mut Contract) -> Result<(), Failure> {
    if contract.field(&add.field).is_some() {
        return Err(Failure::new(Exit::Refused, "the field is there already").next("to change it: set-field"));
    }
    contract.fields.push(ContractField {
        field: add.field.clone(),
        tier: add.tier.tier(),
        access: add.access.access(),
        purpose: add.purpose.clone(),
        retention: add.kept,
        rate: add.rate,
    });
    Ok(())
}

fn set_field(set: &SetField, contract: &mut Contract) -> Result<(), Failure> {
    let field = find(contract, &set.field)?;
    field.tier = set.tier.map_or(field.tier, TierName::tier);
    field.access = set.access.map_or(field.access, AccessName::access);
    field.retention = set.kept.unwrap_or(field.retention);
    set.purpose.iter().for_each(|purpose| field.purpose.clone_from(purpose));
    field.rate = if set.no_rate { None } else { set.rate.or(field.rate) };
    Ok(())
}

fn find<'c>(contract: &'c mut Contract, name: &str) -> Result<&'c mut ContractField, Failure> {
    let none = || Failure::new(Exit::Refused, "there is no such field").next("to add it: add-field");
    contract.fields.iter_mut().find(|field| field.field == name).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    /// The names that the form of contracts knows, out of what it says about one that it does not know.
    fn known<T: DeserializeOwned + std::fmt::Debug>() -> BTreeSet<String> {
        let said = serde_json::from_value::<T>(json!("unheard")).unwrap_err().to_string();
        said.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }

    fn named<N: ValueEnum, T: Serialize>(of: impl Fn(N) -> T) -> BTreeSet<String> {
        let names = N::value_variants().iter().map(|name| {
            let typed = name.to_possible_value().unwrap().get_name().replace('-', "_");
            assert_eq!(serde_json::to_value(of(name.clone())).unwrap(), Value::String(typed.clone()));
            typed
        });
        names.collect()
    }

    #[test]
    fn whatever_a_contract_may_have_can_be_typed() {
        assert_eq!(named(PermissionName::permission), known::<Permission>());
        assert_eq!(named(AccessName::access), known::<Access>());
        assert_eq!(named(TierName::tier), known::<Tier>());
    }
}
