//! A body as it came, and its text: inflated, bounded in bytes and elements, and without values that nest too deep.

use std::borrow::Cow;

use bytes::Bytes;

use crate::fetch::broken::Broken;
use crate::fetch::inflate::{MAX_BODY, inflate, stated_length};

/// Documents of the source nest about eight deep. The reader takes up to 28 KiB of stack for each level, and a worker's
/// stack is 2 MiB: 72 levels would end the process.
const MAX_DEPTH: usize = 32;
/// Bytes of all values of a body that nest too deep: none of an honest one does, and each is copied.
const MAX_DEEP: usize = 1 << 20;
/// Entries of one list or map. A page has at most 500 rows, a set 200 documents; an inventory has an entry for each 200
/// ids, so that this many are 20 million. A reader may keep an entry of each level that is open: 130 bytes, 13 MiB.
const MAX_ENTRIES: u32 = 100_000;
/// Elements of a body: honest records have one for each 26 bytes, and a body of the greatest length has 1.3 million.
const MAX_ELEMENTS: usize = 2_000_000;
/// The beginning of the JSON string that replaces a value with too deep nesting; its text follows. No text of the
/// source begins with a zero byte.
pub const DEEP: &str = "\"\\u0000nests too deep: ";

/// The text, with values that nest deeper than any document of the source as strings of their text: readers recurse.
/// Refuses one of more elements, or with more of them in one list or map, than a reader has memory for.
fn flatten(bytes: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
    let mut flat: Option<Vec<u8>> = None;
    let (mut depth, mut at, mut written, mut deep) = (0_usize, 0, 0, 0);
    let (mut elements, mut deep_bytes) = (0, 0);
    // The entries of each list and map that is open; those that nest too deep share a place.
    let mut entries = [0_u32; MAX_DEPTH + 2];
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += string_length(&bytes[at + 1..]),
            b',' => {
                elements += 1;
                let here = &mut entries[depth.min(MAX_DEPTH + 1)];
                *here += 1;
                if *here >= MAX_ENTRIES {
                    return Err(Broken::new(format!(
                        "a list or map of the answer has more than {MAX_ENTRIES} entries"
                    )));
                }
                if elements > MAX_ELEMENTS {
                    return Err(Broken::new(format!("the answer has more than {MAX_ELEMENTS} elements")));
                }
            }
            b'{' | b'[' => {
                depth += 1;
                elements += 1;
                entries[depth.min(MAX_DEPTH + 1)] = 0;
                if depth == MAX_DEPTH + 1 {
                    deep = at;
                }
            }
            b'}' | b']' => {
                if depth == MAX_DEPTH + 1 {
                    deep_bytes += at - deep;
                    if deep_bytes > MAX_DEEP {
                        return Err(Broken::new(format!("more than {MAX_DEEP} bytes of the answer nest too deep")));
                    }
                    let flat = flat.get_or_insert_default();
                    flat.extend_from_slice(&bytes[written..deep]);
                    flat.extend_from_slice(DEEP.as_bytes());
                    let text = String::from_utf8_lossy(&bytes[deep..=at]);
                    let quoted = serde_json::to_string(&text).expect("a text is JSON");
                    flat.extend_from_slice(&quoted.as_bytes()[1..]);
                    written = at + 1;
                }
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        at += 1;
    }
    if depth > MAX_DEPTH {
        return Err(Broken::new(format!("the answer nests deeper than {MAX_DEPTH} and breaks off there")));
    }
    if let Some(flat) = &mut flat {
        flat.extend_from_slice(&bytes[written..]);
    }
    Ok(flat)
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

impl Body {
    /// Bytes that it takes to read the body, itself included, and those that are left of it as rows: about as many as
    /// its text has, in buffers that grew by doubling.
    pub fn room(&self) -> (u64, u64) {
        let own = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let stated = u64::try_from(stated_length(&self.bytes)).unwrap_or(u64::MAX);
        let text = if self.gzip { stated } else { own };
        let inflated = if self.gzip { text } else { 0 };
        (own + inflated + 2 * text, 2 * text)
    }

    /// The text of a short body, inflated; none of one that is longer.
    pub fn short_text(&self, most: usize) -> Option<Cow<'_, [u8]>> {
        if self.gzip {
            return inflate(&self.bytes, most).ok().map(Cow::Owned);
        }
        (self.bytes.len() <= most).then_some(Cow::Borrowed(&self.bytes))
    }

    /// The text, ready for a reader that recurses; one that nests too deep is refused. CPU work: call it from a worker.
    pub fn text(&self) -> Result<Text<'_>, Broken> {
        let text = self.flat_text()?;
        if text.deep {
            return Err(Broken::new(format!("the answer nests deeper than {MAX_DEPTH}")));
        }
        Ok(text)
    }

    /// The text with a string in the place of each value that nests too deep. CPU work: call it from a worker.
    pub fn flat_text(&self) -> Result<Text<'_>, Broken> {
        let text =
            if self.gzip { Cow::Owned(inflate(&self.bytes, MAX_BODY)?) } else { Cow::Borrowed(self.bytes.as_ref()) };
        if text.len() > MAX_BODY {
            return Err(Broken::new(format!("the body is longer than {MAX_BODY} bytes")));
        }
        Ok(match flatten(&text)? {
            Some(flat) => Text { bytes: Cow::Owned(flat), deep: true },
            None => Text { bytes: text, deep: false },
        })
    }
}

/// A body's text.
#[derive(Debug)]
pub struct Text<'a> {
    bytes: Cow<'a, [u8]>,
    /// Somewhere in it a value nests too deep: [`DEEP`] is its place.
    pub deep: bool,
}

impl std::ops::Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
