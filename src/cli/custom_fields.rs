//! `pearlift resources --custom-fields`: a schema file with a column for each custom field that the account defines.

use crate::cli::start::Start;
use crate::failure::{Failure, Kind, Result};
use crate::run::defined_fields;
use crate::schema::{Catalog, Resource, with_columns};

/// Prints the schema file of a resource, the user's own where there is one, with the columns added. Refuses (`Usage`) a
/// resource without custom fields, and (`Settings`) one whose definitions are not at the destination.
pub async fn custom_fields(start: &Start, catalog: &Catalog, name: &str) -> Result<u8> {
    let resource = catalog.get(name)?;
    let refused = |why: &str| {
        Failure::new(Kind::Usage, "propose columns for custom fields").at(name.to_owned()).because(why.to_owned())
    };
    let entries = catalog.named_entries(resource).ok_or_else(|| {
        let has = |resource: &&Resource| catalog.named_entries(resource).is_some();
        let others: Vec<&str> = catalog.resources().iter().filter(has).map(|resource| resource.name.as_str()).collect();
        refused("its schema file has no rows of custom fields that other tables define")
            .advise(format!("resources that have them: {}", others.join(", ")))
    })?;
    let fields = defined_fields(&start.settings(catalog)?, &entries).await?;
    let lines = entries.lines(&fields);
    let text = Catalog::text(start.schemas().as_deref(), name)?;
    let text = with_columns(&text, &entries.main.name, &lines).ok_or_else(|| {
        refused("the `columns` of its main table are not written as a list of lines, to which columns can be added")
    })?;
    Catalog::accepts(name, &text)?;
    start.terminal().print(&text.lines().map(str::to_owned).collect::<Vec<_>>())?;
    Ok(0)
}
