//! Counters and gauges by label. All series exist from the start and stand in one order: a map of series, as the
//! library has it, would hash, lock, and be in another order at each run.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A closed set of label values.
pub trait Labels: Copy + fmt::Debug + Send + Sync + 'static {
    /// All of them, each at its [`Labels::index`].
    fn all() -> Vec<Self>;

    fn index(self) -> usize;

    /// Names and values as they stand in the exposition.
    fn pairs(self) -> Vec<(&'static str, &'static str)>;
}

/// One metric for each value of `L`. Clones are the same metrics.
#[derive(Debug)]
pub struct By<L, M> {
    metrics: Arc<[M]>,
    labels: PhantomData<L>,
}

impl<L, M> Clone for By<L, M> {
    fn clone(&self) -> Self {
        Self { metrics: Arc::clone(&self.metrics), labels: PhantomData }
    }
}

impl<L: Labels, M: Default> Default for By<L, M> {
    fn default() -> Self {
        Self { metrics: L::all().iter().map(|_| M::default()).collect(), labels: PhantomData }
    }
}

impl<L: Labels> By<L, Counter> {
    /// Counts one.
    pub fn count(&self, label: L) {
        self.metrics[label.index()].inc();
    }

    pub fn get(&self, label: L) -> u64 {
        self.metrics[label.index()].get()
    }
}

impl<L: Labels> By<L, Gauge> {
    pub fn gauge(&self, label: L) -> &Gauge {
        &self.metrics[label.index()]
    }
}

impl<L: Labels, M: EncodeMetric> EncodeMetric for By<L, M>
where
    M: Default,
{
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for label in L::all() {
            let pairs = label.pairs();
            self.metrics[label.index()].encode(encoder.encode_family(&pairs)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::default().metric_type()
    }
}
