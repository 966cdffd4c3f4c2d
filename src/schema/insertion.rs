//! Lines put into a schema file: the text before and behind them stays as it is, comments too.

/// The text with these columns at the end of a table's `columns`; none where the table has no such list in brackets.
pub fn with_columns(text: &str, table: &str, lines: &[String]) -> Option<String> {
    let header = format!("[tables.{table}]");
    let begin = offset_of_line(text, 0, |line| line.trim_end() == header)?;
    let columns = offset_of_line(text, begin, |line| {
        line.strip_prefix("columns").is_some_and(|rest| rest.trim_start().starts_with('='))
    })?;
    let open = columns + text[columns..].find('[')?;
    let (last, close) = end_of_list(text, open)?;
    let comma = if matches!(text.as_bytes()[last], b',' | b'[') { "" } else { "," };
    let rest = text[last + 1..close].trim_end();
    let added: String = lines.iter().map(|line| format!("  {line},\n")).collect();
    Some(format!("{}{comma}{rest}\n{added}{}", &text[..=last], &text[close..]))
}

/// Where the first line begins that is accepted, from a place on.
fn offset_of_line(text: &str, from: usize, accepts: impl Fn(&str) -> bool) -> Option<usize> {
    let mut at = from;
    for line in text[from..].split_inclusive('\n') {
        if accepts(line) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// The last byte inside a list that is neither white space nor of a comment (or its opening bracket), and the bracket that
/// closes the list.
fn end_of_list(text: &str, open: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let (mut depth, mut last, mut at) = (0_usize, open, open);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'#' => {
                at += text[at..].find('\n')?;
                continue;
            }
            quote @ (b'"' | b'\'') => {
                at += 1;
                while bytes.get(at)? != quote {
                    at += if *quote == b'"' && bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some((last, at));
                }
            }
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            _ => {}
        }
        last = at;
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::with_columns;

    #[test]
    fn columns_are_put_at_the_end_of_their_own_table_and_nothing_else_changes() {
        let text = "# a\n[tables.a]\nkey = [\"id\"]\ncolumns = [\n  { name = \"]\", from = [\"x\", \"y\"] } # ]\n]\n\n[tables.ab]\ncolumns = []\n";
        let lines = ["{ name = \"n\" }".to_owned()];
        let expected = "# a\n[tables.a]\nkey = [\"id\"]\ncolumns = [\n  { name = \"]\", from = [\"x\", \"y\"] }, # ]\n  { name = \"n\" },\n]\n\n[tables.ab]\ncolumns = []\n";
        assert_eq!(with_columns(text, "a", &lines).as_deref(), Some(expected));
        let other = with_columns(text, "ab", &lines).unwrap();
        assert!(other.ends_with("[tables.ab]\ncolumns = [\n  { name = \"n\" },\n]\n"), "{other}");
        assert_eq!(with_columns(text, "b", &lines), None);
        assert_eq!(with_columns("[tables.a]\ncolumns = [\n  { name = \"x", "a", &lines), None);
    }
}
