//! Latencies in buckets: bounded memory, values within two percent.

/// How often each latency was seen. Buckets are 64 to the octave of nanoseconds.
#[derive(Clone)]
pub(crate) struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;
const BUCKETS: usize = 59 * 64;

impl Latencies {
    pub(crate) fn new() -> Latencies {
        Latencies { counts: vec![0; BUCKETS], total: 0 }
    }

    pub(crate) fn record(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.total += 1;
    }

    pub(crate) fn add(&mut self, other: &Latencies) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The latency in µs that `share` (0 to 1) of the operations stayed under; 0 when none was seen.
    pub(crate) fn quantile_us(&self, share: f64) -> f64 {
        let wanted = share * self.total as f64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen as f64 >= wanted {
                return lower_bound(index) as f64 / 1000.0;
            }
        }
        0.0
    }
}

fn bucket(ns: u64) -> usize {
    let index = match ns.checked_ilog2() {
        // The six bits after the leading one tell the bucket within an octave.
        Some(octave) if octave >= SUB_BITS => {
            u64::from(octave - SUB_BITS + 1) * SUB + ((ns >> (octave - SUB_BITS)) - SUB)
        }
        _ => ns,
    };
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

fn lower_bound(index: usize) -> u64 {
    let index = index as u64;
    match index / SUB {
        0 => index,
        octave => (SUB + index % SUB) << (octave - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_within_two_percent_of_its_lower_bound() {
        for ns in [0, 1, 63, 64, 65, 127, 128, 1_000, 54_321, 9_999_999_999, u64::MAX] {
            let low = lower_bound(bucket(ns));
            assert!(low <= ns && ns - low <= ns / 50, "{ns} counted as {low}");
        }
    }

    #[test]
    fn quantiles_are_counted_over_all_that_was_added() {
        let (mut fast, mut slow) = (Latencies::new(), Latencies::new());
        (0..99).for_each(|_| fast.record(32_000));
        slow.record(1 << 20);
        fast.add(&slow);
        assert_eq!(fast.quantile_us(0.5), 32.0);
        assert_eq!(fast.quantile_us(0.99), 32.0);
        assert_eq!(fast.quantile_us(1.0), 1048.576);
        assert_eq!(Latencies::new().quantile_us(0.5), 0.0);
    }
}
