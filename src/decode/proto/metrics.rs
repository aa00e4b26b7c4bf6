//! The data points of an `ExportMetricsServiceRequest`, counted.
//!
//! Metrics are not stored; the count is what the exporter is told it lost. Every kind of metric
//! keeps its points in field 1, so the kinds need not be told apart.

use super::super::Malformed;
use super::super::wire::{Fault, Reader};
use super::malformed;

/// `Metric`: gauge, sum, histogram, exponential histogram, summary.
const KINDS: [u32; 5] = [5, 7, 9, 10, 11];

/// Counts data points of any kind.
pub(in super::super) fn count_metric_points(body: &[u8]) -> Result<u64, Malformed> {
    let mut points = 0u64;
    // Request, ResourceMetrics, ScopeMetrics: the field that leads down from each.
    each(Reader::new(body), &[1], &mut |resource_metrics| {
        each(resource_metrics, &[2], &mut |scope_metrics| {
            each(scope_metrics, &[2], &mut |metric| {
                each(metric, &KINDS, &mut |data| {
                    each(data, &[1], &mut |_| {
                        points = points.saturating_add(1);
                        Ok(())
                    })
                })
            })
        })
    })
    .map_err(|fault| malformed(&fault, body))?;
    Ok(points)
}

/// Visits the messages under the given field numbers.
fn each<'a>(
    mut message: Reader<'a>,
    numbers: &[u32],
    visit: &mut dyn FnMut(Reader<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    while let Some(tag) = message.tag()? {
        if numbers.contains(&tag.number()) {
            visit(message.message(tag)?)?;
        } else {
            message.skip(tag)?;
        }
    }
    Ok(())
}
