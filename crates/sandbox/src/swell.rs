//! An answer that swells: a short text repeated as often as is stated, compressed or not.
//!
//! Takes the parts of the text, gives its body piece by piece. Neither the text nor more than a two-hundredth of it is
//! ever in memory: it is the reader's that is tried.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};

use crate::body::{AnswerBody, whole};

/// Bytes that are sent at once.
const PIECE: usize = 1 << 20;
/// The furthest that deflate reaches back.
const REACH: usize = 32 << 10;
/// The most bytes that deflate copies at once.
const COPY: usize = 258;
/// The bases of deflate's codes of distances (RFC 1951, 3.2.5) with their extra bits.
const DISTANCES: [(usize, u32); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1_025, 9),
    (1_537, 9),
    (2_049, 10),
    (3_073, 10),
    (4_097, 11),
    (6_145, 11),
    (8_193, 12),
    (12_289, 12),
    (16_385, 13),
    (24_577, 13),
];

/// The answer: `before`, then `unit` this many times, then `after`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Swell {
    #[serde(default = "good")]
    pub status: u16,
    #[serde(default)]
    pub before: String,
    pub unit: String,
    pub times: usize,
    #[serde(default)]
    pub after: String,
    /// Sent as gzip, even if the request does not accept it.
    #[serde(default)]
    pub gzip: bool,
}

fn good() -> u16 {
    200
}

impl Swell {
    /// The body.
    pub fn body(&self) -> AnswerBody {
        if self.gzip {
            return whole(self.zipped());
        }
        let (piece, pieces, rest) = self.pieces();
        let begun = std::iter::once(Bytes::from(self.before.clone()));
        let last = Bytes::from(format!("{}{}", self.unit.repeat(rest), self.after));
        let all = begun.chain(std::iter::repeat_n(piece, pieces)).chain(std::iter::once(last));
        BodyExt::boxed_unsync(StreamBody::new(stream::iter(all.map(|bytes| Ok(Frame::data(bytes))))))
    }

    /// Some units as one piece, the number of such pieces, and the units behind them.
    fn pieces(&self) -> (Bytes, usize, usize) {
        let units = (PIECE / self.unit.len().max(1)).clamp(1, self.times.max(1));
        (Bytes::from(self.unit.repeat(units)), self.times / units, self.times % units)
    }

    fn zipped(&self) -> Bytes {
        let mut bits = Bits { bytes: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], held: 0, count: 0 };
        // One block, the last, with the codes that deflate knows.
        bits.put(1, 1);
        bits.put(1, 2);
        let unit = self.unit.as_bytes();
        bits.literals(self.before.as_bytes());
        if self.times > 0 {
            bits.literals(unit);
        }
        let repeated = unit.len() * self.times.saturating_sub(1);
        if (1..=REACH).contains(&unit.len()) {
            (0..repeated / COPY).for_each(|_| bits.copy(unit.len()));
            // As far into the unit as the copies left off.
            let done = repeated / COPY * COPY;
            (done..repeated).for_each(|at| bits.literal(unit[at % unit.len()]));
        } else {
            (1..self.times).for_each(|_| bits.literals(unit));
        }
        bits.literals(self.after.as_bytes());
        // The end of the block.
        bits.put(0, 7);
        let mut out = bits.end();
        let (piece, pieces, rest) = self.pieces();
        let mut sum = libdeflater::Crc::new();
        sum.update(self.before.as_bytes());
        (0..pieces).for_each(|_| sum.update(&piece));
        (0..rest).for_each(|_| sum.update(unit));
        sum.update(self.after.as_bytes());
        out.extend_from_slice(&sum.sum().to_le_bytes());
        let length = self.before.len() + unit.len() * self.times + self.after.len();
        let length = u32::try_from(length % (1 << 32)).expect("it is less than 2^32");
        out.extend_from_slice(&length.to_le_bytes());
        Bytes::from(out)
    }
}

/// A writer of deflate.
struct Bits {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    /// Writes this many bits, the lowest first.
    fn put(&mut self, value: u32, bits: u32) {
        self.held |= value << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.bytes.push(self.held.to_le_bytes()[0]);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Writes a code, the highest bit first.
    fn code(&mut self, code: u32, bits: u32) {
        self.put(code.reverse_bits() >> (32 - bits), bits);
    }

    fn literal(&mut self, byte: u8) {
        match u32::from(byte) {
            byte @ 0..144 => self.code(0x30 + byte, 8),
            byte => self.code(0x190 + byte - 144, 9),
        }
    }

    fn literals(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.literal(*byte));
    }

    /// Copies 258 bytes from this far back.
    fn copy(&mut self, distance: usize) {
        self.code(0b1100_0101, 8);
        let code = DISTANCES.iter().rposition(|(base, _)| *base <= distance).expect("a distance is one at least");
        let (base, extra) = DISTANCES[code];
        self.code(u32::try_from(code).expect("thirty codes"), 5);
        self.put(u32::try_from(distance - base).expect("a distance is short"), extra);
    }

    fn end(mut self) -> Vec<u8> {
        self.put(0, (8 - self.count) % 8);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swell(unit: &str, times: usize) -> Swell {
        let (before, after) = ("{\"response\":[".to_owned(), "é]}".to_owned());
        Swell { status: 200, before, unit: unit.to_owned(), times, after, gzip: true }
    }

    #[tokio::test]
    async fn what_is_sent_compressed_or_not_is_the_text_that_was_stated() {
        for unit in ["0,", "{\"a\":0},", "é", "x", &"[0],".repeat(60), &"ab".repeat(17_000)] {
            let many = if unit.len() > 1_000 { 5 } else { 1_003 };
            for times in [0, 1, 2, many] {
                let swell = swell(unit, times);
                let text = format!("{}{}{}", swell.before, unit.repeat(times), swell.after);
                let zipped = swell.body().collect().await.unwrap().to_bytes();
                let mut read = vec![0; text.len()];
                let length = libdeflater::Decompressor::new().gzip_decompress(&zipped, &mut read).unwrap();
                assert!(length == text.len() && read == text.as_bytes(), "{unit} {times}");
                let plain = Swell { gzip: false, ..swell }.body().collect().await.unwrap().to_bytes();
                assert!(plain == text.as_bytes(), "{unit} {times}");
            }
        }
    }

    #[test]
    fn sixty_megabytes_are_sent_as_less_than_half_of_one() {
        assert!(swell("0,", 30_000_000).zipped().len() < 500_000);
    }
}
