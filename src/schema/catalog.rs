//! All resources that a run may read: those built in, and a user's own.

use std::path::Path;

use include_dir::{Dir, include_dir};

use crate::disk;
use crate::failure::{Failure, Kind, Result};
use crate::schema::check::check;
use crate::schema::selection::Need;
use crate::schema::{ColumnSelection, Naming, Owners, ReadStyle, ReferenceTarget, References, Resource, Test, Type};

/// The most bytes of a schema file; the largest built-in one has a fiftieth.
const MOST_BYTES: u64 = 1 << 20;
/// The schema files that ship inside the binary.
static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/schemas");

/// The checked resources, in the order in which they are read.
#[derive(Clone, Debug)]
pub struct Catalog {
    resources: Vec<Resource>,
}

impl Catalog {
    /// The built-in resources, overridden and added to by the `*.toml` of a user's folder.
    ///
    /// Refuses (`Schema`) a file that breaks the grammar, two resources that write one table, and a per-owner resource
    /// with a missing owner.
    pub fn load(folder: Option<&Path>) -> Result<Self> {
        let mut texts: Vec<(String, String)> = BUILT_IN
            .files()
            .filter_map(|file| Some((name_of(file.path())?, file.contents_utf8()?.to_owned())))
            .collect();
        let own = folder.map(read_folder).transpose()?.unwrap_or_default();
        let names: Vec<String> = own.iter().map(|(name, _)| name.clone()).collect();
        texts.retain(|(built_in, _)| !names.contains(built_in));
        texts.extend(own);
        // A file of the user's may take the place of a table that built-in ones refer to.
        Self::of(&texts, |name| folder.is_none() || names.iter().any(|own| own == name))
    }

    /// The text of a resource's file: that of a user's folder, or else the built-in one. Refuses (`Usage`) a name without a file.
    pub fn text(folder: Option<&Path>, name: &str) -> Result<String> {
        let own = folder.map(read_folder).transpose()?.unwrap_or_default();
        let own = own.into_iter().find(|(known, _)| known == name).map(|(_, text)| text);
        let built_in = || BUILT_IN.get_file(format!("{name}.toml"))?.contents_utf8().map(str::to_owned);
        own.or_else(built_in).ok_or_else(|| {
            Failure::new(Kind::Usage, format!("find the schema file of `{name}`")).because("there is none of that name")
        })
    }

    /// Refuses (`Schema`) the text of a file that breaks a rule by itself.
    pub fn accepts(name: &str, text: &str) -> Result<()> {
        check(name, text).map(|_| ())
    }

    /// A catalog of these files: name without ending, and text.
    pub fn from_texts(texts: &[(String, String)]) -> Result<Self> {
        Self::of(texts, |_| true)
    }

    /// The catalog of these files. A reference to a column that does not exist is refused in the files of these names,
    /// and left out in others.
    fn of(texts: &[(String, String)], is_refused: impl Fn(&str) -> bool) -> Result<Self> {
        let mut resources = texts.iter().map(|(name, text)| check(name, text)).collect::<Result<Vec<_>>>()?;
        resources.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
        let mut catalog = Self { resources };
        catalog.check_together()?;
        catalog.check_references(is_refused)?;
        Ok(catalog)
    }

