//! The allowed maxima and how measures are held against them. Pure.

use super::RATCHET_FILE;
use super::measure::Measure;
use super::metric::{Kind, Metric};
use crate::report::Finding;
use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A metric's allowed maximum, for all metrics.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Ratchet {
    maxima: BTreeMap<String, usize>,
}

impl Ratchet {
    /// Reads the file: exactly one number for each metric, none above the ceiling that the style sets.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let ratchet: Self =
            toml::from_str(text).with_context(|| format!("{RATCHET_FILE} is not a table of numbers"))?;
        if let Some(name) = ratchet.maxima.keys().find(|name| !Metric::ALL.iter().any(|metric| metric.name() == **name))
        {
            bail!("{RATCHET_FILE}: `{name}` is not a metric");
        }
        for metric in Metric::ALL {
            let Some(maximum) = ratchet.maxima.get(metric.name()) else {
                bail!("{RATCHET_FILE}: `{}` is missing", metric.name())
            };
            if *maximum > metric.ceiling() {
                bail!("{RATCHET_FILE}: `{}` is above its ceiling of {}", metric.name(), metric.ceiling());
            }
        }
        Ok(ratchet)
    }

    fn maximum(&self, metric: Metric) -> usize {
        self.maxima.get(metric.name()).copied().unwrap_or(0)
    }

    /// Numbers that are higher than in an earlier ratchet.
    pub(super) fn above(&self, earlier: &Self, revision: &str) -> Vec<Finding> {
        let raised = Metric::ALL.into_iter().filter(|metric| self.maximum(*metric) > earlier.maximum(*metric));
        raised
            .map(|metric| {
                let (now, before) = (self.maximum(metric), earlier.maximum(metric));
                Finding::new(
                    RATCHET_FILE,
                    format_args!("`{}` was raised from {before} ({revision}) to {now}", metric.name()),
                )
            })
            .collect()
    }
}

/// Every observation above its maximum; of a count above its maximum every observation.
pub(super) fn broken(measures: &[Measure], ratchet: &Ratchet) -> Vec<Finding> {
    let offenders = measures.iter().flat_map(|measure| {
        let maximum = ratchet.maximum(measure.metric);
        let over = measure.value() > maximum;
        let seen = measure
            .seen
            .iter()
            .filter(move |seen| over && (measure.metric.kind() == Kind::Count || seen.value > maximum));
        seen.map(move |seen| Finding::new(&seen.place, format_args!("{} ({} allowed)", seen.message, maximum)))
    });
    offenders.collect()
}

/// What is long, but still allowed.
pub(super) fn warnings(measures: &[Measure]) -> Vec<String> {
    let functions = measures.iter().filter(|measure| measure.metric == Metric::FunctionLines);
    let long = functions.flat_map(|measure| &measure.seen).filter(|seen| seen.value > LONG_FUNCTION_LINES);
    let count = long.count();
    if count == 0 { Vec::new() } else { vec![format!("warning: {count} function(s) over {LONG_FUNCTION_LINES} lines")] }
}

const LONG_FUNCTION_LINES: usize = 70;

/// Numbers of the ratchet that could go down.
pub(super) fn hints(measures: &[Measure], ratchet: &Ratchet) -> Vec<String> {
    let slack = measures.iter().filter(|measure| measure.value() < ratchet.maximum(measure.metric));
    slack
        .map(|measure| {
            let name = measure.metric.name();
            format!(
                "hint: {RATCHET_FILE}: {name} could go down from {} to {}",
                ratchet.maximum(measure.metric),
                measure.value()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::measure::Seen;
    use super::*;

    fn text(change: &str, value: usize) -> String {
        let line = |metric: &Metric| {
            let number = if metric.name() == change { value } else { metric.ceiling() };
            format!("{} = {number}\n", metric.name())
        };
        Metric::ALL.iter().map(line).collect()
    }

    fn measure(metric: Metric, values: &[usize]) -> Measure {
        let seen = values.iter().map(|value| Seen { place: "a".into(), message: "is so".into(), value: *value });
        Measure { metric, seen: seen.collect() }
    }

    #[test]
    fn every_metric_has_exactly_one_number() {
        assert!(Ratchet::parse(&text("", 0)).is_ok());
        assert!(Ratchet::parse(&format!("{}other = 1\n", text("", 0))).is_err());
        assert!(Ratchet::parse("file_lines = 600\n").is_err());
    }

    #[test]
    fn a_number_above_the_ceiling_is_refused() {
        assert!(Ratchet::parse(&text("file_lines", 601)).is_err());
        assert!(Ratchet::parse(&text("allow_attributes", 1)).is_err());
    }

    #[test]
    fn a_raised_number_is_found() {
        let before = Ratchet::parse(&text("file_lines", 400)).unwrap();
        let now = Ratchet::parse(&text("file_lines", 401)).unwrap();
        assert_eq!(now.above(&before, "HEAD").len(), 1);
        assert!(before.above(&now, "HEAD").is_empty());
    }

    #[test]
    fn only_what_is_over_the_maximum_is_shown() {
        let ratchet = Ratchet::parse(&text("", 0)).unwrap();
        assert_eq!(broken(&[measure(Metric::FunctionLines, &[90, 91, 3])], &ratchet).len(), 1);
        assert_eq!(broken(&[measure(Metric::AllowAttributes, &[1, 1])], &ratchet).len(), 2);
        assert!(broken(&[measure(Metric::AllowAttributes, &[])], &ratchet).is_empty());
    }

    #[test]
    fn slack_is_pointed_out() {
        let ratchet = Ratchet::parse(&text("", 0)).unwrap();
        let hints = hints(&[measure(Metric::FileLines, &[10, 480])], &ratchet);
        assert_eq!(hints, [format!("hint: {RATCHET_FILE}: file_lines could go down from 600 to 480")]);
    }

    #[test]
    fn long_functions_are_counted() {
        let measures = [measure(Metric::FunctionLines, &[70, 71, 90])];
        assert_eq!(warnings(&measures), ["warning: 2 function(s) over 70 lines"]);
    }
}
