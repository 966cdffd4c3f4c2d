//! Known secrets as byte strings to look for in the views of a text, letters of either case.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::secret::view::{Escapes, View};

/// Secrets of fewer bytes are not looked for: they would black out ordinary words.
pub(super) const SHORTEST: usize = 4;
/// The rest of a secret before a cut is looked for from this many bytes on: fewer are a word, and no secret.
const SHORTEST_CUT: usize = 8;
/// Forms of fewer letters are not looked for: the rest of a short secret's base64 is an everyday word.
const SHORTEST_BASE64: usize = 8;
/// Alphabets of base64: the common one, and that of URLs.
const ALPHABETS: [[u8; 2]; 2] = [[b'+', b'/'], [b'-', b'_']];
/// One entry for each pair of bytes.
const PAIRS: usize = 1 << 16;

/// Byte strings in lower case, found by their first two bytes.
#[derive(Clone, Default)]
pub(super) struct Forms {
    /// Sorted, each of at least four bytes.
    forms: Vec<Vec<u8>>,
    /// By the first two bytes of a form: whether there is one. Empty until the first form is added.
    starts: Vec<bool>,
    /// Bytes of the shortest secret.
    shortest: Option<usize>,
}

impl Forms {
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// Bytes of the shortest secret.
    pub fn shortest(&self) -> usize {
        self.shortest.unwrap_or(0)
    }

    /// Adds the forms of a secret: as it is, with its escapes resolved, and each of these in
    /// hexadecimal and base64. Base64 is decoded in views too; these forms find it in the wrong case.
    pub fn add(&mut self, secret: &str) {
        let mut forms: BTreeSet<Vec<u8>> = std::mem::take(&mut self.forms).into_iter().collect();
        for view in views(&View::of(secret)).iter().filter(|view| view.bytes.len() >= SHORTEST) {
            self.shortest = self.shortest.into_iter().chain([view.bytes.len()]).min();
            forms.insert(view.bytes.to_ascii_lowercase());
            forms.insert(view.bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
            for alphabet in ALPHABETS {
                let encoded = (0..3).map(|before| base64_within(&view.bytes, before, alphabet));
                forms.extend(encoded.filter(|form| form.len() >= SHORTEST_BASE64));
            }
        }
        // Spaces are `+` in a form.
        if secret.contains(' ') {
            forms.insert(secret.replace(' ', "+").into_bytes().to_ascii_lowercase());
        }
        self.starts = vec![false; PAIRS];
        for form in &forms {
            self.starts[pair(form[0], form[1])] = true;
        }
        self.forms = forms.into_iter().collect();
    }

    /// The ranges of the original text at which a view holds a form.
    pub fn find_in(&self, view: &View, found: &mut Vec<Range<usize>>) {
        let bytes = view.bytes.to_ascii_lowercase();
        for (at, two) in bytes.windows(2).enumerate() {
            if !self.starts[pair(two[0], two[1])] {
                continue;
            }
            // Forms are sorted: those that begin with these two bytes lie together.
            let first = self.forms.partition_point(|form| form[..2] < *two);
            let forms = self.forms[first..].iter().take_while(|form| form[..2] == *two);
            if let Some(length) = forms.filter(|form| bytes[at..].starts_with(form)).map(Vec::len).max() {
                found.push(view.original(at..at + length));
            }
        }
        self.find_cut_in(view, &bytes, found);
    }

    /// The ranges at which a form begins and was cut, as a following `…` shows.
    fn find_cut_in(&self, view: &View, bytes: &[u8], found: &mut Vec<Range<usize>>) {
        let cuts = bytes.windows(3).enumerate().filter(|(_, three)| CUTS.contains(three)).map(|(at, _)| at);
        for cut in cuts {
            for text in [&bytes[..cut], without_rest(&bytes[..cut])] {
                let begins =
                    |form: &&Vec<u8>| (SHORTEST_CUT..form.len()).rev().find(|length| text.ends_with(&form[..*length]));
                if let Some(length) = self.forms.iter().filter_map(|form| begins(&form)).max() {
                    found.push(view.original(text.len() - length..cut));
                }
            }
        }
    }
}

/// Marks where a text was cut.
const CUTS: [&[u8]; 2] = ["…".as_bytes(), b"..."];
/// Letters of an escape that a cut leaves behind, at most: `\u{1f60` and `&#x1f60` have seven.
const LONGEST_REST: usize = 8;

/// The text without an escape that was cut.
fn without_rest(text: &[u8]) -> &[u8] {
    let near = text.len().saturating_sub(LONGEST_REST);
    let rest = text[near..].iter().position(|byte| matches!(byte, b'%' | b'\\' | b'&'));
    let is_rest =
        |rest: &[u8]| rest[1..].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'#' | b'{'));
    rest.map(|at| near + at).filter(|at| is_rest(&text[*at..])).map_or(text, |at| &text[..at])
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// Levels of escapes that are resolved: JSON in JSON in a log's JSON has three.
const LEVELS: usize = 8;
/// Views of one text: escapes of three kinds in each other, in any order, have under twenty.
const VIEWS: usize = 64;

/// A view with all that its escapes give, level by level, in every order of the kinds: the order of nested escapes is
/// not known beforehand (`\&quot;` is a backslash and a quote, or an escaped `&`).
pub(super) fn views(view: &View) -> Vec<View> {
    let mut views = vec![view.clone()];
    let mut level = 0..1;
    for _ in 0..LEVELS {
        for at in level.clone() {
            for escapes in [Escapes::All, Escapes::Percent, Escapes::Backslash, Escapes::Entity] {
                let Some(decoded) = views[at].decoded(escapes).filter(|_| views.len() < VIEWS) else { continue };
                if !views.contains(&decoded) {
                    views.push(decoded);
                }
            }
        }
        level = level.end..views.len();
    }
    let unwrapped: Vec<View> = views.iter().filter_map(View::unwrapped).collect();
    views.extend(unwrapped);
    views
}

/// The letters of base64, in lower case, that these bytes alone decide where this many bytes go before them.
fn base64_within(bytes: &[u8], before: usize, [plus, slash]: [u8; 2]) -> Vec<u8> {
    let bit = |at: usize| bytes.get(at / 8).map(|byte| byte >> (7 - at % 8) & 1);
    // The first letter with all of its six bits from these bytes.
    let first = (before * 8).div_ceil(6) * 6 - before * 8;
    let mut letters = Vec::new();
    for start in (first..).step_by(6) {
        let Some(value) = (start..start + 6).try_fold(0, |value: u8, at| Some(value << 1 | bit(at)?)) else { break };
        letters.push(match value {
            0..=25 => b'a' + value,
            26..=51 => b'a' + value - 26,
            52..=61 => b'0' + value - 52,
            62 => plus,
            _ => slash,
        });
    }
    letters
}
