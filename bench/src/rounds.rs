//! Product and baseline in turns, and what came of it: medians, and how far the rounds lie apart.

use crate::closed_loop::Measured;
use std::time::Duration;

/// The rounds of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<Measured>);

impl Rounds {
    pub(crate) fn push(&mut self, measured: Measured) {
        self.0.push(measured);
    }

    pub(crate) fn per_second(&self) -> f64 {
        median(self.0.iter().map(|round| round.per_second))
    }

    pub(crate) fn p50_ms(&self) -> f64 {
        median(self.0.iter().map(|round| ms(round.p50)))
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        median(self.0.iter().map(|round| ms(round.p99)))
    }
}

/// Product and baseline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compared {
    pub(crate) product: Rounds,
    pub(crate) baseline: Rounds,
}

impl Compared {
    /// The ratio of the rates: the median of the rounds, each beside its own neighbour in time.
    pub(crate) fn ratio(&self) -> f64 {
        median(self.ratios())
    }

    /// The smallest and the largest ratio of the rounds.
    pub(crate) fn spread(&self) -> (f64, f64) {
        self.ratios().fold((f64::INFINITY, 0.0), |(low, high), ratio| (low.min(ratio), high.max(ratio)))
    }

    /// The ratio of the p50s, in the same way.
    pub(crate) fn p50_ratio(&self) -> f64 {
        let neighbours = self.product.0.iter().zip(&self.baseline.0);
        median(neighbours.map(|(product, baseline)| ms(product.p50) / ms(baseline.p50)))
    }

    fn ratios(&self) -> impl Iterator<Item = f64> {
        self.product.0.iter().zip(&self.baseline.0).map(|(product, baseline)| product.per_second / baseline.per_second)
    }
}

/// The one in the middle; 0 of none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values = values.collect::<Vec<_>>();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rates: [f64; 3]) -> Rounds {
        let measured = |per_second| Measured { per_second, p50: Duration::ZERO, p99: Duration::ZERO };
        Rounds(rates.map(measured).into())
    }

    #[test]
    fn a_round_is_compared_with_its_neighbour() {
        let compared = Compared { product: rounds([10.0, 40.0, 30.0]), baseline: rounds([20.0, 40.0, 100.0]) };
        assert_eq!((compared.ratio(), compared.spread()), (0.5, (0.3, 1.0)));
    }
}
