//! The effective configuration as YAML, secrets hidden, each changed value with its origin.

use super::{Config, Origin, layers::Setting, value::Kind};

/// Prints what is in force; the result is a valid configuration file (but for the secrets).
pub fn effective(config: &Config) -> String {
    let mut out = String::new();
    let mut open: Vec<&str> = Vec::new();
    let mut data_dir = None;
    let settings = config
        .settings
        .iter()
        .map(|(path, setting)| (path.as_str(), setting));
    if !config.settings.contains_key("data_dir") {
        data_dir = Some(format!(
            "data_dir: {}  # default\n",
            config.data_dir.display()
        ));
    }
    out.push_str(data_dir.as_deref().unwrap_or(""));
    for (path, setting) in settings {
        if setting.origin == Origin::Default && setting.text.is_empty() {
            continue;
        }
        let mut steps: Vec<&str> = path.split('.').collect();
        let Some(leaf) = steps.pop() else { continue };
        let shared = steps.iter().zip(&open).take_while(|(a, b)| a == b).count();
        let mut in_new_element = false;
        for (depth, step) in steps.iter().enumerate().skip(shared) {
            if step.parse::<usize>().is_ok() {
                out.push_str(&format!("{}- ", "  ".repeat(depth)));
                in_new_element = true;
            } else {
                out.push_str(&format!("{}{step}:\n", "  ".repeat(depth)));
                in_new_element = false;
            }
        }
        let indent = if in_new_element {
            String::new()
        } else {
            "  ".repeat(steps.len())
        };
        out.push_str(&format!(
            "{indent}{leaf}: {}{}\n",
            shown(path, setting),
            origin(&setting.origin)
        ));
        open = steps;
    }
    out
}

fn shown(path: &str, setting: &Setting) -> String {
    let quoted = |text: &str| {
        serde_json::to_string(text)
            .unwrap_or_default()
            .replace('$', "$$")
    };
    match setting.kind {
        Kind::Secret => "\"(secret)\"".to_owned(),
        Kind::Texts => {
            let items: Vec<String> = setting.items.iter().map(|item| quoted(item)).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::TextMap if path.starts_with("forward.") => {
            // Headers hold tokens.
            let names = setting.items.iter().filter_map(|item| item.split_once('='));
            let pairs: Vec<String> = names
                .map(|(name, _)| format!("{}: \"(secret)\"", quoted(name)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Kind::TextMap => {
            let pairs = setting.items.iter().filter_map(|item| item.split_once('='));
            let pairs: Vec<String> = pairs
                .map(|(k, v)| format!("{}: {}", quoted(k), quoted(v)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        // Whoever has a webhook's path can post to it.
        Kind::Url if path.starts_with("alerts.receivers.") => quoted(&host_only(&setting.text)),
        Kind::Url => quoted(&without_userinfo(&setting.text)),
        Kind::Text | Kind::Path | Kind::SecretFile | Kind::Address => quoted(&setting.text),
        _ => setting.text.clone(),
    }
}

/// `https://user:password@host` without the password.
fn without_userinfo(url: &str) -> String {
    match url
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?)))
    {
        Some((scheme, (_, host))) => format!("{scheme}://(secret)@{host}"),
        None => url.to_owned(),
    }
}

/// `https://hooks.example/(secret)`.
fn host_only(url: &str) -> String {
    let url = without_userinfo(url);
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.split('/').next().unwrap_or(rest);
            format!("{scheme}://{host}/(secret)")
        }
        None => "(secret)".to_owned(),
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Default => String::new(),
        Origin::File(at) => format!("  # line {}", at.line),
        Origin::Environment(name) => format!("  # ${name}"),
    }
}
