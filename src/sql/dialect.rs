//! The dialects: how each writes names, texts, types and instants, and how it reads Parquet files.
//!
//! Takes names, texts and types of the catalogue, gives SQL. Every name is in quotes, because a table may have the name of a
//! reserved word.

use jiff::civil::Date;

use crate::schema::Type;

/// A dialect of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlDialect {
    DuckDb,
    Spark,
    Snowflake,
    BigQuery,
    Redshift,
    Athena,
    Trino,
    ClickHouse,
    Databricks,
    Fabric,
}

/// How an engine gets at the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// A view may read files itself.
    Inline,
    /// An external table reads a folder or files; a view stands on it.
    External,
    /// A command copies files into a table of the engine.
    Copy,
}

impl SqlDialect {
    /// Every dialect, in the order of the help.
    pub const ALL: [Self; 10] = [
        Self::DuckDb,
        Self::Spark,
        Self::Snowflake,
        Self::BigQuery,
        Self::Redshift,
        Self::Athena,
        Self::Trino,
        Self::ClickHouse,
        Self::Databricks,
        Self::Fabric,
    ];

    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::DuckDb => "DuckDB",
            Self::Spark => "Spark",
            Self::Snowflake => "Snowflake",
            Self::BigQuery => "BigQuery",
            Self::Redshift => "Redshift",
            Self::Athena => "Athena",
            Self::Trino => "Trino",
            Self::ClickHouse => "ClickHouse",
            Self::Databricks => "Databricks",
            Self::Fabric => "Fabric",
        }
    }

    /// How it gets at the files.
    pub fn access(self) -> FileAccess {
        match self {
            Self::DuckDb | Self::Spark | Self::ClickHouse | Self::Databricks => FileAccess::Inline,
            Self::Snowflake | Self::BigQuery | Self::Athena | Self::Trino => FileAccess::External,
            Self::Redshift | Self::Fabric => FileAccess::Copy,
        }
    }

    /// A name in quotes. Snowflake gets capitals, as it makes of a name without quotes.
    pub fn quote(self, name: &str) -> String {
        match self {
            Self::DuckDb | Self::Redshift | Self::Trino => format!("\"{}\"", name.replace('"', "\"\"")),
            Self::Snowflake => format!("\"{}\"", name.to_ascii_uppercase().replace('"', "\"\"")),
            Self::Spark | Self::BigQuery | Self::Athena | Self::ClickHouse | Self::Databricks => {
                format!("`{}`", name.replace('`', "``"))
            }
            Self::Fabric => format!("[{}]", name.replace(']', "]]")),
        }
    }

    /// A name in quotes, in a query: Athena writes names of queries otherwise than those of its DDL.
    pub fn quote_in_query(self, name: &str) -> String {
        if self == Self::Athena { format!("\"{}\"", name.replace('"', "\"\"")) } else { self.quote(name) }
    }

    /// A text as a literal.
    pub fn literal(self, text: &str) -> String {
        match self {
            Self::DuckDb | Self::Trino | Self::Athena | Self::Fabric => format!("'{}'", text.replace('\'', "''")),
            Self::Snowflake | Self::Redshift => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
            Self::Spark | Self::BigQuery | Self::ClickHouse | Self::Databricks => {
                format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
            }
        }
    }

    /// A text as a literal of a comment, cut where the engine takes no more characters.
    pub fn comment(self, text: &str) -> String {
        let most = match self {
            // The metastore's limit for the comment of a column.
            Self::Athena | Self::Trino => 255,
            // The limit of the description of a column.
            Self::BigQuery => 1_024,
            Self::DuckDb | Self::Spark | Self::Snowflake | Self::Redshift => usize::MAX,
            Self::ClickHouse | Self::Databricks | Self::Fabric => usize::MAX,
        };
        let cut = if text.chars().count() > most {
            let kept: String = text.chars().take(most - 1).collect();
            format!("{kept}…")
        } else {
            text.to_owned()
        };
        match self {
            // DDL of Hive knows no doubled quotes.
            Self::Athena => format!("'{}'", cut.replace('\\', "\\\\").replace('\'', "\\'")),
            _ => self.literal(&cut),
        }
    }

    /// The type of a column.
    pub fn type_name(self, kind: Type) -> String {
        match kind {
            Type::Bool => self.one_of("BOOLEAN", "BOOL", "Bool", "BIT"),
            Type::Int32 => {
                self.one_of(if self == Self::Snowflake { "NUMBER(10, 0)" } else { "INT" }, "INT64", "Int32", "INT")
            }
            Type::Int64 => self.one_of(
                if self == Self::Snowflake { "NUMBER(19, 0)" } else { "BIGINT" },
                "INT64",
                "Int64",
                "BIGINT",
            ),
            Type::Float64 => {
                let usual = if self == Self::Redshift { "DOUBLE PRECISION" } else { "DOUBLE" };
                self.one_of(usual, "FLOAT64", "Float64", "FLOAT")
            }
            Type::Decimal { precision, scale } => self.decimal(precision, scale),
            Type::String | Type::Json | Type::Hash { .. } => match self {
                Self::Spark | Self::Databricks | Self::BigQuery | Self::Athena => "STRING".to_owned(),
                Self::ClickHouse => "String".to_owned(),
                Self::Redshift => "VARCHAR(65535)".to_owned(),
                Self::Fabric => "VARCHAR(MAX)".to_owned(),
                Self::DuckDb | Self::Snowflake | Self::Trino => "VARCHAR".to_owned(),
            },
            Type::Date => self.one_of("DATE", "DATE", "Date32", "DATE"),
            Type::Timestamp => match self {
                Self::DuckDb => "TIMESTAMP WITH TIME ZONE".to_owned(),
                Self::Snowflake => "TIMESTAMP_LTZ(6)".to_owned(),
                Self::Trino => "TIMESTAMP(6)".to_owned(),
                Self::ClickHouse => "DateTime64(6, 'UTC')".to_owned(),
                Self::Fabric => "DATETIME2(6)".to_owned(),
                Self::Spark | Self::BigQuery | Self::Redshift | Self::Athena | Self::Databricks => {
                    "TIMESTAMP".to_owned()
                }
            },
        }
    }

    fn decimal(self, precision: u8, scale: u8) -> String {
        let word = match self {
            Self::Snowflake => "NUMBER",
            Self::ClickHouse => "Decimal",
            // NUMERIC has 29 digits before the point and 9 behind it.
            Self::BigQuery if precision - scale <= 29 && scale <= 9 => "NUMERIC",
            Self::BigQuery => "BIGNUMERIC",
            Self::DuckDb | Self::Spark | Self::Redshift | Self::Athena => "DECIMAL",
            Self::Trino | Self::Databricks | Self::Fabric => "DECIMAL",
        };
        format!("{word}({precision}, {scale})")
    }

    /// A word that BigQuery, ClickHouse and Fabric write in their own way.
    fn one_of(self, usual: &str, bigquery: &str, clickhouse: &str, fabric: &str) -> String {
        match self {
            Self::BigQuery => bigquery,
            Self::ClickHouse => clickhouse,
            Self::Fabric => fabric,
            Self::DuckDb | Self::Spark | Self::Snowflake | Self::Redshift => usual,
            Self::Athena | Self::Trino | Self::Databricks => usual,
        }
        .to_owned()
    }

    /// The type of a column that may be null or not, where the type itself states it.
    pub fn nullable_type(self, kind: Type, required: bool) -> String {
        let name = self.type_name(kind);
        if self == Self::ClickHouse && !required { format!("Nullable({name})") } else { name }
    }

    /// A day as a literal.
    pub fn day(self, day: Date) -> String {
        match self {
            Self::ClickHouse => format!("toDate32('{day}')"),
            Self::Fabric => format!("CAST('{day}' AS DATE)"),
            _ => format!("DATE '{day}'"),
        }
    }

    /// Midnight UTC of a day, as a literal of the type of instants.
    pub fn midnight(self, day: Date) -> String {
        match self {
            Self::DuckDb | Self::BigQuery => {
                let word = if self == Self::DuckDb { "TIMESTAMPTZ" } else { "TIMESTAMP" };
                format!("{word} '{day} 00:00:00+00'")
            }
            Self::Spark | Self::Databricks => format!("TIMESTAMP '{day} 00:00:00 UTC'"),
            Self::Snowflake => format!("CAST('{day} 00:00:00 +0000' AS TIMESTAMP_LTZ(6))"),
            Self::ClickHouse => format!("toDateTime64('{day} 00:00:00', 6, 'UTC')"),
            Self::Fabric => format!("CAST('{day}' AS DATETIME2(6))"),
            Self::Redshift | Self::Athena | Self::Trino => format!("TIMESTAMP '{day} 00:00:00'"),
        }
    }

    /// The statement that begins or ends a transaction, in an engine that has them.
    pub fn transaction(self, begins: bool) -> Option<&'static str> {
        match (self, begins) {
            (Self::DuckDb | Self::Snowflake | Self::BigQuery | Self::Redshift | Self::Fabric, true) => {
                Some("BEGIN TRANSACTION")
            }
            (Self::BigQuery | Self::Fabric, false) => Some("COMMIT TRANSACTION"),
            (Self::DuckDb | Self::Snowflake | Self::Redshift, false) => Some("COMMIT"),
            (Self::Spark | Self::Athena | Self::Trino | Self::ClickHouse | Self::Databricks, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_end_where_they_should() {
        for dialect in SqlDialect::ALL {
            let text = dialect.literal("it's a \\");
            assert!(text.starts_with('\'') && text.ends_with('\''), "{text}");
            assert!(
                !text[1..text.len() - 1].replace("''", "").replace("\\'", "").contains('\''),
                "{dialect:?}: {text}"
            );
        }
        assert_eq!(SqlDialect::DuckDb.quote("a\"b"), "\"a\"\"b\"");
        assert_eq!(SqlDialect::Fabric.quote("a]b"), "[a]]b]");
        assert_eq!(SqlDialect::Snowflake.quote("a_b"), "\"A_B\"");
    }

    #[test]
    fn a_decimal_beyond_numeric_is_a_bignumeric() {
        let exact = |precision, scale| SqlDialect::BigQuery.type_name(Type::Decimal { precision, scale });
        assert_eq!(
            [exact(18, 6), exact(18, 10), exact(38, 9)],
            ["NUMERIC(18, 6)", "BIGNUMERIC(18, 10)", "NUMERIC(38, 9)"]
        );
    }

    #[test]
    fn a_comment_is_cut_where_the_metastore_takes_no_more() {
        let long = "é".repeat(300);
        assert_eq!(SqlDialect::Athena.comment(&long).chars().count(), 257);
        assert_eq!(SqlDialect::DuckDb.comment(&long).chars().count(), 302);
    }
}