    /// The catalogue after the settings are applied; `selects` decides which resources are read. Refuses (`Settings`)
    /// to exclude needed tables and columns, and names that do not exist.
    pub fn shaped(
        self,
        selection: impl Fn(&str) -> ColumnSelection,
        selects: impl Fn(&Resource) -> bool,
    ) -> Result<Self> {
        let followers = || self.resources.iter().filter(|resource| selects(resource));
        let held = followers().filter_map(|follower| Some((follower, follower.held_ids()?)));
        let held: Vec<Need> = held
            .flat_map(|(follower, held)| {
                held.columns().map(|column| Need {
                    table: held.table.clone(),
                    column: Some(column.clone()),
                    why: format!("`{}` is read by the ids that its rows hold", follower.name),
                })
            })
            .collect();
        let mut needs: Vec<Need> = followers()
            .flat_map(|follower| {
                let also = follower.read.also_from.iter();
                also.flat_map(|also| {
                    std::iter::once(&also.column).chain(&also.with).map(|column| (&also.table, column))
                })
                .map(|(table, column)| Need {
                    table: table.clone(),
                    column: Some(column.clone()),
                    why: format!("`{}` is read again when its rows change", follower.name),
                })
            })
            .collect();
        needs.extend(held);
        let shape = |resource: Resource| {
            let theirs: Vec<&Need> =
                needs.iter().filter(|need| resource.tables.iter().any(|table| table.name == need.table)).collect();
            let wished = selection(&resource.name);
            resource.shaped(&wished, &theirs)
        };
        Ok(Self { resources: self.resources.into_iter().map(shape).collect::<Result<_>>()? })
    }

    fn check_together(&self) -> Result<()> {
        let refuse = |name: &str, why: String| {
            Err(Failure::new(Kind::Schema, "accept the schema files").at(format!("{name}.toml")).because(why))
        };
        let mut tables: Vec<(&str, &str)> = Vec::new();
        for resource in &self.resources {
            for table in &resource.tables {
                if let Some((_, other)) = tables.iter().find(|(name, _)| *name == table.name) {
                    return refuse(&resource.name, format!("table `{}` belongs to `{other}` too", table.name));
                }
                tables.push((&table.name, &resource.name));
            }
            for also in &resource.read.also_from {
                let elsewhere = self.resources.iter().filter(|other| other.name != resource.name);
                let table = elsewhere.flat_map(|other| &other.tables).find(|table| table.name == also.table);
                let column = table.and_then(|table| table.columns.iter().find(|column| column.name == also.column));
                if column.is_none_or(|column| column.kind != Type::Int64) {
                    let why =
                        format!("`also_from`: no other resource has an int64 column {}.{}", also.table, also.column);
                    return refuse(&resource.name, why);
                }
                if let (Some(table), Some(with)) = (table, &also.with)
                    && table.columns.iter().all(|column| column.name != *with)
                {
                    return refuse(&resource.name, format!("`also_from`: `{}` has no column `{with}`", also.table));
                }
            }
            if let ReadStyle::PerOwner { owners: Owners::Listed { resource: owner, .. }, .. } = &resource.read.style {
                let style = self.find(owner).map(|owner| &owner.read.style);
                if !matches!(style, Some(ReadStyle::IdSets { .. })) {
                    return refuse(&resource.name, format!("owner `{owner}` is not an id-sets resource"));
                }
            }
            if let Some(held) = resource.held_ids()
                && let Some(why) = held.refuse(&resource.name, &self.resources)
            {
                let place = format!("{}.toml, line {}", resource.name, held.line);
                return Err(Failure::new(Kind::Schema, "accept the schema files").at(place).because(why));
            }
        }
        Ok(())
    }

    /// Checks that columns reference existing columns of the same type.
    fn check_references(&mut self, is_refused: impl Fn(&str) -> bool) -> Result<()> {
        let tables = self.resources.iter().flat_map(|resource| &resource.tables);
        let known: Vec<(String, Vec<(String, Type)>)> = tables
            .map(|table| {
                let columns = table.columns.iter().map(|column| (column.name.clone(), column.kind));
                (table.name.clone(), columns.collect())
            })
            .collect();
        let wrong = |target: &ReferenceTarget, kind: Type| {
            let Some((_, columns)) = known.iter().find(|(table, _)| *table == target.table) else {
                return Some(format!("there is no table `{}`", target.table));
            };
            match columns.iter().find(|(column, _)| *column == target.column) {
                None => Some(format!("table `{}` has no column `{}`", target.table, target.column)),
                Some((_, theirs)) if *theirs != kind => Some(format!("`{target}` is {theirs}, not {kind}")),
                Some(_) => None,
            }
        };
        for resource in &mut self.resources {
            for table in &mut resource.tables {
                for column in &mut table.columns {
                    let References::To(targets) = &mut column.meaning.references else { continue };
                    let why = targets.iter().find_map(|target| wrong(target, column.kind));
                    let Some(why) = why else { continue };
                    if is_refused(&resource.name) {
                        let place = format!("{}.toml, {}, line {}", resource.name, table.name, column.meaning.line);
                        return Err(Failure::new(
                            Kind::Schema,
                            format!("accept `references` of column `{}`", column.name),
                        )
                        .at(place)
                        .because(why));
                    }
                    targets.retain(|target| wrong(target, column.kind).is_none());
                    if targets.is_empty() {
                        column.meaning.references = References::Unsaid;
                    }
                }
            }
        }
        Ok(())
    }

