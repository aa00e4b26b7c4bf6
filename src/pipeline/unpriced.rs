//! Which models have no price, and how many calls they answered: what to add to a price file.
//!
//! Model names come from outside, so the list is bounded; calls beyond it are counted together.

use crate::call::{Call, Cost, CostStatus};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Models that are told apart.
const MODELS_MAX: usize = 100;
/// Bytes of a name that are kept.
const NAME_BYTES_MAX: usize = 128;
/// Stands for the models beyond the list.
const OTHER: &str = "_other";

/// Calls without a price, by provider and model.
#[derive(Debug, Default)]
pub struct Unpriced(Mutex<BTreeMap<(String, String), u64>>);

// === impl Unpriced ===

impl Unpriced {
    /// Counts the call if it has tokens and no price.
    pub fn see(&self, call: &Call<'_>, cost: &Cost) {
        if !matches!(cost.status, CostStatus::NoPrice | CostStatus::Reported) {
            return;
        }
        let model = match call.response_model {
            "" => call.request_model,
            model => model,
        };
        let short = |name: &str| {
            let end = name.floor_char_boundary(NAME_BYTES_MAX);
            name.get(..end).unwrap_or("").to_owned()
        };
        let mut models = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let mut key = (short(call.provider), short(model));
        if models.len() >= MODELS_MAX && !models.contains_key(&key) {
            key = (OTHER.to_owned(), OTHER.to_owned());
        }
        *models.entry(key).or_default() += 1;
    }

    /// Provider, model and calls.
    pub fn list(&self) -> Vec<(String, String, u64)> {
        let models = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let rows = models.iter();
        rows.map(|((p, m), n)| (p.clone(), m.clone(), *n)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_without_a_price_are_counted_and_the_list_is_bounded() {
        let unpriced = Unpriced::default();
        let cost = |status| Cost {
            status,
            ..Cost::default()
        };
        for number in 0..2 * MODELS_MAX {
            let model = format!("model-{number:04}");
            let call = Call {
                provider: "acme",
                response_model: &model,
                ..Call::default()
            };
            unpriced.see(&call, &cost(CostStatus::NoPrice));
            unpriced.see(&call, &cost(CostStatus::Priced));
        }
        let list = unpriced.list();
        assert_eq!(list.len(), MODELS_MAX + 1);
        assert!(list.contains(&(OTHER.to_owned(), OTHER.to_owned(), MODELS_MAX as u64)));
        assert!(list.contains(&("acme".to_owned(), "model-0000".to_owned(), 1)));
    }
}
