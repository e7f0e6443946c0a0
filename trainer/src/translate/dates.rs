//! Dates in many forms and languages, and the one form that machines sort: the exercise of the lesson's notes, with data that
//! needs no files.

use rand::RngExt;
use time::Date;

use super::corpus::Pair;
use crate::seed;

/// What the dates' languages are called in checkpoints.
pub const SOURCE: &str = shared::text::DATES;
/// What they become.
pub const TARGET: &str = "iso";

/// Days from 1900-01-01 to 2099-12-31, as Julian days.
const DAYS: std::ops::RangeInclusive<i32> = 2_415_021..=2_488_069;

/// Every so many-th day, in a shuffled order, is held out.
const HELD_OUT: u32 = 5;

/// A language's words for dates.
struct Words {
    months: [&'static str; 12],
    short: [&'static str; 12],
    /// Monday first.
    days: [&'static str; 7],
    /// Patterns: `d` day, `dd` two digits of it, `m` and `mm` likewise, `M` and `S` the month's name, long and short, `y` and `yy`
    /// the year, `W` the weekday, `o` an English ordinal's ending.
    forms: &'static [&'static str],
}

const ENGLISH: Words = Words {
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    short: ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    days: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    forms: &[
        "{M} {d}, {y}",
        "{M} {d} {y}",
        "{d} {M} {y}",
        "{d} {M}, {y}",
        "{d}{o} {M} {y}",
        "{M} {d}{o}, {y}",
        "{M} {d}{o} {y}",
        "the {d}{o} of {M}, {y}",
        "the {d}{o} of {M} {y}",
        "{d}{o} of {M} {y}",
        "{W}, {M} {d}, {y}",
        "{W}, {M} {d}{o}, {y}",
        "{W} {M} {d} {y}",
        "{W} {d} {M} {y}",
        "{W}, {d} {M} {y}",
        "{W}, {d}{o} {M} {y}",
        "{W} the {d}{o} of {M} {y}",
        "{S} {d}, {y}",
        "{S} {d} {y}",
        "{S}. {d}, {y}",
        "{d} {S} {y}",
        "{d}-{S}-{yy}",
        "{d}-{S}-{y}",
        "{d}{o} {S} {y}",
        "{W}, {S} {d}, {y}",
        "on {M} {d} {y}",
        "on {M} {d}, {y}",
        "on the {d}{o} of {M}, {y}",
        "on {W}, {d} {M} {y}",
    ],
};

const GERMAN: Words = Words {
    months: [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    short: ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."],
    days: ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
    forms: &[
        "{d}. {M} {y}",
        "{W}, {d}. {M} {y}",
        "{W}, der {d}. {M} {y}",
        "am {d}. {M} {y}",
        "{d}. {S} {y}",
        "{dd}.{mm}.{y}",
        "{d}.{m}.{y}",
        "{dd}.{mm}.{yy}",
        "den {d}. {M} {y}",
    ],
};

const FRENCH: Words = Words {
    months: [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    short: ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."],
    days: ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
    forms: &[
        "{d} {M} {y}",
        "le {d} {M} {y}",
        "{W} {d} {M} {y}",
        "le {W} {d} {M} {y}",
        "{W}, le {d} {M} {y}",
        "{d} {S} {y}",
        "{dd}/{mm}/{y}",
    ],
};

const SPANISH: Words = Words {
    months: [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
    short: ["ene.", "feb.", "mar.", "abr.", "may.", "jun.", "jul.", "ago.", "sept.", "oct.", "nov.", "dic."],
    days: ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"],
    forms: &[
        "{d} de {M} de {y}",
        "el {d} de {M} de {y}",
        "{W}, {d} de {M} de {y}",
        "{W} {d} de {M} de {y}",
        "{d} de {M} del {y}",
        "{d} {M} {y}",
        "{d} {S} {y}",
    ],
};

const ITALIAN: Words = Words {
    months: [
        "gennaio",
        "febbraio",
        "marzo",
        "aprile",
        "maggio",
        "giugno",
        "luglio",
        "agosto",
        "settembre",
        "ottobre",
        "novembre",
        "dicembre",
    ],
    short: ["gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic"],
    days: ["lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato", "domenica"],
    forms: &["{d} {M} {y}", "il {d} {M} {y}", "{W} {d} {M} {y}", "{W}, {d} {M} {y}", "{d} {S} {y}"],
};

/// Forms that belong to no language. With slashes the day comes first, as in most of the world.
const NUMERIC: Words = Words {
    months: ENGLISH.months,
    short: ENGLISH.short,
    days: ENGLISH.days,
    forms: &[
        "{y}-{mm}-{dd}",
        "{y}/{mm}/{dd}",
        "{y}{mm}{dd}",
        "{d}/{m}/{y}",
        "{dd}/{mm}/{y}",
        "{dd}/{mm}/{yy}",
        "{y}.{mm}.{dd}",
        "{d} {m} {y}",
        "{d}-{m}-{y}",
        "{dd}-{mm}-{y}",
    ],
};

const LANGUAGES: [&Words; 6] = [&ENGLISH, &GERMAN, &FRENCH, &SPANISH, &ITALIAN, &NUMERIC];

/// Whether no training sees this day.
fn is_held_out(julian_day: i32) -> bool {
    // Knuth's multiplicative hash: neighbours go different ways.
    (julian_day as u32).wrapping_mul(2_654_435_761) >> 16 & 0xffff < 0x1_0000 / HELD_OUT
}

/// The date number `index` of a seed, in some form, and in ISO 8601; of the days that are held out, or of the others.
pub fn pair(seed: u64, index: u64, held_out: bool) -> Pair {
    let mut rng = seed::rng(seed, if held_out { "dates held out" } else { "dates" }, index);
    let date = loop {
        let day = rng.random_range(DAYS);
        if is_held_out(day) == held_out
            && let Ok(date) = Date::from_julian_day(day)
        {
            break date;
        }
    };
    let words = LANGUAGES[rng.random_range(0..LANGUAGES.len())];
    let mut form = words.forms[rng.random_range(0..words.forms.len())].to_owned();
    // Two digits of a year mean 1970 to 2069.
    if !(1970..2070).contains(&date.year()) {
        form = form.replace("{yy}", "{y}");
    }
    let mut source = write(&form, words, date);
    match rng.random_range(0..10) {
        0 => source = source.to_lowercase(),
        1 => source = source.to_uppercase(),
        _ => {}
    }
    Pair { source, target: iso(date) }
}

fn iso(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

fn write(form: &str, words: &Words, date: Date) -> String {
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let name = |names: &[&'static str; 12]| names.get(usize::from(month) - 1).copied().unwrap_or_default();
    let weekday = words.days.get(usize::from(date.weekday().number_days_from_monday())).copied().unwrap_or_default();
    let ordinal = match (day % 10, day / 10) {
        (1, tens) if tens != 1 => "st",
        (2, tens) if tens != 1 => "nd",
        (3, tens) if tens != 1 => "rd",
        _ => "th",
    };
    let values = [
        ("{y}", year.to_string()),
        ("{yy}", format!("{:02}", year % 100)),
        ("{m}", month.to_string()),
        ("{mm}", format!("{month:02}")),
        ("{M}", name(&words.months).to_owned()),
        ("{S}", name(&words.short).to_owned()),
        ("{d}", day.to_string()),
        ("{dd}", format!("{day:02}")),
        ("{W}", weekday.to_owned()),
        ("{o}", ordinal.to_owned()),
    ];
    values.iter().fold(form.to_owned(), |text, (place, value)| text.replace(place, value))
}

/// So many dates that are learnt from, or held out.
pub fn pairs(seed: u64, count: usize, held_out: bool) -> Vec<Pair> {
    (0..count as u64).map(|index| pair(seed, index, held_out)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use time::Month;

    #[test]
    fn forms_say_what_they_mean() {
        let date = Date::from_calendar_date(2021, Month::May, 3).unwrap();
        assert_eq!(write("{W}, {M} {d}{o}, {y}", &ENGLISH, date), "Monday, May 3rd, 2021");
        assert_eq!(write("{dd}.{mm}.{yy}", &GERMAN, date), "03.05.21");
        assert_eq!(iso(date), "2021-05-03");
        let ordinal = |day| write("{d}{o}", &ENGLISH, Date::from_calendar_date(2021, Month::May, day).unwrap());
        assert_eq!([1, 2, 3, 4, 11, 12, 13, 21, 22, 30].map(ordinal).join(" "), "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 30th");
    }

    #[test]
    fn days_that_are_held_out_are_not_learnt() {
        let days = |held_out| -> HashSet<String> { pairs(1, 5000, held_out).into_iter().map(|p| p.target).collect() };
        let (learnt, held_out) = (days(false), days(true));
        assert!(learnt.is_disjoint(&held_out) && held_out.len() > 3000);
        assert_eq!(pairs(1, 9, true), pairs(1, 9, true));
        assert_ne!(pairs(1, 9, true), pairs(2, 9, true));
        let part = DAYS.filter(|d| is_held_out(*d)).count() as f64 / DAYS.count() as f64;
        assert!((0.15..0.25).contains(&part), "{part}");
    }
}
