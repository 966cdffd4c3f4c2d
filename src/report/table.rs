//! Tables for people, as wide as the terminal.
//!
//! Takes heads, rows and the width of the place where they are shown, gives lines. A table that is too wide first wraps its
//! column of text, then loses the columns that can be left out, and names these below; at last it breaks the names in its first
//! column. Without a width nothing is wrapped or lost: a file or a pipe gets every cell on one line.

use crate::report::text::visible;

/// The gap between two columns.
const GAP: usize = 2;

/// The indentation of the lines of a text below its first one.
const HANGING: usize = 2;

/// A wrapped column is at least so wide, unless no further column can be left out.
const LEAST_TEXT: usize = 24;

/// The columns of a table, and how it gives way.
#[derive(Clone, Debug)]
pub struct TableForm<'a> {
    pub heads: &'a [&'a str],
    /// The places of the columns whose cells are aligned to the right.
    pub right: &'a [usize],
    /// The place of the column that is wrapped.
    pub text: Option<usize>,
    /// The places of the columns that can be left out, the first to go first.
    pub spare: &'a [usize],
}

impl<'a> TableForm<'a> {
    /// A table of which nothing can be left out.
    pub fn new(heads: &'a [&'a str]) -> Self {
        Self { heads, right: &[], text: None, spare: &[] }
    }

    /// The lines of the table.
    pub fn lines(&self, rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
        // Escaped texts are wider, so the width is that of the text as shown.
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
        let natural: Vec<usize> = (0..self.heads.len()).map(|place| self.natural(place, &rows)).collect();
        let mut shown: Vec<usize> = (0..self.heads.len()).collect();
        let mut spare = self.spare.iter();
        let widths = loop {
            let widths: Vec<usize> = shown.iter().map(|place| natural[*place]).collect();
            let total = widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
            let Some(most) = width.filter(|most| total > *most) else { break widths };
            let text = self.text.and_then(|text| shown.iter().position(|place| *place == text));
            let room = text.map(|at| (at, most.saturating_sub(total - widths[at])));
            let fits = room.is_some_and(|(at, room)| room >= LEAST_TEXT.min(widths[at]));
            let dropped = if fits { None } else { spare.next() };
            match (room, dropped) {
                (_, Some(place)) => shown.retain(|kept| kept != place),
                (Some((at, room)), None) => {
                    let mut wrapped = widths;
                    wrapped[at] = room.max(LEAST_TEXT / 2);
                    // The names in the first column are broken where the text has no room even so.
                    wrapped[0] = wrapped[0].saturating_sub(wrapped[at] - room).max(1);
                    break wrapped;
                }
                (None, None) => break widths,
            }
        };
        let heads: Vec<String> = self.heads.iter().map(|head| (*head).to_owned()).collect();
        let mut lines: Vec<String> =
            std::iter::once(&heads).chain(&rows).flat_map(|row| self.row(row, &shown, &widths)).collect();
        let lost: Vec<&str> = (0..self.heads.len())
            .filter(|place| !shown.contains(place))
            .map(|place| self.heads[place].trim())
            .collect();
        if !lost.is_empty() {
            let note = format!("(not shown for want of width: {})", lost.join(", "));
            lines.extend(wrapped(&note, width.unwrap_or(usize::MAX)));
        }
        lines
    }

    fn natural(&self, place: usize, rows: &[Vec<String>]) -> usize {
        let cells = rows.iter().filter_map(|row| row.get(place)).map(|cell| cell.chars().count());
        cells.chain(std::iter::once(self.heads[place].chars().count())).max().unwrap_or(0)
    }

    /// The lines of one row.
    fn row(&self, row: &[String], shown: &[usize], widths: &[usize]) -> Vec<String> {
        let cell = |place: usize| row.get(place).map(String::as_str).unwrap_or_default();
        let cells: Vec<Vec<String>> =
            shown.iter().zip(widths).map(|(place, width)| wrapped(cell(*place), *width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        let line = |at: usize| {
            let padded: Vec<String> = cells
                .iter()
                .zip(shown.iter().zip(widths))
                .map(|(lines, (place, width))| {
                    let text = lines.get(at).map(String::as_str).unwrap_or_default();
                    let gap = " ".repeat(width.saturating_sub(text.chars().count()));
                    if self.right.contains(place) { format!("{gap}{text}") } else { format!("{text}{gap}") }
                })
                .collect();
            padded.join(&" ".repeat(GAP)).trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }
}

/// A text in lines of at most this width, the second and later ones indented.
pub fn hanging(text: &str, width: usize) -> Vec<String> {
    let lines = wrapped(text, width.saturating_sub(HANGING));
    let indented =
        |(at, line): (usize, &String)| format!("{}{line}", if at > 0 { " ".repeat(HANGING) } else { String::new() });
    lines.iter().enumerate().map(indented).collect()
}

/// A text in lines of at most this width, broken between words; a longer word is broken within. Spaces at its beginning stay.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let (mut lines, mut line, mut length) = (Vec::new(), String::new(), 0);
    for word in text.split_inclusive(' ') {
        let letters = word.trim_end().chars().count();
        if length > 0 && length + letters > width {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        for c in word.chars() {
            if length == width {
                if c == ' ' {
                    continue;
                }
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            line.push(c);
            length += 1;
        }
    }
    lines.push(line);
    lines.iter().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: TableForm<'_> =
        TableForm { heads: &["resource", "rows", "files", "state"], right: &[1, 2], text: Some(3), spare: &[2, 1] };

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![
            row(["short", "1,234,567", "12", "complete, 980 held · 985 at the source · 5 explained"]),
            row(["long_resource", "12", "1", "held by run 0123456789abcdef0123456789abcdef"]),
        ]
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_word_of_the_text_is_lost() {
        for width in [40, 60, 80, 120, 200] {
            let lines = FORM.lines(&rows(), Some(width));
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
            let text: String = lines.concat().split_whitespace().collect();
            for word in ["explained", "985", "run"] {
                assert!(text.contains(word), "{width}: {word}: {lines:#?}");
            }
        }
        assert_eq!(FORM.lines(&rows(), Some(120)), FORM.lines(&rows(), None));
        assert_eq!(FORM.lines(&rows(), None).len(), 3);
    }

    #[test]
    fn columns_that_can_be_left_out_go_in_their_order_and_are_named() {
        let lines = FORM.lines(&rows(), Some(50));
        assert_eq!(lines[0], "resource            rows  state");
        assert_eq!(lines[1], "short          1,234,567  complete, 980 held · 985");
        assert_eq!(lines[2], "                          at the source · 5");
        assert_eq!(lines.last().unwrap(), "(not shown for want of width: files)");
    }

    #[test]
    fn a_word_that_is_too_long_is_broken() {
        assert_eq!(wrapped("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("ab cd ef", 5), ["ab cd", "ef"]);
        assert_eq!(hanging("ab cd ef", 7), ["ab cd", "  ef"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("ab", 0), ["a", "b"]);
    }
}
