//! `vettid app location`: where you are, shown to a connection for a while. A place comes from standard input or a file, never from the
//! command line, which every user of the machine can see.

use super::advice::command;
use super::{Client, input};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, count, length, minute};
use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;
use vettid_wire::event::{LocationList as ListRow, LocationShare, LocationStop, LocationUpdate};
use vettid_wire::id::ConnectionId;
use vettid_wire::location::{
    LocationList, LocationUpdated, Position, Precision, SeenLocation, ShareView, StartShare, StopShare, UpdateLocation,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Let a connection see where you are, for a while
    #[command(after_help = "\
Examples:
  vettid app location share CONNECTION --for 1h
  vettid app location share CONNECTION --for 8h --precision exact

A share takes the place of the one before it with the same connection. From one minute to 24 hours.")]
    Share {
        /// Who may see it
        #[arg(value_name = "CONNECTION")]
        connection: ConnectionId,
        /// For how long, such as 30m or 8h
        #[arg(long = "for", value_name = "TIME", value_parser = input::seconds)]
        duration: u32,
        /// How exactly
        #[arg(long, value_name = "HOW", default_value = "1km")]
        precision: Grid,
    },
    /// End what a connection sees of where you are
    #[command(after_help = "Example:\n  vettid app location stop CONNECTION")]
    Stop {
        /// Who
        #[arg(value_name = "CONNECTION")]
        connection: ConnectionId,
    },
    /// Say where you are: latitude and longitude in degrees, from standard input or a file
    #[command(after_help = "\
Examples:
  echo 52.520008 13.404954 | vettid app location update
  vettid app location update --position-file here.txt

Your vault sends it on to whom you show it, as exactly as you said, and keeps it nowhere.")]
    Update {
        /// Read the position from this file instead of standard input
        #[arg(long, value_name = "FILE")]
        position_file: Option<PathBuf>,
    },
    /// List who sees where you are, and where those are who show you
    #[command(after_help = "Example:\n  vettid app location list")]
    List,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Grid {
    /// As your app says it
    #[value(name = "exact")]
    Exact,
    /// A square of about 100 m
    #[value(name = "100m")]
    HundredMetres,
    /// A square of about 1 km
    #[value(name = "1km")]
    Kilometre,
    /// A square of about 10 km
    #[value(name = "10km")]
    TenKilometres,
}

impl From<Grid> for Precision {
    fn from(grid: Grid) -> Self {
        match grid {
            Grid::Exact => Self::Exact,
            Grid::HundredMetres => Self::HundredMetres,
            Grid::Kilometre => Self::Kilometre,
            Grid::TenKilometres => Self::TenKilometres,
        }
    }
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::Share { connection, duration, precision } => {
            let request = StartShare {
                connection_id: connection,
                duration_ms: i64::from(duration) * 1000,
                precision: precision.into(),
            };
            Ok(output.result(&app.command::<LocationShare>(request).await.map_err(command)?)?)
        }
        Command::Stop { connection } => {
            let request = StopShare { connection_id: connection };
            app.command::<LocationStop>(request).await.map_err(command)?;
            Ok(output.result(&Stopped { connection_id: connection })?)
        }
        Command::Update { position_file } => {
            let text = input::line(position_file.as_deref(), "Latitude and longitude in degrees")?;
            let request = UpdateLocation { position: position(&text)?, taken_at: app.after_ms(0) };
            Ok(output.result(&app.command::<LocationUpdate>(request).await.map_err(command)?)?)
        }
        Command::List => {
            let list = app.command::<ListRow>(vettid_wire::event::Nothing {}).await.map_err(command)?;
            Ok(output.result(&list)?)
        }
    }
}

/// Two numbers of degrees, with a space or a comma between them.
fn position(text: &str) -> Result<Position, Failure> {
    let wrong = || Failure::usage("not a position: latitude and longitude in degrees, such as 52.520008 13.404954");
    let mut numbers = text.split([' ', ',', '\t']).filter(|part| !part.is_empty()).map(millionths);
    match (numbers.next().flatten(), numbers.next().flatten(), numbers.next()) {
        (Some(latitude_udeg), Some(longitude_udeg), None) => {
            let position = Position { latitude_udeg, longitude_udeg };
            if position.is_valid() { Ok(position) } else { Err(wrong()) }
        }
        _ => Err(wrong()),
    }
}

/// A decimal number in millionths; what is finer is left out.
fn millionths(text: &str) -> Option<i32> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) || whole.len() > 3 {
        return None;
    }
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    Some(sign * (whole.parse::<i32>().ok()? * 1_000_000 + fraction.parse::<i32>().ok()?))
}

fn degrees(udeg: i32) -> String {
    let (sign, value) = (if udeg < 0 { "-" } else { "" }, udeg.unsigned_abs());
    format!("{sign}{}.{:06}", value / 1_000_000, value % 1_000_000)
}

fn exactly(precision: Precision) -> &'static str {
    match precision {
        Precision::Exact => "exact",
        Precision::HundredMetres => "about 100 m",
        Precision::Kilometre => "about 1 km",
        Precision::TenKilometres => "about 10 km",
    }
}

/// A share that is over.
#[derive(serde::Serialize)]
struct Stopped {
    connection_id: ConnectionId,
}

impl Show for Stopped {
    fn show(&self, page: &mut Page) {
        page.line("They do not see any more where you are.");
    }
}

impl Show for ShareView {
    fn show(&self, page: &mut Page) {
        page.line(format!(
            "{} sees where you are ({}), until {}.",
            self.display_name,
            exactly(self.precision),
            minute(self.until)
        ));
    }
}

impl Show for LocationUpdated {
    fn show(&self, page: &mut Page) {
        page.line(match (self.shares, self.sent_to) {
            (0, _) => "Nobody sees where you are; it was not sent.".to_owned(),
            (shares, sent_to) => format!("Sent to {sent_to} of {}.", count(u64::from(shares), "connection")),
        });
    }
}

fn place(seen: &SeenLocation) -> String {
    match (seen.position, seen.age_ms) {
        (Some(position), Some(age_ms)) => format!(
            "{} {} ({}), {} ago",
            degrees(position.latitude_udeg),
            degrees(position.longitude_udeg),
            exactly(seen.precision),
            length(age_ms)
        ),
        _ => "no position yet".to_owned(),
    }
}

impl Show for LocationList {
    fn show(&self, page: &mut Page) {
        if self.shared.is_empty() && self.seen.is_empty() {
            page.line("Nobody shows anybody where they are.");
        }
        self.shared.iter().for_each(|share| share.show(page));
        for seen in &self.seen {
            page.line(format!("{}: {}, until {}.", seen.display_name, place(seen), minute(seen.until)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_to_the_millionth() {
        let read = |text: &str| position(text).ok().map(|p| (p.latitude_udeg, p.longitude_udeg));
        assert_eq!(read("52.520008 13.404954"), Some((52_520_008, 13_404_954)));
        assert_eq!(read("-33.5, -70.65"), Some((-33_500_000, -70_650_000)));
        assert_eq!(read("90 180"), Some((90_000_000, 180_000_000)));
        assert_eq!(read("-0.0000019 0"), Some((-1, 0)));
        for wrong in ["", "52", "91 0", "0 181", "1 2 3", "a b", "1. 2", ".5 1", "1e3 2", "--1 2", "5200 1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(degrees(-1), "-0.000001");
    }
}
