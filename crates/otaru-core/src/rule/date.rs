//! Moments in rules: `2020-04-04 16:38:19.000`, in the zone of all `Gmt…` fields of the API, UTC+8.

use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};

/// Reads a date; its time of day, or the milliseconds of that, may be absent.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let (day, time) = text.split_once(' ').map_or((text, None), |(day, time)| (day, Some(time)));
    let [year, month, date] = numbers(day, '-', [4, 2, 2])?;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if date < 1 || date > days_of(year, month) {
        return None;
    }
    let mut ms = days_before(year, month, date) * DAY_MS - 8 * HOUR_MS;
    if let Some(time) = time {
        let (clock, fraction) = time.split_once('.').unwrap_or((time, "000"));
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        let [milli] = numbers(fraction, '.', [3])?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        ms += hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS + milli;
    }
    Some(Timestamp(ms))
}

/// Numbers of so many digits each, between separators.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date.
fn days_before(year: i64, month: i64, date: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    years + (1..month).map(|month| days_of(year, month)).sum::<i64>() + date - 1
}
