//! The calendar: dates and times of day without a zone.

use super::{MILLIS_PER_DAY, MILLIS_PER_SECOND};

/// Years beyond these are refused everywhere, which keeps all arithmetic far from overflow.
const MAX_YEAR: i64 = 99_999;

/// A date and time of day on the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub nano: u32,
}

impl Civil {
    /// Midnight of a day, or nothing if there is no such day.
    pub(crate) fn date(year: i64, month: u32, day: u32) -> Option<Civil> {
        let exists = year.abs() <= MAX_YEAR
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day);
        exists.then_some(Civil {
            year,
            month,
            day,
            hour: 0,
            minute: 0,
            second: 0,
            nano: 0,
        })
    }

    /// This day at a time, or nothing if there is no such time.
    pub(crate) fn at(self, hour: u32, minute: u32, second: u32, nano: u32) -> Option<Civil> {
        let exists = hour < 24 && minute < 60 && second < 60 && nano < 1_000_000_000;
        exists.then_some(Civil {
            hour,
            minute,
            second,
            nano,
            ..self
        })
    }

    pub(crate) fn from_millis(millis: i64) -> Civil {
        let days = millis.div_euclid(MILLIS_PER_DAY);
        let rest = millis.rem_euclid(MILLIS_PER_DAY);
        let seconds = (rest / MILLIS_PER_SECOND) as u32;
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            nano: (rest % MILLIS_PER_SECOND) as u32 * 1_000_000,
        }
    }

    /// Milliseconds since 1970-01-01 00:00:00; what is finer is cut off.
    pub(crate) fn to_millis(self) -> i64 {
        let seconds =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        self.days() * MILLIS_PER_DAY
            + seconds * MILLIS_PER_SECOND
            + i64::from(self.nano / 1_000_000)
    }

    /// Days since 1970-01-01.
    pub(crate) fn days(self) -> i64 {
        days_from_civil(self.year, self.month, self.day)
    }

    /// 1 for Monday to 7 for Sunday.
    pub(crate) fn day_of_week(self) -> u32 {
        (self.days() + 3).rem_euclid(7) as u32 + 1
    }

    /// 1 to 366.
    pub(crate) fn day_of_year(self) -> u32 {
        (self.days() - days_from_civil(self.year, 1, 1)) as u32 + 1
    }

    /// The year and week (1 to 53) of ISO 8601.
    pub(crate) fn iso_week(self) -> (i64, u32) {
        let thursday = self.days() - i64::from(self.day_of_week()) + 4;
        let (year, _, _) = civil_from_days(thursday);
        (
            year,
            ((thursday - days_from_civil(year, 1, 1)) / 7) as u32 + 1,
        )
    }

    /// The same time `months` later; the last day of the month if the day does not exist there.
    pub(crate) fn plus_months(self, months: i64) -> Option<Civil> {
        let total = self
            .year
            .checked_mul(12)?
            .checked_add(i64::from(self.month) - 1)?
            .checked_add(months)?;
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
        if year.abs() > MAX_YEAR {
            return None;
        }
        Some(Civil {
            year,
            month,
            day: self.day.min(days_in_month(year, month)),
            ..self
        })
    }
}

pub(crate) fn days_in_month(year: i64, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years are counted from March, so that the leap day ends a year.
pub(crate) fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let months_since_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * months_since_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
pub(crate) fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * months_since_march + 2) / 5) as u32 + 1;
    let month = if months_since_march < 10 {
        months_since_march + 3
    } else {
        months_since_march - 9
    } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_inverse_over_eight_centuries() {
        let mut expected = days_from_civil(1600, 1, 1);
        for year in 1600..2400 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days_from_civil(year, month, day), expected);
                    assert_eq!(civil_from_days(expected), (year, month, day));
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        let week = |year, month, day| Civil::date(year, month, day).map(Civil::iso_week);
        assert_eq!(week(2019, 11, 22), Some((2019, 47)));
        assert_eq!(week(2021, 1, 3), Some((2020, 53)));
        assert_eq!(week(2018, 12, 31), Some((2019, 1)));
        assert_eq!(Civil::date(2019, 11, 22).map(Civil::day_of_week), Some(5));
    }

    #[test]
    fn months_end_on_their_last_day() {
        let end = |year, month, day, months| {
            let moved = Civil::date(year, month, day)?.plus_months(months)?;
            Some((moved.year, moved.month, moved.day))
        };
        assert_eq!(end(2020, 1, 31, 1), Some((2020, 2, 29)));
        assert_eq!(end(2020, 2, 29, 12), Some((2021, 2, 28)));
        assert_eq!(end(2020, 1, 15, -1), Some((2019, 12, 15)));
        assert_eq!(Civil::date(2019, 2, 29), None);
    }
}
