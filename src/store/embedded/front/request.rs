//! A request taken apart: what is the statement, what are its parameters, which URL parameters are settings.

use http::HeaderMap;
use http::request::Parts;

use super::error::{BAD_ARGUMENTS, Exception, NOT_IMPLEMENTED};
use crate::store::embedded::outcome::Param;

/// Most URL parameters and multipart parts of one request.
const FIELDS_MAX: usize = 1_000;

/// What a request asks for, without its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// The statement, or its beginning, from the URL.
    pub query: String,
    pub database: Option<String>,
    pub default_format: Option<String>,
    pub session_id: Option<String>,
    pub session_timeout_s: Option<u64>,
    pub session_check: bool,
    pub query_id: Option<String>,
    /// The result as ClickHouse's compressed blocks.
    pub compress: bool,
    /// The body is ClickHouse's compressed blocks.
    pub decompress: bool,
    /// The status is to tell the outcome of the whole query.
    pub wait_end_of_query: bool,
    /// Revision of the native protocol the client decodes; 0 when not said.
    pub client_protocol_version: u64,
    pub settings: Vec<(String, String)>,
    /// Values of `{name:Type}`.
    pub params: Vec<Param>,
    /// A `GET`, which changes nothing.
    pub get: bool,
    pub content_encoding: Option<String>,
    /// Boundary of a `multipart/form-data` body.
    pub boundary: Option<String>,
}

impl Ask {
    pub fn parse(parts: &Parts) -> Result<Self, Exception> {
        let mut ask = Self {
            get: parts.method == http::Method::GET,
            content_encoding: header(&parts.headers, "content-encoding"),
            boundary: header(&parts.headers, "content-type").and_then(|value| boundary(&value)),
            database: header(&parts.headers, "x-clickhouse-database"),
            default_format: header(&parts.headers, "x-clickhouse-format"),
            ..Self::default()
        };
        let fields = url_fields(parts.uri.query().unwrap_or_default());
        if fields.len() > FIELDS_MAX {
            return Err(Exception::new(
                BAD_ARGUMENTS,
                format!("more than {FIELDS_MAX} URL parameters"),
            ));
        }
        for (name, value) in fields {
            ask.set(name, value)?;
        }
        Ok(ask)
    }

    fn set(&mut self, name: String, value: String) -> Result<(), Exception> {
        let flag = value != "0" && !value.is_empty() && value != "false";
        match name.as_str() {
            "query" => self.query = value,
            "database" => self.database = Some(value).filter(|name| !name.is_empty()),
            "default_format" => self.default_format = Some(value).filter(|name| !name.is_empty()),
            "session_id" => self.session_id = Some(value).filter(|name| !name.is_empty()),
            "session_timeout" => self.session_timeout_s = value.parse().ok(),
            "session_check" => self.session_check = flag,
            "query_id" => self.query_id = Some(value).filter(|name| !name.is_empty()),
            "compress" => self.compress = flag,
            "decompress" => self.decompress = flag,
            "wait_end_of_query" => self.wait_end_of_query = flag,
            "client_protocol_version" => {
                self.client_protocol_version = value.parse().unwrap_or_default()
            }
            "role" => {
                return Err(Exception::new(
                    NOT_IMPLEMENTED,
                    "the embedded store has no roles",
                ));
            }
            // Read by the check of credentials, or without meaning here.
            "user" | "password" | "quota_key" | "buffer_size" | "stacktrace" => {}
            _ => match name.strip_prefix("param_") {
                Some(param) => self.params.push((param.to_owned(), value)),
                None => self.settings.push((setting_name(name)?, value)),
            },
        }
        Ok(())
    }

    /// Takes the parts of a form: the statement, and parameters as in the URL.
    pub fn add_form(&mut self, body: &[u8]) -> Result<(), Exception> {
        let boundary = self.boundary.clone().unwrap_or_default();
        let bad = || Exception::new(BAD_ARGUMENTS, "the multipart/form-data body is malformed");
        let delimiter = format!("--{boundary}");
        let mut rest = body
            .get(memchr::memmem::find(body, delimiter.as_bytes()).ok_or_else(bad)?..)
            .unwrap_or_default();
        let end = format!("\r\n{delimiter}");
        for _ in 0..FIELDS_MAX {
            rest = rest.strip_prefix(delimiter.as_bytes()).ok_or_else(bad)?;
            if rest.starts_with(b"--") {
                return Ok(());
            }
            rest = rest.strip_prefix(b"\r\n").ok_or_else(bad)?;
            let head_end = memchr::memmem::find(rest, b"\r\n\r\n").ok_or_else(bad)?;
            let (head, tail) = rest.split_at_checked(head_end).ok_or_else(bad)?;
            let tail = tail.strip_prefix(b"\r\n\r\n").ok_or_else(bad)?;
            let value_end = memchr::memmem::find(tail, end.as_bytes()).ok_or_else(bad)?;
            let (value, next) = tail.split_at_checked(value_end).ok_or_else(bad)?;
            let (name, file) = form_name(head).ok_or_else(bad)?;
            if file {
                return Err(Exception::new(
                    NOT_IMPLEMENTED,
                    "external tables are not supported by the embedded store",
                ));
            }
            let value = String::from_utf8(value.to_vec()).map_err(|_| bad())?;
            self.set(name, value)?;
            rest = next.strip_prefix(b"\r\n").ok_or_else(bad)?;
        }
        Err(Exception::new(
            BAD_ARGUMENTS,
            format!("more than {FIELDS_MAX} parts in the form"),
        ))
    }
}

