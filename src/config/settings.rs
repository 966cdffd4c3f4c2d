//! Every setting, and the sections of the file.

use crate::config::choices::{
    AuthKind, BucketEncryption, Choice, Deletes, DestinationLayout, Encodings, Notify, Pace, Profile,
};
use crate::config::setting::{Example, Holds, RESOURCE, Setting};
use crate::schema::PartitionChoice;

/// A section of the file that `init` writes: its name, the comment behind it, and comments below it.
pub const SECTIONS: &[(&str, &str, &str)] = &[
    ("", "", ""),
    ("account", "", ""),
    (
        "auth",
        "",
        "# The token comes from BRIGHTPEARL_STAFF_TOKEN, BRIGHTPEARL_ACCOUNT_TOKEN, or the BRIGHTPEARL_OAUTH_ variables.\n",
    ),
    ("destination", "", ""),
    ("destination.s3", "credentials come from the usual AWS_ variables, or from a profile of ~/.aws", ""),
    ("destination.azure", "credentials come from the usual AZURE_ variables", ""),
    ("destination.gcs", "for gs://bucket/prefix; credentials come from GOOGLE_APPLICATION_CREDENTIALS", ""),
    ("limits", "", ""),
    ("resources", "", ""),
    ("metrics", "", ""),
    ("webhook", "an address with a key in it comes from BRIGHTPEARL_WEBHOOK_URL", ""),
    ("privacy", "the key of the hashes comes from BRIGHTPEARL_HASH_KEY", ""),
    (RESOURCE, "", ""),
];

const fn new(section: &'static str, key: &'static str, holds: Holds, meaning: &'static str) -> Setting {
    Setting::new(section, key, holds, meaning)
}

