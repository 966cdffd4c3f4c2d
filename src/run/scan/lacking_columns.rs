//! Columns that the schema maps and a search's answer does not list: believed once two answers lack the same ones.

use std::collections::BTreeSet;

use crate::fetch::Broken;

/// The columns that answers of a walk have lacked so far.
#[derive(Debug, Default)]
pub struct Lacking {
    believed: BTreeSet<String>,
    /// Those of the last answer that lacked others.
    doubted: BTreeSet<String>,
}

impl Lacking {
    /// Admits an answer that lacks these columns. Refuses (to be asked again) the first that lacks a column.
    pub fn admit<'c>(&mut self, columns: impl IntoIterator<Item = &'c str>) -> Result<(), Broken> {
        let missing: BTreeSet<String> = columns.into_iter().map(str::to_owned).collect();
        if missing.is_subset(&self.believed) {
            return Ok(());
        }
        if missing == self.doubted {
            self.believed.extend(missing);
            return Ok(());
        }
        let names: Vec<&str> = missing.iter().map(String::as_str).collect();
        let why = format!("the search does not return {}", names.join(", "));
        self.doubted = missing;
        Err(Broken::new(why))
    }
}

#[cfg(test)]
mod tests {
    use super::Lacking;

    #[test]
    fn a_column_that_one_answer_lacks_is_asked_for_again_and_two_answers_are_believed() {
        let mut lacking = Lacking::default();
        assert!(lacking.admit([]).is_ok());
        assert!(lacking.admit(["amountPaid"]).is_err());
        assert!(lacking.admit([]).is_ok(), "the second answer has it");
        assert!(lacking.admit(["amountPaid"]).is_ok(), "another answer lacks it too");
        assert!(lacking.admit(["amountPaid"]).is_ok());
        assert!(lacking.admit(["amountPaid", "createdOn"]).is_err());
    }
}
