//! Decoded views of a text: escapes of URLs, JSON and HTML resolved, base64 decoded, with the place of each byte in the
//! original.
//!
//! Decoding is lenient: a sequence that is no escape stays as it is, and nothing is refused. A view only serves to find
//! texts; it is never shown.

use std::ops::Range;

/// Escapes that a decoding resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escapes {
    /// All of the others.
    All,
    /// `%2B`, `%u002B`.
    Percent,
    /// `\u002b`, `\u{2b}`, `\x2b`, `\53`, `\/`, `\n`: JSON and programming languages.
    Backslash,
    /// `&#43;`, `&#x2b;`, `&plus;`.
    Entity,
}

impl Escapes {
    fn include(self, kind: Self) -> bool {
        self == kind || self == Self::All
    }
}

/// Bytes, and for each the range of the original text that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub bytes: Vec<u8>,
    pub places: Vec<Range<usize>>,
}

impl View {
    /// The text itself; each byte covers the whole character that it is part of.
    pub fn of(text: &str) -> Self {
        let mut view = Self::with_room(text.len());
        for (start, c) in text.char_indices() {
            view.push_char(c, start..start + c.len_utf8());
        }
        view
    }

    fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), places: Vec::with_capacity(bytes) }
    }

    fn push(&mut self, byte: u8, place: Range<usize>) {
        self.bytes.push(byte);
        self.places.push(place);
    }

    fn push_char(&mut self, c: char, place: Range<usize>) {
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            self.push(byte, place.clone());
        }
    }

    /// The range of the original that these bytes were read from.
    pub fn original(&self, range: Range<usize>) -> Range<usize> {
        self.places[range.start].start..self.places[range.end - 1].end
    }

    /// One level of escapes resolved; `None` where there is none.
    pub fn decoded(&self, escapes: Escapes) -> Option<Self> {
        let mut view = Self::with_room(self.bytes.len());
        let mut at = 0;
        while at < self.bytes.len() {
            let (length, unit) = match escape(&self.bytes[at..], escapes) {
                Some((length, unit)) => (length, unit),
                None => (1, Unit::Byte(self.bytes[at])),
            };
            let place = self.original(at..at + length);
            match unit {
                Unit::Byte(byte) => view.push(byte, place),
                Unit::Char(c) => view.push_char(c, place),
            }
            at += length;
        }
        (view.bytes.len() < self.bytes.len()).then_some(view)
    }

    /// Without line breaks, which wrap long texts; `None` where there is none.
    pub fn unwrapped(&self) -> Option<Self> {
        let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        if !self.bytes.iter().any(is_break) {
            return None;
        }
        let mut view = Self::with_room(self.bytes.len());
        for (byte, place) in self.bytes.iter().zip(&self.places).filter(|(byte, _)| !is_break(byte)) {
            view.push(*byte, place.clone());
        }
        Some(view)
    }

    /// Every run of base64 (the common and the URL alphabet), decoded from each of its first four letters on: the run
    /// may begin before the encoded text does. A run that cannot hold this many bytes is left out.
    pub fn base64_runs(&self, shortest: usize) -> Vec<Self> {
        let shortest = (shortest * 8).div_ceil(6).max(4);
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.bytes.len() {
            let length = self.bytes[at..].iter().take_while(|byte| sextet(**byte).is_some()).count();
            if length >= shortest {
                found.extend((at..at + 4).map(|start| self.base64(start..at + length)));
            }
            at += length.max(1);
        }
        found
    }

    fn base64(&self, run: Range<usize>) -> Self {
        let mut view = Self::with_room(run.len() * 3 / 4);
        let (mut bits, mut held) = (0_u32, 0_u32);
        for at in run {
            bits = (bits << 6 | u32::from(sextet(self.bytes[at]).unwrap_or_default())) & 0xffff;
            held += 6;
            if held >= 8 {
                held -= 8;
                let byte = u8::try_from(bits >> held & 0xff).expect("eight bits are a byte");
                view.push(byte, self.original(at - 1..at + 1));
            }
        }
        view
    }
}

/// The six bits of a letter of base64.
fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// The character of an escape.
enum Unit {
    Byte(u8),
    Char(char),
}

/// The escape at the beginning of a text: its length and its meaning.
fn escape(text: &[u8], escapes: Escapes) -> Option<(usize, Unit)> {
    match text.first()? {
        b'%' if escapes.include(Escapes::Percent) => percent(text),
        b'\\' if escapes.include(Escapes::Backslash) => backslash(text),
        b'&' if escapes.include(Escapes::Entity) => entity(text),
        _ => None,
    }
}

fn percent(text: &[u8]) -> Option<(usize, Unit)> {
    if matches!(text.get(1), Some(b'u' | b'U')) {
        return Some((6, Unit::Char(char::from_u32(number(text.get(2..6)?, 16)?)?)));
    }
    Some((3, byte(number(text.get(1..3)?, 16)?)?))
}

