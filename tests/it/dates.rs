//! Instants and days: in every zone, and up to the last day that four digits can write.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use pearlift::decode::{date_days, period_days, timestamp_micros};
use pearlift::sandbox::{AnswerRule, Replacement, SandboxSettings, Size, Wrong};
use pearlift::schema::Granularity;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

use crate::support::{Program, check_truth, query, start, this_morning};

const DAY: i64 = 86_400;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn midnight_in_utc_is_that_day_whatever_the_offset(day in -700_000_i64..2_932_890, minutes in -14_i64 * 60..=14 * 60) {
        // The instant written in an offset, by hand: a civil clock that is ahead of UTC by so many minutes.
        let written = |seconds: i64| {
            let local = jiff::civil::Date::constant(1970, 1, 1).at(0, 0, 0, 0) + jiff::SignedDuration::from_secs(seconds + minutes * 60);
            let sign = if minutes < 0 { '-' } else { '+' };
            format!("{local:.3}{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
        };
        prop_assert_eq!(date_days(&written(day * DAY)).map(i64::from), Some(day));
        // Midnight of the clock on the wall is the day that it shows, and so is any other time of it.
        for seconds in [0, 3_601, 86_399] {
            let at = day * DAY + seconds - minutes * 60;
            if at % DAY != 0 {
                prop_assert_eq!(date_days(&written(at)).map(i64::from), Some(day), "{}", written(at));
            }
        }
    }
}

#[test]
fn an_instant_fits_up_to_the_last_microsecond_of_9999() {
    let last = Some(253_402_300_799_999_999);
    assert_eq!(timestamp_micros("9999-12-31T23:59:59.999999Z"), last);
    assert_eq!(timestamp_micros("9999-12-31T21:59:59.999999-02:00"), last);
    assert_eq!(timestamp_micros("9999-12-31T23:59:59.999999+00:00"), last);
    // It is in the year 10000 of UTC, but its day is written.
    assert_eq!(timestamp_micros("9999-12-31T22:00:00.000-02:00"), None);
    assert_eq!(timestamp_micros("9999-12-31T23:00:00.000-02:00"), None);
    let last_day = Some(2_932_896);
    for text in ["9999-12-31", "9999-12-31T23:59:59.000Z", "9999-12-31T23:00:00.000-02:00", "9999-12-30T18:00:00-06:00"]
    {
        assert_eq!(date_days(text), last_day, "{text}");
    }
    assert_eq!(date_days("9999-12-31T22:00:00.000-02:00"), None, "it is midnight of a day that no table has");
    assert_eq!(period_days(Granularity::Month, 253_402_300_799_999_999), Some(2_932_896 - 30));
    assert_eq!(period_days(Granularity::Month, -1), Some(-31));
    // An instant must be all else that it was before, too.
    for text in [
        "9999-12-31T24:00:00Z",
        "9999-12-31T23:60:00Z",
        "9999-13-31T00:00:00Z",
        "9999-12-31T23:00:00",
        "2026-02-29T00:00:00Z",
    ] {
        assert_eq!((timestamp_micros(text), text.len() > 10 && date_days(text).is_some()), (None, false), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn days_of_an_account_west_of_utc_are_the_days_that_were_meant() {
    // GIVEN an account in Chicago, which renders a due day as the evening before: midnight in UTC
    let zone = "America/Chicago";
    let settings =
        SandboxSettings { limit: 0, now: Some(this_morning()), zone: zone.to_owned(), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 300, ..Size::default() }).await;
    let lake = tempfile::tempdir().unwrap();

    // WHEN its orders and journals are read
    Program::new(&sandbox, lake.path()).by_month().run(&["run", "order", "journal"]).expect(0);

    // THEN each day is the day of UTC where the instant is midnight there, and the day of the shop where it is midnight in Chicago
    let of = |table: &str, instant: &str, day: &str| -> Vec<(i64, i64)> {
        let rows = query(&format!(
            "SELECT epoch_us({instant}) // 1000000, date_diff('day', DATE '1970-01-01', {day}) \
             FROM read_parquet('{}/{table}/**/*.parquet') WHERE {instant} IS NOT NULL",
            lake.path().display()
        ));
        rows.iter()
            .map(|row| row.split_once('|').unwrap())
            .map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap()))
            .collect()
    };
    for (table, instant, day) in
        [("order_invoice", "due_date", "due_date_local"), ("order", "delivery_date", "delivery_date_local")]
    {
        let days = of(table, instant, day);
        assert!(days.len() > 50, "{table}");
        for (instant, day) in days {
            assert_eq!((instant % DAY, day), (0, instant / DAY), "{table}.{day}");
        }
    }
    let chicago = TimeZone::get(zone).unwrap();
    for (table, instant, day) in
        [("order_invoice", "tax_date", "tax_date_local"), ("journal", "tax_date", "tax_date_local")]
    {
        let days = of(table, instant, day);
        assert!(days.len() > 50, "{table}");
        for (instant, day) in days {
            let local = chicago.to_datetime(Timestamp::from_second(instant).unwrap());
            let expected = local.date().duration_since(jiff::civil::date(1970, 1, 1)).as_hours() / 24;
            assert_eq!((local.hour(), day), (0, expected), "{table}.{day}: {local}");
        }
    }
    // AND a second implementation of the rule sees the same
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_invoice,journal"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instants_and_dates_of_the_last_day_of_9999_arrive() {
    // GIVEN orders that were created, and are to be delivered, in the last hour of time
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 40, ..Size::default() }).await;
    let last = |name: &str| AnswerRule {
        method: "GET".to_owned(),
        path: "order-service/order/".to_owned(),
        at: Vec::new(),
        then: Wrong::Replace(Replacement {
            from: format!("\"{name}\":\""),
            to: format!("\"{name}\":\"9999-12-31T23:59:59.999999Z\",\"was\":\""),
        }),
    };
    sandbox.change(|settings| settings.answers = vec![last("createdOn"), last("deliveryDate")]);
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();

    // WHEN they are read, and read again
    program.run(&["run", "order"]).expect(0);
    program.run(&["run", "--full", "order"]).expect(0);
    program.run(&["verify"]).expect(0);

    // THEN they are there, in their month, and no reader stumbles
    let tables = format!("read_parquet('{}/order/**/*.parquet', hive_partitioning = true)", lake.path().display());
    let found = query(&format!(
        "SELECT count(*), count(*) FILTER (epoch_us(created_on) = 253402300799999999), min(created_month), \
         count(delivery_date) > 0 AND bool_and(delivery_date_local = DATE '9999-12-31') FROM {tables}"
    ));
    assert_eq!(found, ["40|40|9999-12-01|True"]);
}
