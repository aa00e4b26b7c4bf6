//! The `alerts` section: receivers, routes and times, with their secrets read.

mod receivers;

use std::{collections::BTreeSet, time::Duration};

use jiff::tz::TimeZone;

use super::{Problem, Reader, report::Origin, value};
use crate::alert::{
    content::Bases,
    labels,
    maintenance::{self, Window},
    manager::Flap,
    matcher,
    options::{MailTls, Options, Retry, Via},
    route::Route,
};

/// What is allowed but hardly meant.
pub(super) fn warnings(options: &Options, warnings: &mut Vec<String>) {
    for receiver in &options.receivers {
        let name = &receiver.name;
        if matches!(&receiver.via, Via::Webhook { secrets, .. } if secrets.is_empty()) {
            warnings.push(format!(
                "`alerts.receivers.{name}.webhook` has no `secret_file`: its receiver cannot tell our messages from others"
            ));
        }
        let routed = options.routes.iter().any(|route| route.receiver == *name);
        if !options.routes.is_empty() && !routed {
            warnings.push(format!(
                "`alerts.receivers.{name}` gets nothing: no route leads to it"
            ));
        }
        if matches!(&receiver.via, Via::Email(mail) if mail.tls == MailTls::None && !mail.password.is_empty())
        {
            warnings.push(format!(
                "`alerts.receivers.{name}.email` sends its password in the open: use tls"
            ));
        }
    }
}

