//! The `alerts` section: receivers, routes and times, with their secrets read.

use std::{collections::BTreeSet, time::Duration};

use jiff::tz::TimeZone;

use super::{Problem, Reader, keys::KEYS, report::Origin, value};
use crate::alert::{
    content::Bases,
    deliver::sign,
    labels,
    maintenance::{self, Window},
    manager::Flap,
    matcher,
    options::{Email, MailTls, Options, Receiver, Retry, Via},
    render,
    route::Route,
};

/// Names of receivers stand in logs, lists and paths.
const NAME_CHARS_MAX: usize = 60;
/// Receivers by the key below their name.
const KINDS: [&str; 8] = [
    "webhook",
    "alertmanager_webhook",
    "alertmanager",
    "slack",
    "pagerduty",
    "teams",
    "json",
    "email",
];

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

    fn receivers(&mut self) -> Vec<Receiver> {
        let names = self.names("alerts.receivers.");
        names
            .iter()
            .filter_map(|name| self.receiver(name))
            .collect()
    }

    fn receiver(&mut self, name: &str) -> Option<Receiver> {
        let base = format!("alerts.receivers.{name}");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let kinds = self.names(&format!("{base}."));
        let kinds: Vec<&str> = KINDS
            .into_iter()
            .filter(|kind| kinds.contains(*kind))
            .collect();
        if !name.chars().all(plain) || name.len() > NAME_CHARS_MAX || kinds.is_empty() {
            self.wrong(&base, "must be named with letters, digits, `-` and `_`");
            return None;
        }
        if kinds.len() > 1 {
            self.wrong(
                &base,
                format!(
                    "is several receivers in one ({}): give each its own name",
                    kinds.join(", ")
                ),
            );
            return None;
        }
        let kind = kinds.first()?;
        let at = format!("{base}.{kind}");
        let via = match *kind {
            "email" => Via::Email(self.email(&at)?),
            kind => self.over_http(kind, &at)?,
        };
        Some(Receiver {
            name: name.to_owned(),
            via,
            timeout: value::duration(&self.or_default(&at, "timeout"))
                .unwrap_or(Duration::from_secs(15)),
            allow_private_addresses: self.or_default(&at, "allow_private_addresses") == "true",
        })
    }

    fn over_http(&mut self, kind: &str, at: &str) -> Option<Via> {
        let url = self.url(at)?;
        let bearer = self.optional_secret(at, "bearer_token_file");
        Some(match kind {
            "webhook" => {
                let text = self.optional_secret(at, "secret_file");
                let secrets = text.map_or(Ok(Vec::new()), |text| sign::secrets(&text));
                match secrets {
                    Ok(secrets) => Via::Webhook { url, secrets },
                    Err(what) => {
                        self.wrong(&format!("{at}.secret_file"), what);
                        return None;
                    }
                }
            }
            "alertmanager_webhook" => Via::AlertmanagerWebhook { url, bearer },
            "alertmanager" => Via::Alertmanager { url, bearer },
            "slack" => Via::Slack { url },
            "teams" => Via::Teams { url },
            "pagerduty" => match self.optional_secret(at, "routing_key_file") {
                Some(routing_key) => Via::PagerDuty { url, routing_key },
                None => {
                    self.wrong(
                        at,
                        "needs `routing_key_file`, with the integration key of Events v2",
                    );
                    return None;
                }
            },
            _ => Via::Json {
                url,
                bearer,
                template: self.template(at)?,
            },
        })
    }

    fn template(&mut self, at: &str) -> Option<serde_json::Value> {
        let path = format!("{at}.template_file");
        let Some(file) = self.path(&path) else {
            self.wrong(at, "needs `template_file`, a JSON document");
            return None;
        };
        let text = std::fs::read_to_string(&file)
            .map_err(|e| format!("cannot be read: {}: {e}", file.display()));
        let template =
            text.and_then(|text| render::check_template(&text).map_err(|e| e.to_string()));
        template.map_err(|what| self.wrong(&path, what)).ok()
    }

    fn email(&mut self, at: &str) -> Option<Email> {
        let server = self.text(&format!("{at}.server")).to_owned();
        let split = server
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        let from = self.text(&format!("{at}.from")).to_owned();
        let to = self.items(&format!("{at}.to"));
        let Some((host, port)) = split.filter(|(host, _)| !host.is_empty()) else {
            self.wrong(
                &format!("{at}.server"),
                "must name host and port, such as smtp.example.com:587",
            );
            return None;
        };
        if to.is_empty() {
            self.wrong(at, "needs `to`, a list of addresses");
            return None;
        }
        if let Some(bad) = to
            .iter()
            .chain([&from])
            .find(|address| !is_mail_address(address))
        {
            let text =
                format!("has {bad:?}, which is no address: write from and to as ann@example.com");
            self.wrong(at, text);
            return None;
        }
        Some(Email {
            host,
            port,
            tls: match self.or_default(at, "tls").as_str() {
                "implicit" => MailTls::Implicit,
                "none" => MailTls::None,
                _ => MailTls::StartTls,
            },
            user: self.text(&format!("{at}.user")).to_owned(),
            password: self
                .optional_secret(at, "password_file")
                .unwrap_or_default(),
            from,
            to,
        })
    }

    fn url(&mut self, at: &str) -> Option<String> {
        let (in_file, path) = (
            self.optional_secret(at, "url_file"),
            format!("{at}.url_file"),
        );
        let url = self.or_default(at, "url");
        match (in_file, url.is_empty()) {
            (Some(url), true) => match value::Kind::Url.check(&url) {
                Ok(()) => Some(url),
                Err(what) => {
                    self.wrong(&path, what);
                    None
                }
            },
            (None, false) => Some(url),
            (Some(_), false) => {
                self.wrong(at, "has both `url` and `url_file`: keep one");
                None
            }
            (None, true) => {
                // A file that cannot be read has been reported already.
                if self.setting(&path).is_none() {
                    self.wrong(at, "needs `url`");
                }
                None
            }
        }
    }

    fn optional_secret(&mut self, at: &str, name: &str) -> Option<String> {
        let path = format!("{at}.{name}");
        let text = self.secret_file(&path)?.trim().to_owned();
        if text.is_empty() {
            self.wrong(&path, "names an empty file");
            return None;
        }
        Some(text)
    }

    /// A value below a name of the user's, or the default of its key.
    fn or_default(&self, at: &str, name: &str) -> String {
        if let Some(setting) = self.setting(&format!("{at}.{name}")) {
            return setting.text.clone();
        }
        let kind = at.rsplit('.').next().unwrap_or_default();
        let path = format!("alerts.receivers.*.{kind}.{name}");
        let key = KEYS.iter().find(|key| key.path == path);
        key.and_then(|key| key.default)
            .unwrap_or_default()
            .to_owned()
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

/// Enough to keep commands and line ends out of the conversation with a mail server.
fn is_mail_address(text: &str) -> bool {
    let plain = |c: char| {
        c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | ',' | ';' | '(' | ')' | '\\')
    };
    let parts: Vec<&str> = text.split('@').collect();
    parts.len() == 2
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.chars().all(plain))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
