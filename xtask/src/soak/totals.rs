//! What was done so far, and the log that a later run goes on from.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use super::plan::Role;

/// Everything that is counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    pub rounds: u32,
    pub seconds: u64,
    pub writers: u32,
    pub readers: u32,
    pub recoverers: u32,
    /// Of the recoverers: killed within a call of `recover` or `attach`.
    pub inside: u32,
    pub owners: u32,
    /// Two killed in the same breath.
    pub pairs: u32,
    pub stops: u32,
    pub restarts: u32,
    pub takeovers: u32,
    pub samples: u64,
    /// The seed that the run began with, and the state that the next round is drawn from.
    pub seed: u64,
    pub state: u64,
}

impl Totals {
    pub fn killed(&mut self, role: Role) {
        match role {
            Role::Writer => self.writers += 1,
            Role::Reader => self.readers += 1,
            Role::Recoverer => self.recoverers += 1,
            Role::Owner => self.owners += 1,
        }
    }

    pub fn killed_if(&mut self, role: Role, was_killed: bool) {
        if was_killed {
            self.killed(role);
        }
    }

    fn kills(&self) -> u32 {
        self.writers + self.readers + self.recoverers + self.owners
    }

    /// One line of `name=value` pairs.
    fn line(&self) -> String {
        let Self { rounds, seconds, writers, readers, recoverers, inside, owners, pairs, stops, restarts, takeovers, samples, seed, state } =
            self;
        format!(
            "rounds={rounds} seconds={seconds} writers={writers} readers={readers} recoverers={recoverers} inside={inside} owners={owners} \
             pairs={pairs} stops={stops} restarts={restarts} takeovers={takeovers} samples={samples} seed={seed} state={state}"
        )
    }

    /// From the log's last whole line; `None` if there is no log yet.
    pub fn resume(log: &Path) -> Result<Option<Self>, Box<dyn Error>> {
        let text = match std::fs::read_to_string(log) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", log.display()).into()),
        };
        // A run that was killed while it wrote leaves a line without an end.
        let Some((whole, _)) = text.rsplit_once('\n') else { return Ok(None) };
        let last = whole.lines().next_back().unwrap_or_default();
        Self::parse(last)
            .map(Some)
            .ok_or_else(|| format!("{}: the last line is not of this command; choose another file", log.display()).into())
    }

    fn parse(line: &str) -> Option<Self> {
        let value =
            |name: &str| line.split_ascii_whitespace().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok());
        let count = |name: &str| value(name)?.try_into().ok();
        Some(Self {
            rounds: count("rounds")?,
            seconds: value("seconds")?,
            writers: count("writers")?,
            readers: count("readers")?,
            recoverers: count("recoverers")?,
            inside: count("inside")?,
            owners: count("owners")?,
            pairs: count("pairs")?,
            stops: count("stops")?,
            restarts: count("restarts")?,
            takeovers: count("takeovers")?,
            samples: value("samples")?,
            seed: value("seed")?,
            state: value("state")?,
        })
    }

    /// Appends a line to the log.
    pub fn append(&self, log: &Path) -> Result<(), Box<dyn Error>> {
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(|error| format!("{}: {error}", log.display()))?;
        Ok(file.write_all(format!("{}\n", self.line()).as_bytes())?)
    }

    /// The closing line.
    pub fn closing(&self) -> String {
        format!(
            "{} rounds in {} s, seed {}: {} killed ({} writers, {} readers, {} owners, {} recoverers of which {} inside a recovery; {} pairs at once), \
             {} stopped, {} restarted, {} taken over, {} samples: none lost, doubled, torn or out of order, every slot usable after each round, nothing left behind",
            self.rounds,
            self.seconds,
            self.seed,
            self.kills(),
            self.writers,
            self.readers,
            self.owners,
            self.recoverers,
            self.inside,
            self.pairs,
            self.stops,
            self.restarts,
            self.takeovers,
            self.samples
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let totals =
            Totals { rounds: 1, seconds: 2, writers: 3, inside: 4, samples: 1 << 40, seed: 7, state: u64::MAX, ..Totals::default() };
        assert_eq!(Totals::parse(&totals.line()), Some(totals));
        assert_eq!(Totals::parse("rounds=1 seconds=2"), None);
    }
}