fn backslash(text: &[u8]) -> Option<(usize, Unit)> {
    let control = |byte| Some((2, Unit::Byte(byte)));
    match text.get(1)? {
        b'u' | b'x' if text.get(2) == Some(&b'{') => {
            let digits = text[3..].iter().take(7).position(|byte| *byte == b'}')?;
            let value = number(&text[3..3 + digits], 16)?;
            Some((digits + 4, Unit::Char(char::from_u32(value)?)))
        }
        b'u' => {
            let first = number(text.get(2..6)?, 16)?;
            if let Some(c) = char::from_u32(first) {
                return Some((6, Unit::Char(c)));
            }
            // Half of a character beyond 16 bits.
            let second =
                text.get(6..12).filter(|rest| rest.starts_with(b"\\u")).and_then(|rest| number(&rest[2..], 16))?;
            let (high, low) = (first.checked_sub(0xd800)?, second.checked_sub(0xdc00)?);
            Some((12, Unit::Char(char::from_u32(0x1_0000 + (high << 10) + low)?)))
        }
        b'U' => Some((10, Unit::Char(char::from_u32(number(text.get(2..10)?, 16)?)?))),
        b'x' => Some((4, byte(number(text.get(2..4)?, 16)?)?)),
        b'0'..=b'7' => {
            let digits = text[1..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            Some((digits + 1, byte(number(&text[1..=digits], 8)?)?))
        }
        b'n' => control(b'\n'),
        b'r' => control(b'\r'),
        b't' => control(b'\t'),
        b'b' => control(8),
        b'f' => control(12),
        other if other.is_ascii_punctuation() => control(*other),
        _ => None,
    }
}

fn entity(text: &[u8]) -> Option<(usize, Unit)> {
    let numeric = |from: usize, radix: u32, most: usize| {
        let digits = text[from..].iter().take(most).take_while(|byte| char::from(**byte).is_digit(radix)).count();
        let value = number(&text[from..from + digits], radix)?;
        let end = from + digits + usize::from(text.get(from + digits) == Some(&b';'));
        Some((end, Unit::Char(char::from_u32(value)?)))
    };
    match text.get(1)? {
        b'#' if matches!(text.get(2), Some(b'x' | b'X')) => numeric(3, 16, 6),
        b'#' => numeric(2, 10, 7),
        _ => {
            let letters = text[1..].iter().take(LONGEST_NAME).take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let name = &text[1..=letters];
            let (known, sign) = NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))?;
            let ends = text.get(letters + 1) == Some(&b';');
            // Without its end `&num=1` is a part of a query; a few names are read without it all the same.
            (ends || UNENDED.contains(known)).then(|| (letters + 1 + usize::from(ends), Unit::Byte(*sign)))
        }
    }
}

/// Digits only; `None` where there are none.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.chars().all(|c| c.is_digit(radix)))?;
    u32::from_str_radix(text, radix).ok()
}

fn byte(value: u32) -> Option<Unit> {
    u8::try_from(value).ok().map(Unit::Byte)
}

/// The longest of [`NAMES`].
const LONGEST_NAME: usize = 8;
/// Names that HTML reads without `;`.
const UNENDED: [&str; 4] = ["amp", "lt", "gt", "quot"];
/// Names of HTML for characters of ASCII that a credential may hold.
const NAMES: [(&str, u8); 40] = [
    ("amp", b'&'),
    ("lt", b'<'),
    ("gt", b'>'),
    ("quot", b'"'),
    ("apos", b'\''),
    ("equals", b'='),
    ("plus", b'+'),
    ("sol", b'/'),
    ("bsol", b'\\'),
    ("lowbar", b'_'),
    ("UnderBar", b'_'),
    ("hyphen", b'-'),
    ("period", b'.'),
    ("comma", b','),
    ("colon", b':'),
    ("semi", b';'),
    ("excl", b'!'),
    ("num", b'#'),
    ("dollar", b'$'),
    ("percnt", b'%'),
    ("lpar", b'('),
    ("rpar", b')'),
    ("ast", b'*'),
    ("midast", b'*'),
    ("quest", b'?'),
    ("commat", b'@'),
    ("lsqb", b'['),
    ("lbrack", b'['),
    ("rsqb", b']'),
    ("rbrack", b']'),
    ("Hat", b'^'),
    ("grave", b'`'),
    ("lcub", b'{'),
    ("lbrace", b'{'),
    ("rcub", b'}'),
    ("rbrace", b'}'),
    ("verbar", b'|'),
    ("vert", b'|'),
    ("Tab", b'\t'),
    ("NewLine", b'\n'),
];
