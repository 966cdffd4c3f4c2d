//! Texts in commands that are printed to be pasted: quoted for a POSIX shell.

/// Whether a shell takes each of these letters as it is, even within double quotes.
pub fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ',' | ':' | '@' | '+' | ' '))
}

/// A text inside single quotes, where nothing is expanded.
pub fn quotable(text: &str) -> String {
    text.replace('\'', r"'\''")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_a_quoted_text_as_it_was() {
        for text in
            ["", "a", "a b", "$(id)", "`id`", "${HOME}", "a'b''c", "\"$HOME\"", "\\'; id #", "a\nb", "!!", "*?[a]~"]
        {
            let output = Command::new("sh").arg("-c").arg(format!("printf %s '{}'", quotable(text))).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
        assert!(
            is_plain("pearlift-demo/a b_1.2")
                && ["$", "`", "\"", "\\", "!", "'", "\n"].iter().all(|text| !is_plain(text))
        );
    }
}