/// All of them, in the order of the file.
pub const SETTINGS: &[Setting] = &[
    new("", "schemas", Holds::Path, "a folder with your own schema files; `--schemas` takes precedence")
        .sample("\"schemas\"")
        .note("a folder with your own schema files"),
    new("account", "code", Holds::Text, "the account in the API path: letters, digits, `-`, `_`")
        .else_as("none, needed")
        .sample("\"\"")
        .set()
        .note("the account in the API path, such as acme"),
    new("account", "api_domain", Holds::Text, "the API host, such as `euw1.brightpearlconnect.com`; `euw1` and an address with the host are corrected")
        .else_as("none, needed unless `base_url` is set; with `oauth` the host that the login names")
        .sample("\"\"")
        .set()
        .note("such as euw1.brightpearlconnect.com"),
    new(
        "account",
        "base_url",
        Holds::Text,
        "the whole address, instead of `api_domain`, without query or fragment; http for loopback only",
    )
    .else_as("`https://{api_domain}/public-api/{code}`")
    .sample("\"https://euw1.brightpearlconnect.com/public-api/acme\"")
    .note("instead of api_domain"),
    new(
        "account",
        "secrets_prefix",
        Holds::Text,
        "the secrets of this account are the variables with this prefix, such as `ACME_BRIGHTPEARL_STAFF_TOKEN`, and no \
         others; see [Secrets of one account](tasks/credentials.md#secrets-of-one-account)",
    )
    .sample("\"ACME_\"")
    .note("secrets come from ACME_BRIGHTPEARL_STAFF_TOKEN and so on"),
    new(
        "account",
        "secrets_dir",
        Holds::Path,
        "the secrets of this account are the files of this folder, named as the variables; not together with `secrets_prefix`",
    )
    .sample("\"/run/secrets/acme\"")
    .note("or from files of this folder, named as the variables"),
    new(
        "account",
        "data_centres",
        Holds::List,
        "hosts that `check` asks with the same credentials, where the configured one does not know the account or the \
         token, to find a wrong data centre; `[]` asks none",
    )
    .else_as("`euw1.brightpearlconnect.com`, `use1.brightpearlconnect.com`")
    .sample("[]")
    .note("hosts that check asks where api_domain does not know the account; [] asks none"),
    new("auth", "kind", Holds::OneOf(AuthKind::NAMES), "`staff-token`, `account-token`, `oauth`")
        .else_as("depends on the secret that is set: staff, account, OAuth")
        .sample("\"staff-token\"")
        .set()
        .note("staff-token, account-token or oauth"),
    new(
        "auth",
        "app_ref",
        Holds::Text,
        "the app's reference; with OAuth it is sent if set (the source answers 401 without it)",
    )
    .else_as("needed with a staff or account token")
    .sample("\"\"")
    .set()
    .note("the reference of your private app"),
    new("auth", "dev_ref", Holds::Text, "the developer's reference; OAuth and account tokens")
        .sample("\"\"")
        .note("oauth: the developer reference"),
    new("auth", "client_id", Holds::Text, "OAuth: the client id")
        .else_as("`app_ref`")
        .sample("\"\"")
        .note("oauth"),
    new("auth", "token_url", Holds::Text, "OAuth: where tokens are given and refreshed; http for loopback only")
        .else_as("`https://oauth.brightpearl.com/token/{code}`")
        .sample("\"\"")
        .note("oauth"),
    new("auth", "authorize_url", Holds::Text, "OAuth: the page on which `auth login` is allowed; http for loopback only")
        .else_as("`https://oauth.brightpearl.com/authorize/{code}`")
        .sample("\"\"")
        .note("oauth"),
    new(
        "auth",
        "redirect_uri",
        Holds::Text,
        "OAuth: the address to which that page leads back, exactly as it is registered for the app; see \
         [Login with OAuth](tasks/credentials.md#login-with-oauth)",
    )
    .or("http://127.0.0.1:8799/callback")
    .note("oauth: the redirect address that is registered for the app"),
    new(
        "auth",
        "api_domains",
        Holds::List,
        "OAuth: domains besides `brightpearlconnect.com`, `brightpearl.com` and `brightpearlapp.com` in which a token \
         answer may place the account; any other host is refused, and the token is not sent there",
    )
    .sample("[]")
    .note("oauth: domains, besides Brightpearl's own, that a token answer may name for the API"),
    new("auth", "token_file", Holds::Path, "OAuth: where refreshed tokens are kept")
        .else_as("`$XDG_STATE_HOME/pearlift/{code}-token.json`, else below `~/.local/state`")
        .sample("\"\"")
        .note("oauth: where refreshed tokens are kept, readable by you alone"),
    new(
        "destination",
        "url",
        Holds::Path,
        "a folder (a path, `~/…` below the home folder, or `file:///…`), `s3://bucket/prefix`, or `az://container/prefix`",
    )
    .else_as("none, needed")
    .sample("\"./lake\"")
    .set()
    .note("a folder (also ~/lake), s3://bucket/prefix, or az://container/prefix"),
    new(
        "destination",
        "layout",
        Holds::OneOf(DestinationLayout::NAMES),
        "`parquet` or `delta`: with `delta` each table is also a Delta table, see [delta.md](delta.md); `clean --layout` \
         changes a destination that is in use",
    )
    .or("parquet")
    .note("or delta: each table is also a Delta table, and is read through its log only"),
    new(
        "destination",
        "retention",
        Holds::Duration,
        "layout `delta`: how long superseded files stay for readers of earlier versions",
    )
    .or("7d")
    .note("layout delta: how long superseded files stay"),
    new(
        "destination",
        "housekeeping",
        Holds::Bool,
        "a run ends by removing old manifests and reports, see [Cleaning](tasks/cleaning.md); `false` leaves this to `clean`",
    )
    .or("true")
    .note("a run ends by removing old manifests and reports; false leaves it to `pearlift clean`"),
    new("destination.s3", "endpoint", Holds::Text, "the S3-compatible service")
        .else_as("`AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`, else AWS")
        .sample("\"https://s3.example.com\""),
    new("destination.s3", "region", Holds::Text, "the region of the bucket")
        .else_as("`AWS_REGION`, else `AWS_DEFAULT_REGION`, else `us-east-1`")
        .sample("\"us-east-1\""),
    new("destination.s3", "allow_http", Holds::Bool, "accepts an http endpoint; loopback only")
        .or("false")
        .note("http is accepted for loopback only"),
    new("destination.s3", "path_style", Holds::Bool, "puts the bucket in the path, not in the host")
        .else_as("`true` with an endpoint, otherwise `false`")
        .sample("true")
        .note("the default where an endpoint is set"),
    new(
        "destination.s3",
        "profile",
        Holds::Text,
        "a profile of `~/.aws/credentials` and `~/.aws/config`: keys, session token, region, endpoint, or a role by web \
         identity; precedes the keys of the environment",
    )
    .else_as("`AWS_PROFILE` unless `AWS_ACCESS_KEY_ID` is set, otherwise none")
    .sample("\"lake\"")
    .note("a profile of ~/.aws; otherwise the AWS_ variables"),
    new(
        "destination.s3",
        "encryption",
        Holds::OneOf(BucketEncryption::NAMES),
        "the encryption at rest that every write requests: `AES256`, `aws:kms` or `aws:kms:dsse`",
    )
    .else_as("the bucket's own rule")
    .sample("\"aws:kms\"")
    .note("requested with every write; without it the bucket's own rule holds"),
    new("destination.s3", "kms_key", Holds::Text, "the id, alias or ARN of the key for `aws:kms` and `aws:kms:dsse`")
        .else_as("the service's own key")
        .sample("\"alias/lake\""),
    new("destination.s3", "lock_renew", Holds::Duration, "how often a lock object is renewed").or("20s"),
    new(
        "destination.s3",
        "lock_expire",
        Holds::Duration,
        "a lock that has not changed for this long has expired; at least three times `lock_renew`",
    )
    .or("2m"),
    new("destination.azure", "account", Holds::Text, "the name of the storage account")
        .else_as("`AZURE_STORAGE_ACCOUNT_NAME`, else `AZURE_STORAGE_ACCOUNT`; needed with `az://`")
        .sample("\"acmelake\""),
    new("destination.azure", "endpoint", Holds::Text, "the address of the account, where it is not in the public cloud")
        .else_as("`AZURE_STORAGE_ENDPOINT`, else `https://{account}.blob.core.windows.net`")
        .sample("\"https://acmelake.blob.core.windows.net\""),
    new("destination.azure", "allow_http", Holds::Bool, "accepts an http endpoint; loopback only")
        .or("false")
        .note("http is accepted for loopback only"),
    new("destination.azure", "lock_renew", Holds::Duration, "how often a lock object is renewed").or("20s"),
    new(
        "destination.azure",
        "lock_expire",
        Holds::Duration,
        "a lock that has not changed for this long has expired; at least three times `lock_renew`",
    )
    .or("2m"),
    new(
        "destination.gcs",
        "experimental",
        Holds::Bool,
        "accepts `gs://bucket/prefix`, which no test has proved against the service, see [Google Cloud Storage](tasks/stores.md#google-cloud-storage)",
    )
    .or("false")
    .sample("true")
    .note("accepts gs://bucket/prefix, which is not proved against the service"),
    new("destination.gcs", "lock_renew", Holds::Duration, "how often a lock object is renewed").or("20s"),
    new(
        "destination.gcs",
        "lock_expire",
        Holds::Duration,
        "a lock that has not changed for this long has expired; at least three times `lock_renew`",
    )
    .or("2m"),
    new(
        "limits",
        "requests_per_period",
        Holds::Number,
        "the quota; a higher one is learnt from the answers; with `0` only the answers count",
    )
    .or("200")
    .note("of the account, shared with its other apps; with 0 only the source's answers count"),
    new("limits", "period", Holds::Duration, "the quota's period").or("60s"),
    new(
        "limits",
        "reserve",
        Holds::Number,
        "requests per period that are left to other apps; less than `requests_per_period`",
    )
    .or("40")
    .note("requests per period that are left to other apps"),
    new("limits", "concurrency", Holds::Number, "requests in flight, 1 to 64").or("16").note("requests in flight"),
    new("limits", "memory", Holds::Size, "see [Memory and spool](tasks/memory.md); at least `128MiB`").or("512MiB"),
    new(
        "limits",
        "pace",
        Holds::OneOf(Pace::NAMES),
        "`even` spreads requests over the period, `burst` uses them at once and then waits",
    )
    .or("even")
    .note("or burst: use them at once, then wait"),
    new("limits", "page_size", Holds::Number, "rows of a search page, 2 to 500").or("500"),
    new("limits", "timeout", Holds::Duration, "the time of one request, from sending to the end of the body").or("120s"),
    new("limits", "retry_tries", Holds::Number, "tries of a request, including the first").or("8"),
    new("limits", "retry_for", Holds::Duration, "no new try begins after this time").or("10m"),
    new("limits", "overlap", Holds::Duration, "changes are requested starting this long before the last scan began")
        .or("2h")
        .note("changes are requested starting this long before the last scan began"),
    new(
        "limits",
        "settle",
        Holds::Duration,
        "a copy taken at least this long after a record's last change is not fetched again",
    )
    .or("60s")
    .note("a copy taken at least this long after a record's last change is complete"),
    new("limits", "commit_every", Holds::Duration, "a long scan commits this often").or("10m").note("in long scans"),
    new("limits", "commit_bytes", Holds::Size, "a long scan also commits when this much is spooled")
        .or("256MiB")
        .note("or when this much is spooled"),
    new("limits", "file_bytes", Holds::Size, "the approximate size at which a data file ends").or("128MiB").note("of a data file"),
    new(
        "limits",
        "partition_rows",
        Holds::Number,
        "rows of a partition, in the largest table of a resource, above which `partition = \"auto\"` chooses a shorter \
         period",
    )
    .or("500000"),
    new("limits", "row_group_rows", Holds::Number, "the most rows of a row group, at least 1024").or("32768"),
    new(
        "limits",
        "encodings",
        Holds::OneOf(Encodings::NAMES),
        "the encodings of data files: `common` is read by every engine, `compact` is smaller, see [Files](format.md#files)",
    )
    .or("common")
    .note("of data files: common (every engine reads them) or compact (smaller)"),
    new(
        "limits",
        "compare_counts",
        Holds::Bool,
        "the source's count and its greatest ids are compared with the tables, with one request for each resource that \
         has a search; `false` sends none",
    )
    .or("true")
    .note("compares the source's count and greatest ids with the tables; one request per resource"),
    new(
        "limits",
        "locate_requests",
        Holds::Number,
        "requests per resource and night that locate a difference of counts; the next night continues",
    )
    .or("30")
    .note("requests per resource and night that locate a difference of counts"),
    new(
        "limits",
        "reread_requests",
        Holds::Number,
        "requests per resource and run for the records read least recently, see \
         [Undated changes](tasks/undated-changes.md)",
    )
    .or("0")
    .note("requests per resource and run that read the least recently read records again"),
    new("limits", "spool", Holds::Path, "local scratch space")
        .else_as("the system's folder for temporary files")
        .sample("\"/var/tmp\"")
        .note("scratch space [default: the system's folder for temporary files]"),
    new(
        "resources",
        "include",
        Holds::List,
        "names, with `*` for any characters; a resource that is not read by default needs its full name",
    )
    .else_as("`[\"*\"]`")
    .sample("[\"*\"]"),
    new("resources", "exclude", Holds::List, "names, with `*` for any characters; takes precedence over `include`")
        .else_as("`[]`")
        .sample("[]"),
    new(
        "resources",
        "partition",
        Holds::OneOf(PartitionChoice::NAMES),
        "the period of each folder, in tables that are divided by a date: `month`, `quarter`, `year`, `none`, or \
         `auto`, the coarsest that the number of rows allows; applies to a first load and to `clean --repartition`, \
         see [Partitions](tasks/partitions.md)",
    )
    .or("auto")
    .note("for tables that are divided by a date: auto (by the number of rows), month, quarter, year or none"),
    new(
        "metrics",
        "textfile",
        Holds::Path,
        "a file that `run` writes at its end for Prometheus, with a name that ends in `.prom`, see [Metrics](tasks/monitoring.md#metrics)",
    )
    .sample("\"/var/lib/node_exporter/textfile_collector/pearlift.prom\"")
    .note("written by each run, for the textfile collector of node exporter"),
    new(
        "webhook",
        "url",
        Holds::Text,
        "an address to which `run` posts its result, see [Webhook](tasks/monitoring.md#webhook); http for loopback only; \
         `BRIGHTPEARL_WEBHOOK_URL` takes precedence",
    )
    .sample("\"https://alerts.example.com/pearlift\"")
    .note("gets the result of each run as JSON"),
    new("webhook", "on", Holds::OneOf(Notify::NAMES), "the results that are posted: `failure` (an exit code other than 0), `success` or `always`")
    .or("failure")
    .note("or success, or always"),
    new(
        "privacy",
        "profile",
        Holds::OneOf(Profile::NAMES),
        "`gdpr`: every column that is marked personal contains keyed hashes; see [People's data](tasks/personal-data.md#hashed-columns)",
    )
    .or("none")
    .note("none, or gdpr: every column that is marked personal contains keyed hashes"),
    new(
        RESOURCE,
        "every",
        Holds::Duration,
        "how often a resource without dates (a list, a search without dates, a snapshot) is read",
    )
    .else_as("the schema's `every`, otherwise each run")
    .sample("\"1d\"")
    .of(Example::Snapshots)
    .note("how often a resource without dates is read"),
    new(
        RESOURCE,
        "keep",
        Holds::Duration,
        "how long the snapshots of a day are kept, such as `400d`; older ones are removed with the next snapshot",
    )
    .else_as("for ever")
    .sample("\"400d\"")
    .of(Example::Snapshots)
    .note("older snapshots are removed; without it they stay"),
    new(
        RESOURCE,
        "start",
        Holds::Text,
        "a day, such as `2023-01-01`: a full read takes records created from this day on, see \
         [Big first loads](tasks/first-load.md)",
    )
    .else_as("everything")
    .sample("\"2023-01-01\"")
    .note("a first load reads records created from this day on, UTC"),
    new(
        RESOURCE,
        "reload_every",
        Holds::Duration,
        "how often a resource with dates is read completely again, in addition to its changes",
    )
    .else_as("the schema's `reload_every`, otherwise never")
    .sample("\"90d\"")
    .note("how often a resource with dates is read completely again; without it, never"),
    new(RESOURCE, "reread_requests", Holds::Number, "the same for this resource alone")
        .else_as("`limits.reread_requests`")
        .sample("20")
        .note("for this resource"),
    new(
        RESOURCE,
        "open_every",
        Holds::Duration,
        "how often open records are read again, whatever their dates, see \
         [Undated changes](tasks/undated-changes.md)",
    )
    .else_as("the schema's, `1d` for orders")
    .sample("\"1d\"")
    .note("how often open records are read again, whatever their dates"),
    new(RESOURCE, "reconcile_every", Holds::Duration, "how often `run` looks for deletions, such as `7d`")
        .else_as("never")
        .sample("\"7d\"")
        .note("how often the nightly run looks for deletions; without it, never"),
    new(RESOURCE, "partition", Holds::OneOf(PartitionChoice::NAMES), "the same for this resource alone")
        .else_as("`resources.partition`")
        .sample("\"year\"")
        .note("for this resource"),
    new(
        RESOURCE,
        "deletes",
        Holds::OneOf(Deletes::NAMES),
        "what happens to the rows of deleted records: `move`, `mark` or `drop`",
    )
    .or("move")
    .note("rows of records found deleted: move (to _pearlift/deleted/), mark (kept in place) or drop"),
    new(
        RESOURCE,
        "tables",
        Holds::List,
        "only these tables of the resource are written; see [Leaving things out](tasks/leaving-things-out.md)",
    )
    .else_as("all")
    .sample("[\"{record}\", \"{child}\"]")
    .note("only these tables are written"),
    new(
        RESOURCE,
        "hash_columns",
        Holds::List,
        "columns that contain keyed hashes of their values, as `table.column`; see [People's data](tasks/personal-data.md#hashed-columns)",
    )
    .sample("[\"{record}.{column}\"]")
    .note("columns that contain keyed hashes of their values"),
    new(RESOURCE, "drop_columns", Holds::List, "columns that are not written, as `table.column`")
        .sample("[\"{record}.{column}\"]")
        .note("columns that are not written"),
];

/// The setting of a section and key; `section` of a resource's own begins with `resource.`.
pub fn find(section: &str, key: &str) -> Option<&'static Setting> {
    let section = if section.starts_with("resource.") { RESOURCE } else { section };
    SETTINGS.iter().find(|setting| setting.section == section && setting.key == key)
}
