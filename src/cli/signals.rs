//! Signals that ask a run to stop.
//!
//! The first asks the run to commit its complete parts; a later one ends the process at once. A process is often
//! signalled twice within an instant (`timeout` signals its child, then the whole group), so a SIGTERM that follows
//! closely is the same request.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::event::{Event, Events};
use crate::failure::{Failure, Kind, Result};
use crate::run::{Stop, Why};

/// A SIGTERM within this of the first signal repeats it.
const REPEATED: Duration = Duration::from_secs(2);

/// A signal that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentSignal {
    Interrupt,
    Terminate,
}

impl SentSignal {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

/// The consequence of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The run is asked to stop.
    Stop,
    Ignore,
    /// The process ends at once.
    End,
}

/// Signals so far.
#[derive(Debug, Default)]
struct Received {
    first: Option<Instant>,
}

impl Received {
    fn receive(&mut self, sent: SentSignal, at: Instant) -> Consequence {
        let Some(first) = self.first else {
            self.first = Some(at);
            return Consequence::Stop;
        };
        match sent {
            SentSignal::Terminate if at.saturating_duration_since(first) < REPEATED => Consequence::Ignore,
            SentSignal::Interrupt | SentSignal::Terminate => Consequence::End,
        }
    }
}

/// Receives the signals that ask a run to stop.
pub struct SignalHandler {
    interrupt: Signal,
    terminate: Signal,
    received: Received,
}

impl SignalHandler {
    /// Handles SIGINT and SIGTERM from now on.
    pub fn new() -> Result<Self> {
        let wrong = |error| Failure::new(Kind::Bug, "listen for signals").caused(error);
        let interrupt = signal(SignalKind::interrupt()).map_err(wrong)?;
        let terminate = signal(SignalKind::terminate()).map_err(wrong)?;
        Ok(Self { interrupt, terminate, received: Received::default() })
    }

    /// The next signal, and its consequence.
    pub async fn next(&mut self) -> (SentSignal, Consequence) {
        let sent = tokio::select! {
            _ = self.interrupt.recv() => SentSignal::Interrupt,
            _ = self.terminate.recv() => SentSignal::Terminate,
        };
        (sent, self.received.receive(sent, Instant::now()))
    }

    /// Waits for a signal that does not repeat the one before it.
    pub async fn end(&mut self) {
        while matches!(self.next().await, (_, Consequence::Ignore)) {}
    }

    /// Passes signals on to the run. Never ends but with the process.
    pub async fn listen<T>(&mut self, stop: &Stop, events: &Events) -> T {
        loop {
            let (sent, consequence) = self.next().await;
            match consequence {
                Consequence::Stop => {
                    let reason = format!("{} (send it again to stop at once)", sent.name());
                    events.tell(Event::Stopping { reason });
                    stop.ask(Why::Interrupted);
                }
                Consequence::Ignore => {}
                #[expect(clippy::disallowed_methods, reason = "a second signal: the run ends without waiting")]
                Consequence::End => std::process::exit(i32::from(Kind::Interrupted.exit_code())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consequences(signals: &[(SentSignal, u64)]) -> Vec<Consequence> {
        let (mut received, begun) = (Received::default(), Instant::now());
        signals.iter().map(|(sent, at)| received.receive(*sent, begun + Duration::from_millis(*at))).collect()
    }

    #[test]
    fn a_second_sigterm_within_two_seconds_repeats_the_first_and_a_later_one_ends() {
        use Consequence::{End, Ignore, Stop};
        use SentSignal::{Interrupt, Terminate};
        assert_eq!(consequences(&[(Terminate, 0), (Terminate, 0), (Terminate, 1_999)]), [Stop, Ignore, Ignore]);
        assert_eq!(consequences(&[(Terminate, 0), (Terminate, 5), (Terminate, 2_000)]), [Stop, Ignore, End]);
        assert_eq!(consequences(&[(Interrupt, 0), (Terminate, 5), (Terminate, 2_500)]), [Stop, Ignore, End]);
        // Two interrupts are two decisions of a person.
        assert_eq!(consequences(&[(Interrupt, 0), (Interrupt, 300)]), [Stop, End]);
        assert_eq!(consequences(&[(Terminate, 0), (Interrupt, 300)]), [Stop, End]);
    }
}
