//! The one failure type: the action that failed, the place, the cause, and the remedy.
//!
//! A [`Kind`] is the meaning of the failure; [`Kind::recovery`] and [`Kind::exit_code`] are the only places that turn a
//! meaning into a consequence. Messages are lower-case fragments that fit after "could not"; advice is separate and
//! names a real flag, key or variable.

use std::error::Error;
use std::fmt;

/// The meaning of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Our own mistake.
    Bug,
    /// Flags or arguments that make no sense.
    Usage,
    /// The settings file, the environment or the account of the destination do not fit.
    Settings,
    /// A schema file that is wrong, or tables on disk that it no longer describes.
    Schema,
    /// The source refused our credentials (401).
    Credentials,
    /// The source refused one resource (403), or rejected our request as wrong.
    Refused,
    /// The source cannot be reached (name, connection, TLS), and no request of the run has succeeded.
    Offline,
    /// The source could not be reached, or kept failing.
    Unreachable,
    /// The source's answer cannot be accepted: an ignored filter, unsorted pages, too many pending ids.
    Answer,
    /// The change looks more like a fault than like the truth: a person must insist.
    Doubtful,
    /// The destination refused: permission, missing bucket, no conditional put.
    StoreRefused,
    /// The destination could not be reached, or is full.
    StoreUnreachable,
    /// Another run holds the resource.
    Held,
    /// Another run won the commit.
    Lost,
    /// Files differ from the manifest.
    Damage,
    /// We were asked to stop.
    Interrupted,
}

/// The consequence of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing more can be done in this run.
    StopRun,
    /// This resource stops, the others continue.
    StopResource,
}

impl Kind {
    /// The consequence of this kind.
    pub fn recovery(self) -> Recovery {
        match self {
            Kind::Bug
            | Kind::Usage
            | Kind::Settings
            | Kind::Credentials
            | Kind::Offline
            | Kind::StoreRefused
            | Kind::StoreUnreachable
            | Kind::Interrupted => Recovery::StopRun,
            Kind::Schema
            | Kind::Refused
            | Kind::Unreachable
            | Kind::Answer
            | Kind::Doubtful
            | Kind::Held
            | Kind::Lost
            | Kind::Damage => Recovery::StopResource,
        }
    }

    /// The exit code when this failure ends the command.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Bug => 1,
            Kind::Usage | Kind::Settings | Kind::Schema => 2,
            Kind::Credentials | Kind::Refused | Kind::Offline | Kind::Unreachable | Kind::Answer => 4,
            Kind::Doubtful => 3,
            Kind::StoreRefused | Kind::StoreUnreachable => 5,
            Kind::Held | Kind::Lost => 6,
            Kind::Damage => 7,
            Kind::Interrupted => 130,
        }
    }

    /// The meaning in one word, for logs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bug => "bug",
            Kind::Usage => "usage",
            Kind::Settings => "settings",
            Kind::Schema => "schema",
            Kind::Credentials => "credentials",
            Kind::Refused => "refused",
            Kind::Offline => "offline",
            Kind::Unreachable => "unreachable",
            Kind::Answer => "answer",
            Kind::Doubtful => "doubtful",
            Kind::StoreRefused => "destination-refused",
            Kind::StoreUnreachable => "destination-unreachable",
            Kind::Held => "held",
            Kind::Lost => "lost",
            Kind::Damage => "damage",
            Kind::Interrupted => "interrupted",
        }
    }
}

/// A failure: kind, fragment after "could not", place, cause, advice.
#[derive(Debug)]
pub struct Failure {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: Kind,
    action: String,
    place: Option<String>,
    because: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
    advice: Option<String>,
    request_id: Option<String>,
}

/// The result of everything that can fail here.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure of this kind; `action` fits after "could not".
    pub fn new(kind: Kind, action: impl Into<String>) -> Self {
        let inner = Inner {
            kind,
            action: action.into(),
            place: None,
            because: None,
            source: None,
            advice: None,
            request_id: None,
        };
        Self { inner: Box::new(inner) }
    }

    /// A data file that differs from the manifest, with the remedy; `action` fits after "could not".
    pub fn damaged(action: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new(Kind::Damage, action).at(path).advise(
            "`pearlift verify --deep` lists the damage, and `pearlift backfill RESOURCE --damaged` reads it again",
        )
    }

    /// Adds the place: a resource and page, a path, an address as `config::shown_address` shows it.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.inner.place = Some(place.into());
        self
    }

    /// Adds the reason in words.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.inner.because = Some(reason.into());
        self
    }

    /// Adds why a TOML text cannot be read: the place and the rule. No line of the text is quoted, nor any value in it,
    /// which may be a secret at the wrong place.
    pub fn unread(self, text: &str, error: &toml::de::Error) -> Self {
        let whole = error.to_string();
        let place = match error.span() {
            Some(span) => {
                let before = text.get(..span.start).unwrap_or(text);
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                format!("line {}, column {column}", before.matches('\n').count() + 1)
            }
            // Of a variable: the key follows the message.
            None => whole.lines().last().filter(|line| line.starts_with("in `")).unwrap_or("in a variable").to_owned(),
        };
        let rule = without_values(error.message()).lines().collect::<Vec<_>>().join(", ");
        self.because(format!("{place}: {rule}"))
    }

    /// Adds the underlying error.
    pub fn caused(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Adds advice, which names a real flag, key or variable.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.inner.advice = Some(advice.into());
        self
    }

    /// Adds the source's id of the request, where it gave one: its support asks for it.
    pub fn asked_as(mut self, request_id: Option<String>) -> Self {
        self.inner.request_id = request_id;
        self
    }

    /// The same failure with another meaning.
    pub fn meaning(mut self, kind: Kind) -> Self {
        self.inner.kind = kind;
        self
    }

    /// The source's id of the request that failed, where it gave one.
    pub fn request_id(&self) -> Option<&str> {
        self.inner.request_id.as_deref()
    }

    /// The meaning of the failure.
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// The reason in words; empty where none was given.
    pub fn reason(&self) -> &str {
        self.inner.because.as_deref().unwrap_or_default()
    }

    /// The remedy, if there is one.
    pub fn advice(&self) -> Option<&str> {
        self.inner.advice.as_deref()
    }
}

/// A message of serde without the value that was found.
fn without_values(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    if found.starts_with("unknown variant ") {
        return format!("unknown value, expected {expected}");
    }
    // `invalid type: string "…"`, `invalid value: integer `5``: the value begins with a quote.
    let quoted = found.starts_with("invalid ").then(|| found.find(['"', '`'])).flatten();
    let found = quoted.map_or(found, |at| found[..at].trim_end());
    format!("{found}, expected {expected}")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.inner;
        write!(f, "could not {}", inner.action)?;
        if let Some(place) = &inner.place {
            write!(f, " ({place})")?;
        }
        if let Some(because) = &inner.because {
            write!(f, ": {because}")?;
        }
        let mut next = inner.source.as_deref().map(|source| source as &dyn Error);
        let mut said = String::new();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Many libraries repeat their cause in their own text.
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said.push_str(&text);
            }
            next = cause.source();
        }
        match &inner.request_id {
            Some(id) => write!(f, " [request {id}]"),
            None => Ok(()),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
