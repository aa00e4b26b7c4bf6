//! Configurations and markup: what programs read and people write.

use super::{Seen, is_name_byte};

/// Tags of HTML and of components; tags that only structure a prompt are not among them.
pub(super) fn markup(line: &str) -> u32 {
    const TAGS: &[&str] = &[
        "div", "span", "html", "body", "head", "script", "style", "template", "button", "ul", "ol",
        "li", "table", "tr", "td", "form", "input", "img", "svg", "nav", "section", "footer",
        "header", "link", "meta", "p", "a", "h1", "h2", "h3",
    ];
    let Some(rest) = line.strip_prefix('<') else {
        return 0;
    };
    let rest = rest.trim_start_matches('/');
    let name = rest.split([' ', '>', '/']).next().unwrap_or("");
    let component = name.starts_with(|c: char| c.is_uppercase()) && line.ends_with("/>");
    if line.starts_with("<!DOCTYPE") || line.starts_with("<?xml") {
        return 2;
    }
    if !TAGS.contains(&name) && !component {
        return 0;
    }
    let has_attribute = line.contains("=\"") || line.contains("={");
    1 + u32::from(has_attribute)
}

/// Lines of configurations: nested `key: value`, sections, directives in capitals, `key: value;`.
pub(super) fn config_points(line: &str, indent: usize, below: &str, seen: &mut Seen) -> u32 {
    const DIRECTIVES: &[&str] = &[
        "FROM",
        "RUN",
        "COPY",
        "WORKDIR",
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "ARG",
        "VOLUME",
    ];
    if line.starts_with("apiVersion: ") {
        return 2;
    }
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let loud = first.starts_with(|c: char| c.is_ascii_uppercase());
    if loud && DIRECTIVES.contains(&first) && !rest.is_empty() && rest.split(' ').count() <= 8 {
        return 1;
    }
    // `[section]` with `key = value` below it.
    if line.starts_with('[') && line.ends_with(']') && below.contains(" = ") {
        return 2;
    }
    // `metric{label="value"}`
    if line.contains("=\"") && line.contains("\"}") && !line.starts_with('<') {
        return 2;
    }
    // `resource "a" "b" {`
    if line.ends_with('{') && rest.starts_with('"') && first.bytes().all(is_name_byte) {
        return 2;
    }
    // `padding: 8px 12px;`
    if let Some((property, value)) = line.split_once(": ")
        && property.bytes().all(|b| is_name_byte(b) || b == b'-')
        && value.ends_with(';')
        && value.split(' ').count() <= 6
    {
        return 1;
    }
    let key = line.trim_start_matches("- ");
    let (key, value) = key.split_once(':').unwrap_or(("", ""));
    let is_key = !key.is_empty()
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|b| is_name_byte(b) || b"-.".contains(&b))
        && (value.is_empty() || value.starts_with(' '));
    if !is_key {
        seen.keys = 0;
        seen.nested = false;
        return 0;
    }
    let deeper = below.len() - below.trim_start().len() > indent;
    seen.keys += 1;
    seen.nested |= value.is_empty() && deeper;
    if seen.keys >= 3 && seen.nested { 2 } else { 0 }
}
