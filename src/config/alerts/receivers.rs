//! Who gets alerts and how, with the secrets read.

use std::time::Duration;

use crate::{
    alert::{
        deliver::sign,
        options::{Email, MailTls, Receiver, Via},
        render,
    },
    config::{Reader, keys::KEYS, value},
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

impl Reader<'_> {
    pub(super) fn receivers(&mut self) -> Vec<Receiver> {
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