impl Reader<'_> {
    pub(super) fn alerts(&mut self) -> Options {
        Options {
            receivers: self.receivers(),
            routes: self.routes(),
            group_by: self.group_by(),
            group_wait: self.duration("alerts.group_wait"),
            update_interval: self.duration("alerts.update_interval"),
            repeat_interval: self.duration("alerts.repeat_interval"),
            flap: Flap {
                openings: value::count(self.text("alerts.flapping.openings")).unwrap_or(3),
                window_ns: nanos(self.duration("alerts.flapping.window")),
                hold_ns: nanos(self.duration("alerts.flapping.hold")),
            },
            windows: self.windows(),
            silences_file: self.path("alerts.silences_file"),
            runbooks_file: self.path("alerts.runbooks_file"),
            bases: self.bases(),
            retry: Retry {
                min: self.duration("alerts.delivery.retry_min"),
                max: self.duration("alerts.delivery.retry_max"),
                give_up_after: self.duration("alerts.delivery.give_up_after"),
            },
        }
    }

    /// Says what is wrong with a setting, or with a section when it has none.
    pub(super) fn wrong(&mut self, path: &str, text: impl Into<String>) {
        let below = format!("{path}.");
        let found = self.settings.get(path).or_else(|| {
            let mut below = self
                .settings
                .iter()
                .filter(|(key, _)| key.starts_with(&below));
            below.next().map(|(_, setting)| setting)
        });
        self.problems.push(Problem {
            origin: found.map_or(Origin::Default, |s| s.origin.clone()),
            key: path.to_owned(),
            text: text.into(),
        });
    }

    /// The names that stand between `prefix` and the rest of a path.
    fn names(&self, prefix: &str) -> BTreeSet<String> {
        let paths = self
            .settings
            .keys()
            .filter_map(|path| path.strip_prefix(prefix));
        paths
            .filter_map(|rest| rest.split('.').next())
            .map(str::to_owned)
            .collect()
    }

    fn routes(&mut self) -> Vec<Route> {
        let mut routes = Vec::new();
        for at in self.positions("alerts.routes.") {
            let path = format!("{at}.match");
            let receiver = self.text(&format!("{at}.receiver")).to_owned();
            if receiver.is_empty() {
                self.wrong(&at, "needs `receiver`");
            }
            let pairs: Vec<(String, String)> = self
                .items(&path)
                .iter()
                .filter_map(|item| item.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            for (name, value) in &pairs {
                if let Err(what) = labels::check(name, value) {
                    let key = if what.starts_with("asks") {
                        path.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    let origin = self
                        .setting(&path)
                        .map_or(Origin::Default, |s| s.origin.clone());
                    self.problems.push(Problem {
                        origin,
                        key,
                        text: what,
                    });
                }
            }
            routes.push(Route {
                labels: pairs,
                receiver,
            });
        }
        routes
    }

    /// The elements of a list, in their order.
    fn positions(&self, prefix: &str) -> Vec<String> {
        let mut numbers: Vec<usize> = self
            .names(prefix)
            .iter()
            .filter_map(|n| n.parse().ok())
            .collect();
        numbers.sort_unstable();
        numbers.iter().map(|n| format!("{prefix}{n}")).collect()
    }

    fn group_by(&mut self) -> Vec<String> {
        let names = self.items("alerts.group_by");
        for name in &names {
            if let Err(what) = labels::known_name(name) {
                self.wrong("alerts.group_by", what);
            }
        }
        match names.is_empty() {
            true => Options::default().group_by,
            false => names,
        }
    }

    fn windows(&mut self) -> Vec<Window> {
        let positions = self.positions("alerts.maintenance.");
        positions.iter().filter_map(|at| self.window(at)).collect()
    }

    fn window(&mut self, at: &str) -> Option<Window> {
        let text = |reader: &Self, name: &str| reader.text(&format!("{at}.{name}")).to_owned();
        let matchers = self.items(&format!("{at}.matchers"));
        let matchers: Result<Vec<_>, _> = matchers
            .iter()
            .map(|m| matcher::Matcher::parse(m))
            .collect();
        let matchers = matchers
            .map_err(|e| self.wrong(&format!("{at}.matchers"), e.to_string()))
            .ok()?;
        let days = self.items(&format!("{at}.days"));
        let days: Option<Vec<_>> = days.iter().map(|day| maintenance::weekday(day)).collect();
        let Some(days) = days else {
            self.wrong(
                &format!("{at}.days"),
                "must be days as mon, tue, wed, thu, fri, sat, sun",
            );
            return None;
        };
        let mut time = |name: &str| {
            let time = maintenance::time(&text(self, name));
            if time.is_none() {
                self.wrong(
                    at,
                    format!("needs `{name}` as a time of day, such as 22:00"),
                );
            }
            time
        };
        let (from, to) = (time("from")?, time("to")?);
        let zone = text(self, "timezone");
        let zone = match zone.is_empty() {
            true => TimeZone::UTC,
            false => {
                match TimeZone::get(&zone) {
                    Ok(zone) => zone,
                    Err(_) => {
                        self.wrong(&format!("{at}.timezone"), format!("is {zone:?}, which is no time zone here: write Europe/Berlin or UTC"));
                        return None;
                    }
                }
            }
        };
        let name = text(self, "name");
        Some(Window {
            name: if name.is_empty() {
                at.rsplit('.').next().unwrap_or_default().to_owned()
            } else {
                name
            },
            matchers,
            days,
            from,
            to,
            zone,
        })
    }

    fn bases(&mut self) -> Bases {
        let text = |name: &str| {
            let url = self.text(&format!("alerts.links.{name}"));
            url.trim_end_matches('/').to_owned()
        };
        let (dashboard, trace, runbook, admin) = (
            text("dashboard"),
            text("trace"),
            text("runbook"),
            text("admin"),
        );
        if !trace.is_empty() && !trace.contains("{trace_id}") {
            self.wrong(
                "alerts.links.trace",
                "must have {trace_id} where the id belongs",
            );
        }
        let admin = match admin.is_empty() {
            true => format!("http://{}", self.text("admin.listen")),
            false => admin,
        };
        Bases {
            dashboard,
            trace,
            runbook: if runbook.is_empty() {
                format!("{admin}/runbook")
            } else {
                runbook
            },
            admin,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
