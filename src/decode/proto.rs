//! OTLP messages in the binary encoding, as views.

use bumpalo::Bump;

use super::{Logs, Malformed, Traces};

pub(super) fn traces<'a>(_body: &'a [u8], _arena: &'a Bump) -> Result<Traces<'a>, Malformed> {
    Ok(Traces::default())
}

pub(super) fn logs<'a>(_body: &'a [u8], _arena: &'a Bump) -> Result<Logs<'a>, Malformed> {
    Ok(Logs::default())
}

pub(super) fn count_metric_points(_body: &[u8]) -> Result<u64, Malformed> {
    Ok(0)
}
