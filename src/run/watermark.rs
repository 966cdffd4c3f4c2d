//! The times that a scan leaves, by both clocks: the watermark, the start of the next request for changes, and the
//! possible days of a snapshot. The rules are in `plan::clock`.

use jiff::{SignedDuration, Timestamp};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Key, Looked, ScanKind, ScanStart};
use crate::plan::{Moment, ScanClocks, Step, StepKind, day, held_back, lowered, may_replace, watermark};
use crate::quantity::plural;
use crate::run::session::{ResourceSession, UNIDENTIFIED};
use crate::schema::Open;
use crate::write::{day_number, segment};

impl ResourceSession<'_> {
    /// Begins a step: its scan's stamps are of now, unless it resumes another.
    pub fn begin(&mut self, step: &Step) {
        self.observations.begun = self.context.client.clocks().ours();
        if matches!(step.kind, StepKind::Scan(_)) && step.resume.is_none() {
            self.state.clocks.scan = None;
        }
    }

    /// The clocks when the scan in hand began: an earlier run's, where it resumes one.
    fn start(&self, theirs: Timestamp) -> ScanClocks {
        let now = self.scan_start(theirs);
        let ScanStart { ours, earliest } = self.state.clocks.scan.unwrap_or(now);
        ScanClocks { theirs, ours, earliest: earliest.min(theirs) }
    }

    /// The start of an unfinished scan.
    pub fn scan_start(&self, theirs: Timestamp) -> ScanStart {
        let clocks = self.context.client.clocks();
        ScanStart { ours: self.observations.begun, earliest: theirs.min(clocks.earliest(self.observations.begun)) }
    }

    /// An instant of the source's clock, or now by the earlier of both clocks, whichever is earlier.
    pub fn earliest(&self, theirs: Timestamp) -> Timestamp {
        let clocks = self.context.client.clocks();
        theirs.min(clocks.earliest(clocks.ours()))
    }

    /// The source's clock: as heard in this run, else by its distance from ours at the last scan.
    pub fn source_now(&self) -> Timestamp {
        let clocks = self.context.client.clocks();
        let before = self.state.completed_at.zip(self.state.clocks.completed_at);
        let ahead = before.map(|(theirs, ours)| theirs.duration_since(ours)).unwrap_or_default();
        clocks.theirs().unwrap_or_else(|| clocks.ours().saturating_add(ahead).unwrap_or_else(|_| clocks.ours()))
    }

    /// Notes a scan's end in the state, with its start by the source's clock. The watermark stays where it is when
    /// `hold` states that a record with an unreadable key was fetched.
    pub fn complete(&mut self, kind: ScanKind, started_at: Timestamp, hold: bool) {
        self.stamp(kind, started_at, hold);
        if self.state.completed_at.is_none() {
            // A first load holds exactly the listed records: nothing can be found deleted yet.
            self.state.reconciled_at = Some(started_at);
        }
        self.state.completed_at = Some(started_at);
        if kind == ScanKind::Full {
            self.state.reloaded_at = Some(started_at);
            self.state.open_reread_at = matches!(self.resource.open(), Some(Open::Until { .. })).then_some(started_at);
        }
        if kind == ScanKind::Changes {
            let counts = std::mem::take(&mut self.state.looked.counts);
            self.state.looked = Looked { counts, ..self.stored.lookups.take() };
        }
        self.state.scan = None;
        let now = self.earliest(started_at);
        self.state.skipped_ids.retain(|skipped| skipped.until > now);
        if !hold {
            // Records without a key were read again, and all of them have one now.
            self.state.pending.retain(|pending| pending.id != Key::Text(UNIDENTIFIED.to_owned()));
        }
    }

    /// Moves the watermark, unless `hold`, and notes our clock beside the source's; warns of a watermark that is held
    /// back.
    fn stamp(&mut self, kind: ScanKind, theirs: Timestamp, hold: bool) {
        let (start, before, overlap) = (self.start(theirs), self.state.watermark, self.context.limits.overlap);
        if !hold {
            let mark = watermark(before, start, overlap);
            self.state.watermark = Some(mark);
            let earlier = before.filter(|before| *before < mark).or(self.state.watermark_before);
            self.state.watermark_before = earlier.filter(|earlier| kind == ScanKind::Changes && *earlier < mark);
        }
        let clocks = &mut self.state.clocks;
        clocks.scan = None;
        clocks.completed_at = Some(start.ours);
        if self.state.reconciled_at.is_none() {
            clocks.reconciled_at = Some(start.ours);
        }
        if kind == ScanKind::Full {
            clocks.reloaded_at = Some(start.ours);
            clocks.open_reread_at = Some(start.ours);
        }
        let Some(mark) = self.state.watermark.filter(|_| self.resource.has_dates()) else { return };
        if let Some(behind) = held_back(before, mark, start, overlap) {
            let cause = if hold { "rows do not fit, and none of them may be lost" } else { "the clocks are apart" };
            let text = format!(
                "the watermark is held back at {mark:.0}, {} behind, for {cause}: each run reads again all that changed \
                 since ({} in this one)",
                in_words(behind),
                plural(self.tally.records, "record")
            );
            self.context.events.warn(&self.name, text);
        }
    }

    /// From where changes are asked again, when a search from `since` cannot have found them: the watermark is later
    /// than both clocks.
    pub fn lowered(&self, since: Timestamp, theirs: Timestamp) -> Option<Timestamp> {
        let last = Moment { theirs: self.state.completed_at, ours: self.state.clocks.completed_at };
        let earlier = lowered(since, self.start(theirs), last, self.context.limits.overlap)?;
        let text = format!(
            "the watermark {since:.0} is later than the source's clock and ours: changes are asked from {earlier:.0}. \
             `pearlift run --full {}` reads what may have changed before",
            self.name
        );
        self.context.events.warn(&self.name, text);
        Some(earlier)
    }

    /// The day of a snapshot that begins now by the source's clock, as days since 1970; none where it may not be taken,
    /// since one of that day is held and a wrong clock may have named the day.
    ///
    /// Sets the first day that is kept, by the earlier clock: a wrong one deletes no day.
    pub fn snapshot_day(&mut self, theirs: Timestamp) -> Result<Option<i32>> {
        let number = |at| {
            day_number(day(at))
                .ok_or_else(|| Failure::new(Kind::Answer, "use the source's clock").because("its date is out of range"))
        };
        let (start, today) = (self.start(theirs), number(theirs)?);
        let last = Moment { theirs: self.state.reloaded_at, ours: self.state.clocks.reloaded_at };
        let segment = segment(self.resource.partition(), today);
        let held = self.head.iter().flat_map(crate::manifest::Version::files).any(|file| file.partition == segment);
        if held && !may_replace(last, theirs, start.ours) {
            let text = format!(
                "the source's clock ({theirs:.0}) is apart from ours ({:.0}), and a snapshot of {} is held: it is left \
                 as it is, and none is taken in this run",
                start.ours,
                day(theirs)
            );
            self.context.events.warn(&self.name, text);
            return Ok(None);
        }
        if let Some(keep) = self.options.keep {
            let days = i32::try_from(keep.as_secs() / 86_400).unwrap_or(i32::MAX).max(1);
            self.commit_context.keep_from = Some(number(start.earliest)?.saturating_sub(days - 1));
        }
        Ok(Some(today))
    }
}

/// A length of time to the hour.
fn in_words(length: SignedDuration) -> String {
    let hours = length.as_hours().unsigned_abs();
    humantime::format_duration(std::time::Duration::from_secs(hours * 3600)).to_string()
}
