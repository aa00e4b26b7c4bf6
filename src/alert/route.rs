//! Routes: which receivers get which alerts.
//!
//! Every route that matches counts, and a receiver gets an alert once however many lead to it.
//! Where a label of an alert has several values, one that matches is enough: nobody who is
//! concerned is left out.

use super::labels::Labels;

/// Receivers and the routes to them.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    receivers: Vec<Target>,
    routes: Vec<Route>,
}

/// A receiver as the manager knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    /// Takes several alerts in one message.
    pub groups: bool,
}

/// Labels that an alert must have, and where it goes then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub labels: Vec<(String, String)>,
    pub receiver: String,
}

// === impl Routes ===

impl Routes {
    /// Without any route everything goes to every receiver.
    pub fn new(receivers: Vec<Target>, mut routes: Vec<Route>) -> Routes {
        if routes.is_empty() {
            let to = |target: &Target| Route {
                labels: Vec::new(),
                receiver: target.name.clone(),
            };
            routes = receivers.iter().map(to).collect();
        }
        Routes { receivers, routes }
    }

    pub fn all(&self) -> &[Target] {
        &self.receivers
    }

    /// Who gets an alert with these labels.
    pub fn receivers(&self, labels: &Labels) -> Vec<&Target> {
        let wanted = |target: &&Target| self.leads_to(labels, &target.name);
        self.receivers.iter().filter(wanted).collect()
    }

    pub fn leads_to(&self, labels: &Labels, receiver: &str) -> bool {
        self.routes
            .iter()
            .any(|route| route.receiver == receiver && route.matches(labels))
    }
}

// === impl Route ===

impl Route {
    fn matches(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|(name, value)| {
            let values = labels.get(name);
            values.is_some_and(|values| values.contains(value))
        })
    }
}
