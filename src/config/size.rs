//! Sizes in bytes as people write them: `512MiB`, `1GB`, `1048576`.

use crate::config::shown::shown;
use crate::failure::{Failure, Kind, Result};

const UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Reads a size; a bare number is bytes.
pub fn parse(key: &str, text: &str) -> Result<u64> {
    let text = text.trim();
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| text.strip_suffix(name).map(|digits| (digits, *unit)))
        .unwrap_or((text, 1));
    digits.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(unit)).ok_or_else(|| {
        Failure::new(Kind::Settings, format!("read `{key}`"))
            .because(format!("{} is no size", shown(text)))
            .advise(format!("write `{key} = \"512MiB\"`; units are B, kB, MB, GB, KiB, MiB, GiB, TiB"))
    })
}
