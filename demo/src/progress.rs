//! Shows on stderr how far a run is: a bar with its rate on a terminal, otherwise a line now and then.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Hidden,
    Lines,
    Bars,
}

/// The progress of one phase.
pub(crate) struct Bar {
    name: &'static str,
    total: usize,
    started: Instant,
    shown: Shown,
}

enum Shown {
    Nothing,
    Lines(Mutex<Written>),
    Bar(ProgressBar),
}

struct Written {
    done: usize,
    last: Instant,
}

impl Progress {
    pub(crate) fn new(wanted: bool) -> Self {
        match (wanted, stderr().is_terminal()) {
            (false, _) => Self::Hidden,
            (true, false) => Self::Lines,
            (true, true) => Self::Bars,
        }
    }

    pub(crate) fn bar(self, name: &'static str, total: usize) -> Bar {
        let started = Instant::now();
        let shown = match self {
            Self::Hidden => Shown::Nothing,
            Self::Lines => Shown::Lines(Mutex::new(Written { done: 0, last: started })),
            Self::Bars => {
                let template = "{msg:>16} {wide_bar} {pos}/{len} {per_sec} {eta}";
                let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
                Shown::Bar(ProgressBar::new(total as u64).with_style(style).with_message(name))
            }
        };
        Bar { name, total, started, shown }
    }
}

impl Bar {
    /// Something worth a line, in whatever form progress is shown.
    pub(crate) fn say(&self, line: &str) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.println(line),
            Shown::Lines(_) => write_line(line),
        }
    }

    pub(crate) fn advance(&self) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.inc(1),
            Shown::Lines(written) => {
                let Ok(mut written) = written.lock() else { return };
                written.done += 1;
                if written.last.elapsed() >= LINE_EVERY {
                    written.last = Instant::now();
                    self.line(written.done);
                }
            }
        }
    }

    /// Ends the phase, and returns how long it took.
    pub(crate) fn finish(self) -> Duration {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.finish(),
            Shown::Lines(_) => self.line(self.total),
        }
        self.started.elapsed()
    }

    fn line(&self, done: usize) {
        let seconds = self.started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
        let rate = done as f64 / seconds.max(0.001);
        write_line(&format!("{}: {done}/{} in {seconds:.1} s, {rate:.0}/s", self.name, self.total));
    }
}

fn write_line(line: &str) {
    // Who has closed stderr does not want to see it.
    writeln!(stderr(), "{line}").ok();
}
