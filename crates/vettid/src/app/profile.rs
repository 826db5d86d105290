//! `vettid app profile`: what connections see of the member.

mod items;

pub(super) use items::shown;

use super::advice::command;
use super::{Client, input};
use crate::failure::Failure;
use crate::output::{Output, Page, Show};
use clap::{Args, Subcommand};
use vettid_wire::event::{Nothing, ProfileGet, ProfileUpdate};
use vettid_wire::profile::{self, ProfileView, PublicProfile};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show your profile, or what one connection sees of it
    #[command(after_help = "\
Examples:
  vettid app profile show
  vettid app profile show --as ID
  vettid app profile show --as-stranger")]
    Show(items::Seen),
    /// Items of your profile, each with who sees it
    #[command(subcommand)]
    Item(items::Command),
    /// Change your profile; what you do not name stays as it is
    #[command(after_help = "\
Examples:
  vettid app profile set --name Alice
  vettid app profile set --more city=Berlin --more phone='+49 30 1234'
  vettid app profile set --remove phone")]
    Set(Change),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Change {
    /// Your first name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Something more to show; may be given several times
    #[arg(long, value_name = "NAME=TEXT", value_parser = input::pair)]
    more: Vec<(String, String)>,
    /// Show this no longer; may be given several times
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    let wanted = match wanted {
        Command::Show(seen) if seen.is_preview() => return items::preview(&seen, app, output).await,
        Command::Item(wanted) => return items::run(wanted, app, output).await,
        wanted => wanted,
    };
    let present = app.command::<ProfileGet>(Nothing {}).await.map_err(command)?;
    let view = match wanted {
        Command::Show(_) | Command::Item(_) => present,
        Command::Set(change) => {
            let public = change.apply(present.public.unwrap_or_default())?;
            app.command::<ProfileUpdate>(profile::ProfileUpdate { public }).await.map_err(command)?
        }
    };
    Ok(output.result(&view)?)
}

impl Change {
    fn apply(self, mut public: PublicProfile) -> Result<PublicProfile, Failure> {
        if let Some(name) = self.name {
            public.first_name = name;
        }
        for name in &self.remove {
            if public.more.remove(name).is_none() {
                return Err(Failure::usage(format_args!("your profile does not show {name}")));
            }
        }
        public.more.extend(self.more);
        if public.first_name.trim().is_empty() {
            return Err(Failure::usage("a profile needs a name").next("add --name NAME"));
        }
        Ok(public)
    }
}

impl Show for ProfileView {
    fn show(&self, page: &mut Page) {
        match &self.public {
            Some(public) => {
                page.line(&public.first_name);
                for (name, text) in &public.more {
                    page.field(name, text);
                }
            }
            None => {
                page.line("Your profile is empty: connections do not know your name yet.");
                page.next("To set it", "vettid app profile set --name NAME");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let present = PublicProfile {
            first_name: "Alice".into(),
            more: [("city", "Bern"), ("phone", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        };
        let change = Change { name: None, more: vec![("city".into(), "Basel".into())], remove: vec!["phone".into()] };
        let changed = change.apply(present).unwrap();
        assert_eq!(changed.first_name, "Alice");
        assert_eq!(changed.more.into_iter().collect::<Vec<_>>(), [("city".to_owned(), "Basel".to_owned())]);
    }

    #[test]
    fn a_first_profile_needs_a_name() {
        let change = Change { name: None, more: vec![], remove: vec![] };
        assert!(change.apply(PublicProfile::default()).is_err());
    }
}
