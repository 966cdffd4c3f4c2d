//! The form and the amount of a run's output.

/// How a run is shown during its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Bars on a terminal, else lines.
    Auto,
    /// Lines of text.
    Lines,
    /// One JSON object a line.
    Json,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Warnings and failures.
    Quiet,
    Normal,
    /// Every request.
    Verbose,
}
