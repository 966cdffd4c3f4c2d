//! Pages of a search in which the rows of an id belong together: a page overlaps the one before by all rows of its last
//! id.

use crate::failure::{Failure, Kind, Result};
use crate::fetch::SearchPage;
use crate::fetch::walk::Walk;

impl<T> Walk<T> {
    /// The greatest id of which all rows are joined, where those of an id belong together.
    pub fn whole(&self) -> Option<i64> {
        self.whole
    }

    /// The row at which the next page begins: the last one of the id before the page's last, of which more may follow.
    pub(super) fn next_group(&mut self, first: u64, page: &SearchPage) -> Result<u64> {
        let Some(place) = page.last_group().filter(|place| *place > 1) else {
            let id = page.last.map_or_else(|| "an id".to_owned(), |last| format!("`{}` {last}", self.query.row));
            return Err(Failure::new(Kind::Answer, format!("read {} completely", self.resource))
                .at(self.query.page(first))
                .because(format!("a page does not contain all rows of {id}"))
                .advise("exclude the resource with `resources.exclude`, or choose another `key` in its schema"));
        };
        self.whole = page.ids.get(place - 1).copied();
        Ok(first + u64::try_from(place - 1).expect("a place fits"))
    }
}
