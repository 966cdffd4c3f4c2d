//! The script: statements and comment lines, in order.
//!
//! Takes statements without their end, gives lines. A comment never ends early: texts from outside are put on one line.

/// A script that grows.
#[derive(Clone, Debug, Default)]
pub struct SqlScript {
    lines: Vec<String>,
}

impl SqlScript {
    /// Adds a comment line.
    pub fn note(&mut self, text: &str) {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.lines.push(format!("-- {text}").trim_end().to_owned());
    }

    /// Adds a statement of one or more lines.
    pub fn statement(&mut self, text: &str) {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if let Some(last) = lines.last_mut() {
            last.push(';');
        }
        self.lines.extend(lines);
    }

    /// Adds an empty line.
    pub fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(String::new());
        }
    }

    /// The lines.
    pub fn into_lines(mut self) -> Vec<String> {
        while self.lines.last().is_some_and(String::is_empty) {
            self.lines.pop();
        }
        self.lines
    }
}
