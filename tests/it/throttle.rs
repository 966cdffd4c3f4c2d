//! The governor against the sandbox's quota, on a paused clock: minutes pass in milliseconds, nothing is left to chance.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pearlift::config::{Environment, Limits, Settings};
use pearlift::event::Events;
use pearlift::fetch::{Governor, Quota};
use pearlift::sandbox::{QuotaWindow as Window, Throttle};
use tokio::time::{Instant, sleep, sleep_until};

const MINUTES: u32 = 12;

fn limits(pace: &str) -> Limits {
    let text = format!("[limits]\npace = \"{pace}\"");
    let settings = Settings::from_text(None, &text, Environment::default(), &[]).expect("the settings are right");
    settings.limits().expect("the limits are right")
}

/// The counts of the two apps.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    ours: u32,
    ours_throttled: u32,
    foreign_throttled: u32,
}

/// Works as fast as the governor lets it, against a quota of 200 a minute, beside a foreign app.
async fn work(pace: &str, window: Window, latency: Duration, foreign_per_minute: u32, offset: i64) -> Seen {
    let now = jiff::Timestamp::from_second(1_700_000_000 + offset).expect("it is in range");
    let throttle = Arc::new(Mutex::new(Throttle::new(200, window, now)));
    let governor = Governor::new(&limits(pace), 7, Events::silent());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let end = Instant::now() + Duration::from_secs(60) * MINUTES;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (governor, throttle, seen) = (governor.clone(), Arc::clone(&throttle), Arc::clone(&seen));
        tasks.spawn(async move {
            loop {
                let permit = governor.admit().await;
                sleep(latency / 2).await;
                let verdict = throttle.lock().expect("nobody panics").ask();
                sleep(latency / 2).await;
                let quota = Quota { remaining: verdict.remaining, returns_in: verdict.returns_in };
                let mut seen = seen.lock().expect("nobody panics");
                if verdict.allowed {
                    seen.ours += 1;
                    permit.answered(Some(quota));
                } else {
                    seen.ours_throttled += 1;
                    permit.throttled(Some(verdict.returns_in));
                }
            }
        });
    }
    if foreign_per_minute > 0 {
        let (throttle, seen) = (Arc::clone(&throttle), Arc::clone(&seen));
        tasks.spawn(async move {
            loop {
                sleep(Duration::from_secs(60) / foreign_per_minute).await;
                let verdict = throttle.lock().expect("nobody panics").ask();
                seen.lock().expect("nobody panics").foreign_throttled += u32::from(!verdict.allowed);
            }
        });
    }
    sleep_until(end).await;
    tasks.shutdown().await;
    std::mem::take(&mut seen.lock().expect("nobody panics"))
}

#[tokio::test(start_paused = true)]
async fn alone_it_is_never_throttled_and_uses_what_it_may() {
    for pace in ["even", "burst"] {
        for window in [Window::Fixed, Window::Rolling] {
            for latency in [20, 400, 3_000] {
                for offset in [0, 31] {
                    // GIVEN a quota that nobody else uses, and a reserve of 40
                    let seen = work(pace, window, Duration::from_millis(latency), 0, offset).await;
                    // THEN no answer is a refusal, and at least 95 % of 160 a minute were sent
                    let case = format!("{pace} {window:?} {latency} ms, {offset} s into the minute: {seen:?}");
                    assert_eq!(seen.ours_throttled, 0, "{case}");
                    assert!(f64::from(seen.ours) >= 0.95 * f64::from(160 * MINUTES), "{case}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_app_at_an_even_pace_is_never_throttled_and_most_of_the_rest_is_used() {
    for pace in ["even", "burst"] {
        for window in [Window::Fixed, Window::Rolling] {
            for latency in [20, 400] {
                for offset in [0, 31] {
                    // GIVEN a foreign app that calls 60 times a minute
                    let seen = work(pace, window, Duration::from_millis(latency), 60, offset).await;
                    // THEN it always finds room, and we use at least three quarters of the rest
                    let case = format!("{pace} {window:?} {latency} ms, {offset} s into the minute: {seen:?}");
                    assert_eq!(seen.foreign_throttled, 0, "{case}");
                    assert_eq!(seen.ours_throttled, 0, "{case}");
                    assert!(f64::from(seen.ours) >= 0.75 * f64::from(140 * MINUTES), "{case}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_source_asks_for_is_a_period_at_most_or_an_hour_by_retry_after() {
    let (second, end_of_time) = (Duration::from_secs(1), Duration::from_millis(99_999_999_999_999));
    // GIVEN a quota that is used up until the year 5195
    let governor = Governor::new(&limits("even"), 7, Events::silent());
    governor.admit().await.answered(Some(Quota { remaining: 0, returns_in: end_of_time }));
    // WHEN somebody asks THEN he waits for a period as it is
    let begun = Instant::now();
    let permit = governor.admit().await;
    assert!(begun.elapsed() <= 61 * second, "{:?}", begun.elapsed());
    // AND an hour is waited for, a longer time counts as none
    permit.answered(Some(Quota { remaining: 200, returns_in: second }));
    for (asked, most) in
        [(Some(end_of_time), 61), (Some(3_601 * second), 61), (Some(3_600 * second), 3_601), (None, 61)]
    {
        tokio::time::sleep(600 * second).await;
        governor.admit().await.throttled(asked);
        let begun = Instant::now();
        let permit = governor.admit().await;
        let waited = begun.elapsed();
        assert!(waited <= most * second && waited >= (most - 1) * second, "{asked:?}: {waited:?}");
        permit.answered(Some(Quota { remaining: 200, returns_in: second }));
    }
}