/// A header's value as text, `None` when absent, empty or not ASCII.
pub fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)?
        .to_str()
        .ok()
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

fn setting_name(name: String) -> Result<String, Exception> {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
    if !plain || name.is_empty() || name.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        return Err(Exception::new(
            (115, "UNKNOWN_SETTING"),
            format!("Unknown setting '{name}'"),
        ));
    }
    Ok(name)
}

fn boundary(content_type: &str) -> Option<String> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    rest.split(';')
        .find_map(|part| part.trim().strip_prefix("boundary="))
        .map(|value| value.trim_matches('"').to_owned())
        .filter(|value| !value.is_empty())
}

/// Name of a part and whether it is a file.
fn form_name(head: &[u8]) -> Option<(String, bool)> {
    let head = std::str::from_utf8(head).ok()?;
    let line = head.lines().find(|line| {
        line.to_ascii_lowercase()
            .starts_with("content-disposition:")
    })?;
    let file = line.contains("filename=");
    let (_, rest) = line
        .split_once("; name=")
        .or_else(|| line.split_once(";name="))?;
    let name = rest.split(';').next()?.trim().trim_matches('"');
    Some((name.to_owned(), file))
}

/// The fields of a URL's query, percent-decoded, in order.
pub fn url_fields(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|field| !field.is_empty())
        .map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            (percent_decode(name), percent_decode(value))
        })
        .collect()
}

/// Percent-decoding with `+` for a space; what is malformed stays as it is.
pub fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'+', ..) => out.push(b' '),
            (b'%', Some(high), Some(low)) => {
                out.push(
                    u8::try_from(high.saturating_mul(16).saturating_add(low)).unwrap_or_default(),
                );
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(uri: &str) -> Result<Ask, Exception> {
        let (parts, ()) = http::Request::builder()
            .uri(uri)
            .body(())
            .unwrap()
            .into_parts();
        Ask::parse(&parts)
    }

    #[test]
    fn url_parameters_are_told_apart() {
        let ask = ask("/?query=SELECT%20%7Bx:UInt8%7D+1&param_x=a%2Bb&database=d&max_threads=2&compress=1&session_id=s").unwrap();
        assert_eq!(ask.query, "SELECT {x:UInt8} 1");
        assert_eq!(ask.params, [("x".to_owned(), "a+b".to_owned())]);
        assert_eq!(ask.settings, [("max_threads".to_owned(), "2".to_owned())]);
        assert_eq!(
            (
                ask.database.as_deref(),
                ask.session_id.as_deref(),
                ask.compress
            ),
            (Some("d"), Some("s"), true)
        );
    }

    #[test]
    fn a_setting_cannot_smuggle_a_statement() {
        assert_eq!(ask("/?max_threads%3D1,readonly=1").unwrap_err().code, 115);
        assert_eq!(ask("/?role=admin").unwrap_err().code, 48);
    }

    #[test]
    fn a_form_carries_the_statement_and_its_parameters() {
        let mut ask = Ask {
            boundary: boundary("multipart/form-data; boundary=\"xx\""),
            ..Ask::default()
        };
        let body = "--xx\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT 1\r\n--xx\r\n\
                    content-disposition: form-data; name=\"param_a\"\r\n\r\nb\r\n\r\nc\r\n--xx--\r\n";
        ask.add_form(body.as_bytes()).unwrap();
        assert_eq!(
            (ask.query.as_str(), ask.params),
            ("SELECT 1", vec![("a".to_owned(), "b\r\n\r\nc".to_owned())])
        );
        let mut cut = Ask {
            boundary: Some("xx".to_owned()),
            ..Ask::default()
        };
        assert!(cut.add_form(&body.as_bytes()[..60]).is_err());
    }

    #[test]
    fn malformed_escapes_stay() {
        assert_eq!(percent_decode("a%2"), "a%2");
        assert_eq!(percent_decode("%zz%41%"), "%zzA%");
    }
}
