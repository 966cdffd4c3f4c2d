//! A body as it came, and its text: inflated, bounded in size and depth.

use std::borrow::Cow;

use bytes::Bytes;

use crate::fetch::inflate::{MAX_BODY, inflate};

/// Documents of the source nest about eight deep. The reader takes up to 28 KiB of stack for each level, and a worker's stack is
/// 2 MiB: 72 levels would end the process.
const MAX_DEPTH: usize = 32;

/// Refuses text that nests deeper than any document of the source: readers recurse.
fn check_depth(bytes: &[u8]) -> Result<(), Broken> {
    let mut depth: usize = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += string_length(&bytes[at + 1..]),
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Broken::new(format!("the answer nests deeper than {MAX_DEPTH}")));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// The bytes from behind an opening quote to the closing one, that included.
fn string_length(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A body as it came.
#[derive(Clone, Debug)]
pub struct Body {
    pub bytes: Bytes,
    pub gzip: bool,
}

/// The answer is no whole JSON answer; asking again may mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl Broken {
    /// Says what is broken.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl Body {
    /// The text, ready for a reader that recurses. CPU work: call it from a worker.
    pub fn text(&self) -> Result<Cow<'_, [u8]>, Broken> {
        let text = if self.gzip { Cow::Owned(inflate(&self.bytes)?) } else { Cow::Borrowed(self.bytes.as_ref()) };
        if text.len() > MAX_BODY {
            return Err(Broken::new(format!("the body is longer than {MAX_BODY} bytes")));
        }
        check_depth(&text)?;
        Ok(text)
    }
}
