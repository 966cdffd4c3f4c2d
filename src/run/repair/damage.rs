//! The damaged files of a resource: every file is compared with the newest head.
//!
//! Takes a session with the newest head, gives the damaged files of its tables and of its deleted rows.

use std::collections::BTreeMap;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::DataFile;
use crate::run::session::ResourceSession;
use crate::verify::{Inquiry, What, look_at};
use crate::write::Flaw;

/// A damaged file, and its flaws.
#[derive(Debug)]
pub struct DamagedFile {
    pub table: String,
    pub file: DataFile,
    pub flaws: Vec<Flaw>,
}

impl DamagedFile {
    /// Whether its bytes are those that were written, so that its own rows show their records.
    pub fn is_readable(&self) -> bool {
        self.flaws.iter().all(|flaw| match flaw {
            Flaw::Range { .. } | Flaw::Unsorted(_) | Flaw::Repeated { .. } => true,
            Flaw::Orphan(_) | Flaw::Partition { .. } => true,
            Flaw::Missing | Flaw::Size(..) | Flaw::Checksum => false,
            Flaw::Unreadable(_) | Flaw::Rows(..) | Flaw::Columns(_) => false,
        })
    }

    /// Whether rows that the manifest says it has may be missing in it.
    pub fn is_short(&self) -> bool {
        !self.is_readable() || self.flaws.iter().any(|flaw| matches!(flaw, Flaw::Range { .. }))
    }
}

/// The damage that was found.
#[derive(Debug, Default)]
pub struct DamageFound {
    pub bad: Vec<DamagedFile>,
    /// Damaged files of deleted rows.
    pub deleted: Vec<DataFile>,
}

/// Looks at every file by the newest head, which is ours.
pub async fn look(session: &ResourceSession<'_>) -> Result<DamageFound> {
    let inquiry = Inquiry {
        store: &session.context.store,
        catalog: &session.context.catalog,
        names: &[],
        deep: true,
        spool: &session.context.spool,
    };
    let mut found = DamageFound::default();
    let Some((head, findings)) = look_at(inquiry, &session.name).await? else { return Ok(found) };
    if session.head.as_ref().is_none_or(|ours| ours.nonce != head.nonce) {
        return Err(Failure::new(Kind::Lost, format!("repair {}", session.name)).because("another run committed it"));
    }
    let mut bad: BTreeMap<String, DamagedFile> = BTreeMap::new();
    for finding in findings {
        let flaw = match finding.what {
            What::Flawed(flaw) => flaw,
            What::Manifest(why) => {
                return Err(Failure::new(Kind::Damage, format!("repair {}", session.name)).because(why));
            }
            What::Foreign
            | What::Unpublished
            | What::Superseded
            | What::Log(_)
            | What::LogBehind
            | What::Stray
            | What::Skipped(_) => continue,
        };
        let Some(path) = finding.path else { continue };
        session.context.events.warn(&session.name, format!("{path}: {flaw}"));
        let is_it = |file: &&DataFile| file.path == path || file.staged == path;
        let of_table = head.tables.iter().find_map(|(name, table)| Some((name, table.files.iter().find(is_it)?)));
        match (of_table, head.deleted.iter().find(is_it)) {
            (Some((table, file)), _) => {
                let fresh = || DamagedFile { table: table.clone(), file: file.clone(), flaws: Vec::new() };
                bad.entry(path).or_insert_with(fresh).flaws.push(flaw);
            }
            (None, Some(file)) => found.deleted.push(file.clone()),
            (None, None) => {}
        }
    }
    found.bad = bad.into_values().collect();
    Ok(found)
}
