//! Our own webhook: the payload as it is.

use super::Told;

pub(super) fn body(told: &Told<'_>) -> String {
    serde_json::to_string(&told.payload).unwrap_or_default()
}
