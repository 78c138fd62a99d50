//! Durations and ranges of durations as text: `"5.2s"`, `"300ms"`, `"5s..6s"`, `"0..5ms"`.

use std::fmt;

use trial_kafka::node::Nanos;

/// Longest duration that a scenario may name: 30 days.
pub const LONGEST: Nanos = 30 * 86_400 * 1_000_000_000;

const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration or virtual time of which only the bounds are known; both are included. `min <= max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationRange {
    /// Shortest.
    pub min: Nanos,
    /// Longest.
    pub max: Nanos,
}

impl DurationRange {
    /// A range of one value.
    pub fn exactly(duration: Nanos) -> Self {
        DurationRange { min: duration, max: duration }
    }

    /// Reads `"5s"` or `"5s..6s"`; the lower bound may leave its unit to the upper one, as in `"0..5ms"`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((low, high)) = text.split_once("..") else {
            return parse_duration(text).map(DurationRange::exactly);
        };
        let max = parse_duration(high)?;
        let low = low.trim();
        let has_unit = low.ends_with(|c: char| !c.is_ascii_digit());
        let min = if has_unit { parse_duration(low)? } else { parse_duration(&format!("{low}{}", unit_of(high)))? };
        if min > max {
            return Err(format!("the range {text:?} ends before it begins"));
        }
        Ok(DurationRange { min, max })
    }
}

impl fmt::Display for DurationRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_duration(self.min))?;
        if self.min == self.max { Ok(()) } else { write!(f, "..{}", show_duration(self.max)) }
    }
}

fn unit_of(text: &str) -> &str {
    let text = text.trim();
    &text[text.rfind(|c: char| c.is_ascii_digit() || c == '.').map_or(0, |at| at + 1)..]
}

/// Reads a duration: a decimal number and one of the units ns, us, ms, s, m, h. Exact: no floats are involved.
pub fn parse_duration(text: &str) -> Result<Nanos, String> {
    let text = text.trim();
    let wrong = || format!("{text:?} is not a duration such as \"5.2s\", \"300ms\" or \"250us\"");
    let unit = unit_of(text);
    let number = &text[..text.len() - unit.len()];
    let Some(&(_, scale)) = UNITS.iter().find(|(name, _)| *name == unit.trim()) else {
        return Err(wrong());
    };
    let number = number.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || number.ends_with('.') || !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let too_long = || format!("{text:?} is longer than 30 days");
    let whole: u64 = whole.parse().map_err(|_| too_long())?;
    let mut nanos = whole.checked_mul(scale).ok_or_else(too_long)?;
    let mut place = scale;
    for digit in fraction.bytes() {
        if place % 10 != 0 && digit != b'0' {
            return Err(format!("{text:?} is finer than a nanosecond"));
        }
        place /= 10;
        nanos = nanos.saturating_add(u64::from(digit - b'0') * place);
    }
    if nanos > LONGEST { Err(too_long()) } else { Ok(nanos) }
}

/// Writes a duration as [`parse_duration`] reads it: exact, in the largest unit up to seconds.
pub fn show_duration(duration: Nanos) -> String {
    let (unit, scale, places) = match duration {
        0 | 1_000_000_000.. => ("s", 1_000_000_000, 9),
        1_000_000.. => ("ms", 1_000_000, 6),
        1_000.. => ("us", 1_000, 3),
        _ => ("ns", 1, 0),
    };
    let fraction = format!("{:0places$}", duration % scale);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{}{dot}{fraction}{unit}", duration / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact_and_read_back() {
        for (text, nanos) in [
            ("5.2s", 5_200_000_000),
            ("300ms", 300_000_000),
            ("2m", 120_000_000_000),
            ("250us", 250_000),
            ("1.5 ms", 1_500_000),
            ("0s", 0),
            ("7ns", 7),
            ("0.1m", 6_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(nanos), "{text}");
            assert_eq!(parse_duration(&show_duration(nanos)), Ok(nanos), "{text}");
        }
        assert_eq!(show_duration(5_200_000_000), "5.2s");
        assert_eq!(show_duration(1_500_000), "1.5ms");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "+5s",
            "1e3s",
            "5.s",
            ".5s",
            "5 parsecs",
            "99999999999h",
            "31000h",
            "0.1ns",
            "5..s",
            "5µ",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ranges_may_leave_their_unit_to_the_upper_bound() {
        let range = DurationRange { min: 0, max: 5_000_000 };
        assert_eq!(DurationRange::parse("0..5ms"), Ok(range));
        assert_eq!(DurationRange::parse("0ms .. 5ms"), Ok(range));
        assert_eq!(DurationRange::parse(&range.to_string()), Ok(range));
        assert!(DurationRange::parse("6s..5s").is_err());
        assert!(DurationRange::parse("..5s").is_err());
        assert!(DurationRange::parse("1s..2s..3s").is_err());
    }
}
