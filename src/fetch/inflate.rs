//! Gzip, with a bound: a small body must not become an endless one.

use libdeflater::{DecompressionError, Decompressor};

use crate::fetch::Broken;

/// No honest page comes near: 200 orders of 100 rows are about 20 MiB.
pub const MAX_BODY: usize = 256 << 20;
/// The least size of a gzip member; the last four bytes are the length of its content.
const MIN_GZIP: usize = 18;

/// The length of what a gzip member states that it holds, as far as it may be inflated.
pub fn stated_length(bytes: &[u8]) -> usize {
    let tail = bytes.last_chunk::<4>().map_or(0, |tail| u32::from_le_bytes(*tail));
    usize::try_from(tail).unwrap_or(usize::MAX).min(MAX_BODY)
}

/// Inflates one gzip member.
pub fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Broken> {
    if bytes.len() < MIN_GZIP {
        return Err(Broken::new("the gzip body is cut off"));
    }
    let tail: [u8; 4] = bytes[bytes.len() - 4..].try_into().expect("four bytes are four bytes");
    let length = usize::try_from(u32::from_le_bytes(tail)).unwrap_or(usize::MAX);
    if length > MAX_BODY {
        return Err(Broken::new(format!(
            "the gzip body says that it holds {length} bytes, and {MAX_BODY} is the bound"
        )));
    }
    let mut out = vec![0; length];
    match Decompressor::new().gzip_decompress(bytes, &mut out) {
        Ok(written) if written == length => Ok(out),
        Ok(_) | Err(DecompressionError::InsufficientSpace) => {
            Err(Broken::new("the gzip body holds another length than it says"))
        }
        Err(DecompressionError::BadData) => Err(Broken::new("the gzip body is damaged")),
    }
}
