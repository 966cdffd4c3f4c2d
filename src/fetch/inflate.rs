//! Gzip, with a bound: a small body must not become an endless one.

use libdeflater::{DecompressionError, Decompressor};

use crate::fetch::broken::Broken;

/// Bytes of a body, inflated or not: 200 orders of 100 rows are about 20 MiB, and a set that has
/// more is requested in smaller ones. Its reader takes up to eight times as many.
pub const MAX_BODY: usize = 32 << 20;
/// The least size of a gzip member; the last four bytes are the length of its content.
const MIN_GZIP: usize = 18;

/// The length that a gzip member states for its content, up to the limit of inflation.
pub fn stated_length(bytes: &[u8]) -> usize {
    let tail = bytes.last_chunk::<4>().map_or(0, |tail| u32::from_le_bytes(*tail));
    usize::try_from(tail).unwrap_or(usize::MAX).min(MAX_BODY)
}

/// The reason why a gzip member is not inflated that states a length of more than this.
pub fn too_long(bytes: &[u8], most: usize) -> Option<String> {
    let length = bytes.last_chunk::<4>().map_or(0, |tail| u32::from_le_bytes(*tail));
    let is_longer = usize::try_from(length).unwrap_or(usize::MAX) > most;
    is_longer.then(|| format!("the gzip body states a length of {length} bytes, and at most {most} are read"))
}

/// Inflates one gzip member that holds at most this many bytes.
pub fn inflate(bytes: &[u8], most: usize) -> Result<Vec<u8>, Broken> {
    if bytes.len() < MIN_GZIP {
        return Err(Broken::new("the gzip body is cut off"));
    }
    let tail: [u8; 4] = bytes[bytes.len() - 4..].try_into().expect("four bytes are four bytes");
    let length = usize::try_from(u32::from_le_bytes(tail)).unwrap_or(usize::MAX);
    if let Some(why) = too_long(bytes, most) {
        return Err(Broken(why));
    }
    let mut out = vec![0; length];
    match Decompressor::new().gzip_decompress(bytes, &mut out) {
        Ok(written) if written == length => Ok(out),
        Ok(_) | Err(DecompressionError::InsufficientSpace) => {
            Err(Broken::new("the gzip body has another length than it states"))
        }
        Err(DecompressionError::BadData) => Err(Broken::new("the gzip body is damaged")),
    }
}
