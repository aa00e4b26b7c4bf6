//! What is due to whom: the schedule of firings, updates, reminders and ends.

use std::collections::BTreeMap;

use super::{Decision, Manager, Policy};
use crate::{
    alert::{
        history::Row,
        inhibit,
        labels::Labels,
        model::{Alert, Event, Item, Notification, Status, Told},
    },
    detect::Severity,
};

/// Something that a receiver is to be told at a time.
struct Due {
    at_ns: u64,
    event: Event,
    repeat: bool,
}

// === impl Policy ===

impl Policy {
    /// How long a new alert is held back. A cause is told at once: its symptoms are what waits.
    pub(super) fn hold_ns(&self, alert: &Alert) -> u64 {
        let wait_ns = match inhibit::is_cause(alert.incident.kind) {
            true => 0,
            false => self.group_wait_ns,
        };
        match alert.flapping {
            true => self.flap.hold_ns.max(wait_ns),
            false => wait_ns,
        }
    }

    /// What `receiver` is to be told next of `alert`, if nothing changes.
    fn due(&self, alert: &Alert, receiver: &str) -> Option<Due> {
        let due = |at_ns, event| {
            Some(Due {
                at_ns,
                event,
                repeat: false,
            })
        };
        let Some(told) = alert.told.get(receiver) else {
            // What was over before it was told is not told.
            let held = alert.opened_at_ns.saturating_add(self.hold_ns(alert));
            let wanted = alert.is_open() && alert.muted.is_none();
            return due(held, Event::Firing).filter(|_| wanted);
        };
        if told.event == Event::Resolved {
            return None;
        }
        if alert.status == Status::Resolved {
            return due(alert.resolved_at_ns.unwrap_or(0), Event::Resolved);
        }
        if alert.muted.is_some() {
            return None;
        }
        let worse_than = |severity: Severity| alert.incident.severity > severity;
        if worse_than(told.severity) {
            return due(alert.changed_at_ns, Event::Updated);
        }
        let acknowledged = alert.acknowledged.as_ref();
        if let Some(ack) = acknowledged.filter(|ack| !worse_than(ack.severity)) {
            let news = told.at_ns < ack.at_ns && told.event != Event::Acknowledged;
            return due(ack.at_ns, Event::Acknowledged).filter(|_| news);
        }
        if alert.version > told.version {
            let paced = told.at_ns.saturating_add(self.update_interval_ns);
            return due(alert.changed_at_ns.max(paced), Event::Updated);
        }
        Some(Due {
            at_ns: told.at_ns.saturating_add(self.repeat_interval_ns),
            event: Event::Firing,
            repeat: true,
        })
    }
}

// === impl Manager ===

impl Manager {
    pub(super) fn notify(&mut self, now_ns: u64, decision: &mut Decision) {
        let mut notifications = Vec::new();
        for receiver in self.policy.routes.all() {
            let mut groups: BTreeMap<Labels, Vec<(Due, &Alert)>> = BTreeMap::new();
            for alert in self.state.alerts.values() {
                // Cheap first: most of what is remembered is over and told.
                let Some(due) = self.policy.due(alert, &receiver.name) else {
                    continue;
                };
                let labels = self.labels(&alert.incident);
                let routed = self.policy.routes.leads_to(&labels, &receiver.name);
                // Whoever was told of it hears the end, whatever the routes say by now.
                if !routed && alert.is_open() {
                    continue;
                }
                let group = match receiver.groups {
                    true => grouped(&labels, &self.policy.group_by),
                    false => alert.identity.clone(),
                };
                groups.entry(group).or_default().push((due, alert));
            }
            for (group, members) in groups {
                if !members.iter().any(|(due, _)| due.at_ns <= now_ns) {
                    continue;
                }
                // What is nearly due goes along, so that one incident is one message.
                let soon = now_ns.saturating_add(self.policy.group_wait_ns);
                let along = |due: &Due| due.at_ns <= if receiver.groups { soon } else { now_ns };
                let mut items: Vec<Item> = members
                    .into_iter()
                    .filter(|(due, _)| along(due))
                    .map(|(due, alert)| Item {
                        event: due.event,
                        repeat: due.repeat,
                        alert: alert.clone(),
                    })
                    .collect();
                items.sort_by_key(|item| {
                    std::cmp::Reverse((item.event, item.alert.incident.severity))
                });
                if receiver.groups {
                    notifications.push(notification(&receiver.name, group, items));
                } else {
                    let alone = items
                        .into_iter()
                        .map(|item| notification(&receiver.name, group.clone(), vec![item]));
                    notifications.extend(alone);
                }
            }
        }
        for notification in &mut notifications {
            for item in &mut notification.alerts {
                let Some(alert) = self.state.alerts.get_mut(&item.alert.id) else {
                    continue;
                };
                record(alert, &notification.receiver, item, now_ns, decision);
                item.alert = alert.clone();
            }
        }
        decision.notifications.extend(notifications);
    }
}

/// Notes in the alert what its receiver is told now.
fn record(alert: &mut Alert, receiver: &str, item: &Item, now_ns: u64, decision: &mut Decision) {
    if alert.status == Status::Pending && item.event == Event::Firing {
        alert.status = Status::Firing;
        decision.rows.push(Row::of(alert, "firing", "", now_ns));
    }
    let repeats = alert.told.get(receiver).map_or(0, |told| told.repeats);
    let told = Told {
        event: item.event,
        version: alert.version,
        at_ns: now_ns,
        repeats: repeats + u32::from(item.repeat),
        severity: alert.incident.severity,
    };
    alert.told.insert(receiver.to_owned(), told);
    decision
        .alerts
        .insert(alert.id.clone(), Some(alert.clone()));
}

fn grouped(labels: &Labels, by: &[String]) -> Labels {
    let picked = by
        .iter()
        .filter_map(|name| Some((name.clone(), labels.get(name)?.clone())));
    picked.collect()
}

fn notification(receiver: &str, group: Labels, items: Vec<Item>) -> Notification {
    let ids: Vec<String> = items
        .iter()
        .map(|item| message_id(item, receiver))
        .collect();
    let id = match ids.as_slice() {
        [one] => one.clone(),
        many => {
            let hash = twox_hash::XxHash3_64::oneshot(many.join(" ").as_bytes());
            format!("lw_group_{hash:016x}")
        }
    };
    Notification {
        id,
        receiver: receiver.to_owned(),
        group,
        alerts: items,
    }
}

/// `lw_<alert>_updated_2`: the same on every replica that saw the same.
fn message_id(item: &Item, receiver: &str) -> String {
    let (id, event) = (&item.alert.id, item.event.as_str());
    match item.event {
        Event::Firing if item.repeat => {
            let repeats = item.alert.told.get(receiver).map_or(0, |told| told.repeats);
            format!("lw_{id}_reminder_{}", repeats + 1)
        }
        Event::Updated => format!("lw_{id}_{event}_{}", item.alert.version),
        _ => format!("lw_{id}_{event}"),
    }
}