    /// Every resource, in reading order.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The resource that has a table of this name.
    pub fn holder(&self, table: &str) -> Option<&Resource> {
        self.resources
            .iter()
            .find(|resource| resource.tables.iter().chain(&resource.excluded_tables).any(|known| known.name == table))
    }

    /// The columns of a resource's tables that name records of others, and which resource's.
    pub fn followers(&self, of: &Resource) -> Vec<(&Resource, Naming)> {
        let mut found = Vec::new();
        for follower in &self.resources {
            for also in &follower.read.also_from {
                let Some(table) = of.tables.iter().position(|table| table.name == also.table) else { continue };
                let place = |name: &str| of.tables[table].columns.iter().position(|column| column.name == name);
                let with = also.with.as_deref().map(|with| place(with).expect("a needed column is kept"));
                let tests: Vec<(usize, Test)> = with.map(|with| (with, Test::IsSet)).into_iter().collect();
                found.extend(place(&also.column).map(|column| (follower, Naming { table, column, tests })));
            }
            let Some(held) = follower.held_ids() else { continue };
            let Some(place) = of.tables.iter().position(|table| table.name == held.table) else { continue };
            let table = &of.tables[place];
            let column = table.columns.iter().position(|column| column.name == held.column);
            let naming = column.zip(held.tests(table));
            found.extend(naming.map(|(column, tests)| (follower, Naming { table: place, column, tests })));
        }
        found
    }

    /// A resource by name.
    pub fn find(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.name == name)
    }

    /// A resource by name, or a refusal (`Usage`) that names the nearest one.
    pub fn get(&self, name: &str) -> Result<&Resource> {
        self.find(name).ok_or_else(|| {
            let near = self.resources.iter().map(|resource| (distance(&resource.name, name), &resource.name)).min();
            let hint = near.filter(|(far, _)| *far <= 3).map(|(_, near)| format!("did you mean `{near}`? "));
            Failure::new(Kind::Usage, format!("find the resource `{name}`"))
                .because("no resource has that name")
                .advise(format!("{}`pearlift resources` lists them all", hint.unwrap_or_default()))
        })
    }
}

fn name_of(path: &Path) -> Option<String> {
    let is_toml = path.extension().is_some_and(|ending| ending == "toml");
    if is_toml { path.file_stem().map(|stem| stem.to_string_lossy().into_owned()) } else { None }
}

fn read_folder(folder: &Path) -> Result<Vec<(String, String)>> {
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Settings, "read the folder of schemas")
            .at(folder.display().to_string())
            .caused(error)
            .advise("`schemas` in the settings file, or --schemas, must name a folder of TOML files")
    };
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let Some(name) = name_of(&path) {
            // By its own path: the folder's would name none of its files.
            let text =
                disk::read_text(&path, MOST_BYTES).map_err(|error| failed(error).at(path.display().to_string()))?;
            texts.push((name, text));
        }
    }
    texts.sort();
    Ok(texts)
}

/// The number of letters to change to get from one name to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (corner + usize::from(x != *y)).min(above + 1).min(row[j] + 1);
            corner = above;
        }
    }
    row[b.len()]
}
