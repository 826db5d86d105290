//! How far a file is: a bar for people at a terminal, a line of JSON for programs, nothing where neither looks. On standard error
//! alone, so that the result stands by itself.

use crate::output::{Output, Page, Show};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use vettid_client::file::Progress;

/// Shows progress.
pub(super) struct Bar {
    output: Output,
    /// Draws only where standard error is a terminal.
    bar: Option<ProgressBar>,
}

/// One line for programs.
#[derive(Serialize)]
struct Line {
    progress: &'static str,
    done: u64,
    of: u64,
}

impl Show for Line {
    fn show(&self, page: &mut Page) {
        page.line(format!("{} {} of {}", self.progress, self.done, self.of));
    }
}

impl Bar {
    pub(super) fn new(output: Output) -> Self {
        let bar = output.is_text().then(|| ProgressBar::new(0).with_style(style()));
        Self { output, bar }
    }

    /// Shows this much.
    pub(super) fn show(&mut self, progress: Progress) {
        let (name, done, of) = match progress {
            Progress::Reading { bytes, of } => ("reading", bytes, of),
            Progress::Uploading { pieces, of } => ("uploading", pieces.into(), of.into()),
            Progress::OnItsWay { pieces, of } => ("on its way", pieces.into(), of.into()),
            Progress::Downloading { pieces, of } => ("downloading", pieces.into(), of.into()),
        };
        match &self.bar {
            Some(bar) => {
                bar.set_length(of);
                bar.set_message(name);
                bar.set_position(done);
            }
            None if name == "reading" => {}
            None => {
                if let Err(error) = self.output.notice(&Line { progress: name, done, of }) {
                    tracing::debug!(%error, "nobody reads the progress");
                }
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{msg:<12} [{bar:32}] {percent:>3} %  {eta} left");
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
