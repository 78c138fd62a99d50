//! How sure is a share that was counted?

/// So many of so many, with the interval in which the true share lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proportion {
    /// So many.
    pub hits: u64,
    /// Of so many.
    pub of: u64,
    /// The share, from 0 to 1; 0 of none.
    pub share: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// The quantile of the normal distribution for 95 % confidence, on both sides.
const Z: f64 = 1.959_963_984_540_054;

impl Proportion {
    /// The share and its Wilson score interval (E. B. Wilson, 1927, without correction for continuity). Of nothing nothing is
    /// known: from 0 to 1.
    pub fn new(hits: u64, of: u64) -> Proportion {
        if of == 0 {
            return Proportion { hits, of, share: 0.0, low: 0.0, high: 1.0 };
        }
        // Counts of trials are far below 2^53.
        let (n, share) = (of as f64, hits as f64 / of as f64);
        let spread = Z * ((share * (1.0 - share) + Z * Z / (4.0 * n)) / n).sqrt();
        let (centre, scale) = (share + Z * Z / (2.0 * n), 1.0 + Z * Z / n);
        // At both ends the formula gives 0 and 1 but for rounding.
        let low = if hits == 0 { 0.0 } else { (centre - spread) / scale };
        let high = if hits == of { 1.0 } else { (centre + spread) / scale };
        Proportion { hits, of, share, low, high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_intervals() {
        // From the literature on interval estimation of a proportion (Newcombe 1998, table I, method 3).
        let known = [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
            (29, 29, 0.8830, 1.0),
        ];
        for (hits, of, low, high) in known {
            let it = Proportion::new(hits, of);
            assert!((it.low - low).abs() < 0.0001 && (it.high - high).abs() < 0.0001, "{it:?}");
        }
        assert_eq!((Proportion::new(0, 0).low, Proportion::new(0, 0).high), (0.0, 1.0));
    }
}
