//! How a list is requested: by one GET or several, each whole or in pages by their numbers.

/// Sizes of a page that are tried: with this many the pages of a million rows overlap by two fifths at most.
const SIZES: u64 = 64;

/// A GET of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListGet {
    /// Behind the service.
    pub path: String,
    /// Its name in a column of its records; every GET has one where there are several.
    pub label: Option<String>,
}

/// How the pages of a list are requested: the parameters of a page's number, from 1, and of its rows, and the most rows
/// of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages {
    pub number: String,
    pub size: String,
    pub most: u64,
}

impl Pages {
    /// The page that begins at this row (1-based) or shortly before it: its number, its rows, and the row at which it
    /// begins.
    pub fn at(&self, first: u64) -> (u64, u64, u64) {
        let before = first.saturating_sub(1);
        if before == 0 {
            return (1, self.most, 1);
        }
        // Of the sizes of which a page begins at most at this row, the one that leads furthest.
        let least = before.div_ceil(self.most);
        let pages = (least..least + SIZES).max_by_key(|pages| (pages + 1) * (before / pages)).unwrap_or(least);
        let size = before / pages;
        (pages + 1, size, pages * size + 1)
    }

    /// The parameters of a page.
    pub fn parameters(&self, number: u64, size: u64) -> String {
        format!("{}={size}&{}={number}", self.size, self.number)
    }
}
