//! How moments and pages are written.

use otaru_core::refusal::{self, Refusal};
use otaru_core::time::{HOUR_MS, Timestamp};

use crate::store::Page;

/// `Utc…` fields: `2019-11-04T06:22:19.566Z`.
pub fn utc(at: Timestamp) -> String {
    format!("{:.3}", moment(at))
}

/// `Gmt…` fields of devices: the time of UTC+8 without its zone, `2018-08-06 10:48:41`.
pub fn gmt(at: Timestamp) -> String {
    let local = moment(at.plus_ms(8 * HOUR_MS)).to_string();
    local[..19].replace('T', " ")
}

/// `Gmt…` fields of modules: UTC to the minute, `2020-10-13T09:46Z`.
pub fn minute(at: Timestamp) -> String {
    let text = moment(at).to_string();
    format!("{}Z", &text[..16])
}

fn moment(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// A page that a caller asks for, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    pub current: u32,
    pub size: u32,
}

impl Paging {
    /// Page `current`, from 1, of `size` rows, at most `size_max` (row C1 of the refusals).
    ///
    /// # Errors
    /// Either is out of range.
    pub fn check(current: i32, size: i32, size_max: u32) -> Result<Self, Refusal> {
        match (u32::try_from(current), u32::try_from(size)) {
            (Ok(current @ 1..), Ok(size)) if (1..=size_max).contains(&size) => {
                Ok(Self { current, size })
            }
            (Ok(1..), _) => {
                Err(refusal::INVALID_PAGE.with(format!("PageSize {size}, 1 to {size_max}")))
            }
            _ => Err(refusal::INVALID_PAGE.with(format!("CurrentPage {current}, from 1"))),
        }
    }

    pub fn rows(self) -> Page {
        Page::new(self.current, self.size)
    }

    /// The number of the last row of the page.
    pub fn last_row(self) -> u64 {
        u64::from(self.current) * u64::from(self.size)
    }

    /// `CurrentPage`, `PageSize`, `PageCount` and `Total` of a list of `total` rows.
    pub fn of(self, total: u64) -> PageNumbers {
        PageNumbers {
            current: int(self.current.into()),
            size: int(self.size.into()),
            count: int(total.div_ceil(self.size.into())),
            total: int(total),
        }
    }
}

/// The numbers that go with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageNumbers {
    pub current: i32,
    pub size: i32,
    pub count: i32,
    pub total: i32,
}

/// A count as the wire has it; stops at its end instead of wrapping.
pub fn int(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A text that is left out when it is empty.
pub fn unless_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_the_three_forms_of_the_api() {
        let at = Timestamp(1_572_848_539_566);
        assert_eq!(utc(at), "2019-11-04T06:22:19.566Z");
        assert_eq!(gmt(at), "2019-11-04 14:22:19");
        assert_eq!(minute(at), "2019-11-04T06:22Z");
        assert_eq!(minute(Timestamp(0)), "1970-01-01T00:00Z");
        assert_eq!(utc(Timestamp(0)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_page_is_refused_outside_its_range() {
        for (current, size) in [(0, 10), (-1, 10), (1, 0), (1, -5), (1, 101)] {
            let refusal = Paging::check(current, size, 100).unwrap_err();
            assert_eq!(refusal.code, "iot.common.InvalidPageParams", "{current} {size}");
        }
        let paging = Paging::check(i32::MAX, 100, 100).unwrap();
        assert_eq!(paging.of(0).count, 0);
        assert_eq!(paging.of(1).count, 1);
        assert_eq!(paging.of(100).count, 1);
        assert_eq!(paging.of(101).count, 2);
        assert_eq!(paging.of(u64::MAX).total, i32::MAX);
    }
}
