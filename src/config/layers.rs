//! Layers: defaults, then the file, then the environment, checked against the list of keys.
//!
//! The result is flat: dotted path to text and origin. What is wrong is collected, not thrown, so
//! that a user mends a file once.

use std::collections::BTreeMap;

use super::{
    keys::{KEYS, Key, fixed, variable},
    report::{At, Origin, Problem, nearest},
    value::Kind,
    yaml::{Node, Value},
};

/// A value and where it came from.
#[derive(Clone, PartialEq)]
pub struct Setting {
    pub text: String,
    /// Elements of a list; `name=text` of a map.
    pub items: Vec<String>,
    pub origin: Origin,
    pub kind: Kind,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // URLs may hold a password or be a secret as a whole (webhooks).
        match self.kind {
            Kind::Secret | Kind::Url => write!(f, "(hidden) from {:?}", self.origin),
            _ => write!(f, "{:?}{:?} from {:?}", self.text, self.items, self.origin),
        }
    }
}

/// All values by path; names and list positions of the user's are part of it
/// (`alerts.receivers.oncall.webhook.url`, `alerts.routes.0.receiver`).
pub type Settings = BTreeMap<String, Setting>;

/// The prefix of our variables.
const PREFIX: &str = "LAPWING_";
/// A short name of a key that is often set from outside, as `RUST_LOG` is.
const SHORT_NAME: (&str, &str) = ("LAPWING_LOG", "telemetry.log_level");
/// Variables with the prefix that are no keys: ours, the tests', and those that Kubernetes sets for
/// a service called lapwing.
const OTHER_VARIABLES: [&str; 5] = [
    "LAPWING_CONFIG",
    "LAPWING_CACHE_DIR",
    "LAPWING_TEST_",
    "LAPWING_PORT",
    "LAPWING_SERVICE_",
];

/// The defaults of the keys that have one.
pub fn defaults() -> Settings {
    fixed()
        .filter_map(|key| {
            let text = key.default?;
            let setting = Setting {
                text: text.to_owned(),
                items: items(key.kind, text),
                origin: Origin::Default,
                kind: key.kind,
            };
            Some((key.path.to_owned(), setting))
        })
        .collect()
}

/// Lays the file over the settings.
pub fn file(root: &Node, settings: &mut Settings, problems: &mut Vec<Problem>) {
    Walk { settings, problems }.section(root, "", "");
}

/// Lays the environment over the settings; unknown variables of ours give a warning.
pub fn environment(
    variables: impl Iterator<Item = (String, String)>,
    settings: &mut Settings,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) {
    // An empty variable is as good as none.
    for (name, text) in variables.filter(|(name, v)| name.starts_with(PREFIX) && !v.is_empty()) {
        let sets = |path: &str| variable(path) == name || SHORT_NAME == (name.as_str(), path);
        let Some(key) = fixed().find(|key| sets(key.path)) else {
            if !OTHER_VARIABLES.iter().any(|other| name.starts_with(other)) {
                let names: Vec<String> = fixed().map(|key| variable(key.path)).collect();
                let hint = nearest(&name, names.iter().map(String::as_str))
                    .map_or(String::new(), |name| format!(", did you mean {name}?"));
                warnings.push(format!("environment variable {name} sets nothing{hint}"));
            }
            continue;
        };
        let origin = Origin::Environment(name);
        if let Err(text) = key.kind.check(&text) {
            problems.push(Problem {
                origin,
                key: key.path.to_owned(),
                text,
            });
            continue;
        }
        let items = items(key.kind, &text);
        settings.insert(
            key.path.to_owned(),
            Setting {
                text,
                items,
                origin,
                kind: key.kind,
            },
        );
    }
}

/// The elements of a list that is one text.
fn items(kind: Kind, text: &str) -> Vec<String> {
    let elements = text.split(',').map(|t| t.trim().to_owned());
    match kind {
        // Of a map: NAME=VALUE.
        Kind::Texts | Kind::TextMap => elements.filter(|t| !t.is_empty()).collect(),
        _ => Vec::new(),
    }
}

struct Walk<'s> {
    settings: &'s mut Settings,
    problems: &'s mut Vec<Problem>,
}

