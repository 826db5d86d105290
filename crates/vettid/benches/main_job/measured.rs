//! What a run brought: the samples, the starts, and how they stand to what was asked for.

use crate::figures::{Collected, Work};
use serde_json::{Value, json};
use std::time::Duration;

/// An operation with the credential may take so many times a data request.
pub(crate) const MOST_TIMES_DATA_REQUEST: f64 = 3.0;
/// A full data request may take so many times the raw work that it cannot do without.
pub(crate) const MOST_TIMES_RAW: f64 = 4.0;

/// A run.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) samples: Collected,
    pub(crate) starts: Starts,
}

/// How long starts took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Starts {
    /// Over an empty folder, with all keys made: until each part is ready.
    pub(crate) first: Duration,
    /// Over what the run left behind: until each part is ready.
    pub(crate) later: Duration,
    /// The same until a field was served.
    pub(crate) served: Duration,
}

impl Starts {
    /// In milliseconds, with titles for people and names for the file.
    pub(crate) fn rows(&self) -> [(&'static str, &'static str, f64); 3] {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        [
            ("cold start of the stack, all keys made", "first_start_ms", ms(self.first)),
            ("  over the data of this run", "later_start_ms", ms(self.later)),
            ("  over the data of this run, to an answer", "served_after_ms", ms(self.served)),
        ]
    }
}

/// A figure against another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ratio {
    /// Of what to what.
    pub(crate) title: &'static str,
    /// How many times.
    pub(crate) times: f64,
    /// How many it may be, where something was asked for.
    pub(crate) most: Option<f64>,
}

impl Measured {
    fn p50_ms(&self, work: Work) -> Option<f64> {
        self.samples.of(work).map(|samples| samples.percentile_ms(0.5))
    }

    /// One raw publish with acknowledgement and two raw requests: p50, in milliseconds.
    pub(crate) fn baseline_ms(&self) -> Option<f64> {
        Some(self.p50_ms(Work::RawPublish)? + 2.0 * self.p50_ms(Work::RawRequest)?)
    }

    /// What can be said of the works that were measured.
    pub(crate) fn ratios(&self) -> Vec<Ratio> {
        let baseline = self.baseline_ms();
        let over_baseline = |work| Some(self.p50_ms(work)? / baseline?);
        let rate = |work| self.samples.of(work).map(crate::figures::Samples::per_second);
        let over = |work, raw| Some(self.p50_ms(work)? / self.p50_ms(raw)?);
        let per_core = |work| self.samples.of(work)?.per_core_second();
        let rows = [
            (
                "data.request p50 / (raw publish + 2 raw requests) p50",
                over_baseline(Work::DataRequest),
                Some(MOST_TIMES_RAW),
            ),
            (
                "credential.use p50 / data.request p50",
                self.p50_ms(Work::CredentialUse).zip(self.p50_ms(Work::DataRequest)).map(|(used, read)| used / read),
                Some(MOST_TIMES_DATA_REQUEST),
            ),
            (
                "credential.use to its result p50 / data.request p50",
                self.p50_ms(Work::CredentialResult).zip(self.p50_ms(Work::DataRequest)).map(|(told, read)| told / read),
                None,
            ),
            ("message accepted to stored p50 / the same", over_baseline(Work::MessageFromAccepted), None),
            ("message p50 / raw message p50", over(Work::MessageFromCommand, Work::RawMessage), None),
            (
                "message accepted to stored p50 / raw message p50",
                over(Work::MessageFromAccepted, Work::RawMessage),
                None,
            ),
            (
                "messages p50 / raw messages p50, both ways, 32 under way",
                over(Work::Messages32, Work::RawMessage32),
                None,
            ),
            (
                "raw messages per second / messages per second, both ways, 32 under way",
                rate(Work::RawMessage32).zip(rate(Work::Messages32)).map(|(raw, full)| raw / full),
                None,
            ),
            (
                "raw messages per core second / messages per core second, both ways, 32 under way",
                per_core(Work::RawMessage32).zip(per_core(Work::Messages32)).map(|(raw, full)| raw / full),
                None,
            ),
            (
                "raw publishes per second, 32 under way / data.requests per second, 32 under way",
                rate(Work::RawPublish32).zip(rate(Work::DataRequest32)).map(|(raw, full)| raw / full),
                None,
            ),
        ];
        let known = rows.into_iter().filter_map(|(title, times, most)| Some(Ratio { title, times: times?, most }));
        known.collect()
    }

    /// As it is kept.
    pub(crate) fn to_json(&self) -> Value {
        let works = Work::ALL.into_iter().filter_map(|work| {
            let samples = self.samples.of(work)?;
            let figures = json!({
                "samples": samples.count(),
                "p50_ms": samples.percentile_ms(0.5),
                "p99_ms": samples.percentile_ms(0.99),
                "per_second": samples.per_second(),
                "per_core_second": samples.per_core_second(),
            });
            Some((work.name().to_owned(), figures))
        });
        let ratios = self.ratios();
        let ratios = ratios.iter().map(|ratio| json!({"of": ratio.title, "times": ratio.times, "most": ratio.most}));
        json!({
            "works": works.collect::<serde_json::Map<_, _>>(),
            "baseline_p50_ms": self.baseline_ms(),
            "ratios": ratios.collect::<Vec<_>>(),
            "starts": self.starts.rows().map(|(_, name, ms)| json!({ name: ms })),
        })
    }
}