impl Walk<'_> {
    fn wrong(&mut self, at: At, path: &str, text: impl Into<String>) {
        self.problems.push(Problem::new(at, path, text));
    }

    /// `path` is what the user wrote, `pattern` the same with `*` for names and `[]` for positions.
    fn section(&mut self, node: &Node, path: &str, pattern: &str) {
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => return,
            _ => return self.wrong(node.at, path, "must have keys below it, not a value"),
        };
        for (name, child) in entries {
            let own = join(path, &name.text);
            let exact = join(pattern, &name.text);
            let named = join(pattern, "*");
            let list = format!("{exact}[]");
            if let Some(key) = leaf(&exact) {
                self.leaf(child, &own, key);
            } else if has_below(&list) {
                self.list(child, &own, &list);
            } else if has_below(&exact) {
                self.section(child, &own, &exact);
            } else if has_below(&named) {
                self.section(child, &own, &named);
            } else {
                let siblings = children(pattern);
                let text = match nearest(&name.text, siblings.iter().map(String::as_str)) {
                    Some(word) => format!("is not a key, did you mean `{}`?", join(path, word)),
                    None => format!("is not a key; here there are {}", siblings.join(", ")),
                };
                self.wrong(name.at, &own, text);
            }
        }
    }

    fn list(&mut self, node: &Node, path: &str, pattern: &str) {
        let Value::List(items) = &node.value else {
            return self.wrong(
                node.at,
                path,
                "must be a list: begin each element with `- `",
            );
        };
        for (position, item) in items.iter().enumerate() {
            self.section(item, &format!("{path}.{position}"), pattern);
        }
    }

    fn leaf(&mut self, node: &Node, path: &str, key: &Key) {
        let (text, items) = match (&node.value, key.kind) {
            (Value::Null, _) => return,
            (Value::Text(text), Kind::Texts) => (text.clone(), items(key.kind, text)),
            (Value::List(list), Kind::Texts) => {
                let Some(items) = list.iter().map(plain).collect() else {
                    return self.wrong(node.at, path, "must be a list of plain texts");
                };
                (String::new(), items)
            }
            (Value::Map(entries), Kind::TextMap) => {
                let pair = |(name, value): &(_, Node)| {
                    let name: &super::yaml::Name = name;
                    Some(format!("{}={}", name.text, plain(value)?))
                };
                // A pair left out would make a route match more than was written.
                let Some(items) = entries.iter().map(pair).collect() else {
                    return self.wrong(node.at, path, "must have one plain text for each name");
                };
                (String::new(), items)
            }
            (_, Kind::TextMap) => {
                return self.wrong(node.at, path, "must be a map, such as {severity: page}");
            }
            (Value::Text(text), _) => (text.clone(), Vec::new()),
            (Value::List(_), _) => {
                return self.wrong(node.at, path, "must be one value, not a list");
            }
            (Value::Map(entries), _) => {
                let first = entries.first().map_or("", |(name, _)| &name.text);
                let text = format!("must be a value, not a section (`{first}` stands below it)");
                return self.wrong(node.at, path, text);
            }
        };
        if let Err(text) = key.kind.check(&text) {
            // A text that could not be expanded has been reported already.
            if !text_is_missing(&node.value) || !self.reported(node.at) {
                self.wrong(node.at, path, text);
            }
            return;
        }
        let origin = Origin::File(node.at);
        self.settings.insert(
            path.to_owned(),
            Setting {
                text,
                items,
                origin,
                kind: key.kind,
            },
        );
    }

    fn reported(&self, at: At) -> bool {
        self.problems.iter().any(|p| p.origin == Origin::File(at))
    }
}

fn plain(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn text_is_missing(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.is_empty())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn leaf(pattern: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == pattern)
}

fn has_below(pattern: &str) -> bool {
    KEYS.iter().any(|key| {
        key.path
            .strip_prefix(pattern)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The names that may stand below a section, each once.
fn children(pattern: &str) -> Vec<String> {
    let prefix = if pattern.is_empty() {
        String::new()
    } else {
        format!("{pattern}.")
    };
    let mut names: Vec<String> = KEYS
        .iter()
        .filter_map(|key| key.path.strip_prefix(prefix.as_str()))
        .map(|rest| {
            rest.split('.')
                .next()
                .unwrap_or(rest)
                .trim_end_matches("[]")
                .to_owned()
        })
        .collect();
    names.dedup();
    names
}
