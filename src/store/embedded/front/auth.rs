//! Who may come in: credentials, and the defence of a loopback port against web pages.
//!
//! A browser on the same machine can send requests to 127.0.0.1 on behalf of any page, and with DNS rebinding read the
//! answers. So a loopback door answers only to names of the loopback, and no door answers to a foreign origin.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use http::request::Parts;
use sha2::Digest;

use super::error::{ACCESS_DENIED, AUTHENTICATION_FAILED, Exception};
use super::request::{header, url_fields};
use crate::store::embedded::WRITER_USER;

/// Which of the two doors a connection came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Writer,
    Reader,
}

/// User and password as ClickHouse's clients send them: headers, Basic, or the URL.
fn credentials(parts: &Parts) -> (String, String) {
    if let Some(user) = header(&parts.headers, "x-clickhouse-user") {
        return (
            user,
            header(&parts.headers, "x-clickhouse-key").unwrap_or_default(),
        );
    }
    let basic = header(&parts.headers, "authorization").and_then(|value| {
        let encoded = value
            .strip_prefix("Basic ")
            .or_else(|| value.strip_prefix("basic "))?;
        let plain = base64::engine::general_purpose::STANDARD
            .decode(encoded.trim())
            .ok()?;
        let plain = String::from_utf8(plain).ok()?;
        plain
            .split_once(':')
            .map(|(user, password)| (user.to_owned(), password.to_owned()))
    });
    basic.unwrap_or_else(|| {
        let fields = url_fields(parts.uri.query().unwrap_or_default());
        let field = |name: &str| {
            fields
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        (
            field("user").unwrap_or_else(|| "default".to_owned()),
            field("password").unwrap_or_default(),
        )
    })
}

/// Equality that takes as long for a near miss as for a far one.
fn same(left: &str, right: &str) -> bool {
    let (left, right) = (sha2::Sha256::digest(left), sha2::Sha256::digest(right));
    left.iter()
        .zip(right.iter())
        .fold(0_u8, |difference, (a, b)| difference | (a ^ b))
        == 0
}

/// Refuses a request without the right to come in. `key` is the writer's.
pub fn check(parts: &Parts, side: Side, local: SocketAddr, key: &str) -> Result<(), Exception> {
    check_host(parts, local)?;
    let (user, password) = credentials(parts);
    let right = match side {
        Side::Writer => same(&user, WRITER_USER) & same(&password, key),
        Side::Reader => (user == "default" || user == WRITER_USER) && password.is_empty(),
    };
    if right {
        return Ok(());
    }
    let hint = match side {
        Side::Writer => "the writer's credentials stand in store-door.json of the data directory",
        Side::Reader => "this door is read-only and takes user 'default' without a password",
    };
    Err(Exception::new(
        AUTHENTICATION_FAILED,
        format!("{user}: Authentication failed: {hint}"),
    ))
}

/// Refuses requests that a web page made a browser send.
pub fn check_host(parts: &Parts, local: SocketAddr) -> Result<(), Exception> {
    let host =
        header(&parts.headers, "host").or_else(|| parts.uri.authority().map(ToString::to_string));
    let name = host.as_deref().map(host_name).unwrap_or_default();
    if local.ip().is_loopback() && host.is_some() && !is_loopback(name) {
        let message =
            format!("Host '{name}' is not a name of the loopback; use 127.0.0.1 or localhost");
        return Err(Exception::new(ACCESS_DENIED, message));
    }
    let foreign = header(&parts.headers, "sec-fetch-site").is_some_and(|site| site == "cross-site");
    let origin = header(&parts.headers, "origin");
    let origin_host = origin
        .as_deref()
        .map(|origin| host_name(origin.split_once("://").map_or(origin, |(_, host)| host)));
    if foreign || origin_host.is_some_and(|origin| origin != name) {
        return Err(Exception::new(
            ACCESS_DENIED,
            "requests from web pages of other origins are refused",
        ));
    }
    Ok(())
}

/// The host without its port and brackets.
fn host_name(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match authority.split_once(':') {
        Some((name, rest)) if !rest.contains(':') => name,
        _ => authority,
    }
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_with(side: Side, uri: &str, headers: &[(&str, &str)]) -> Result<(), u32> {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts, side, "127.0.0.1:8123".parse().unwrap(), "secret")
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn the_writer_needs_its_key_in_any_of_three_places() {
        let basic = format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode("lapwing:secret")
        );
        let writer = Side::Writer;
        assert_eq!(
            try_with(
                writer,
                "/",
                &[
                    ("x-clickhouse-user", "lapwing"),
                    ("x-clickhouse-key", "secret")
                ]
            ),
            Ok(())
        );
        assert_eq!(try_with(writer, "/", &[("authorization", &basic)]), Ok(()));
        assert_eq!(
            try_with(writer, "/?user=lapwing&password=secret", &[]),
            Ok(())
        );
        assert_eq!(
            try_with(writer, "/?user=lapwing&password=secreT", &[]),
            Err(516)
        );
        assert_eq!(
            try_with(writer, "/?user=default&password=secret", &[]),
            Err(516)
        );
        assert_eq!(try_with(writer, "/", &[]), Err(516));
    }

    #[test]
    fn the_reader_takes_no_password_at_all() {
        assert_eq!(try_with(Side::Reader, "/", &[]), Ok(()));
        assert_eq!(try_with(Side::Reader, "/?user=lapwing", &[]), Ok(()));
        assert_eq!(try_with(Side::Reader, "/?password=x", &[]), Err(516));
        assert_eq!(try_with(Side::Reader, "/?user=admin", &[]), Err(516));
    }

    #[test]
    fn web_pages_stay_outside() {
        for headers in [
            vec![("host", "evil.example:8123")],
            vec![("host", "127.0.0.1.evil.example")],
            vec![
                ("host", "127.0.0.1:8123"),
                ("origin", "http://evil.example"),
            ],
            vec![("host", "127.0.0.1:8123"), ("origin", "null")],
            vec![("host", "localhost:8123"), ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(
                try_with(Side::Reader, "/", &headers),
                Err(497),
                "{headers:?}"
            );
        }
        for headers in [
            vec![("host", "localhost:8123")],
            vec![("host", "[::1]:8123")],
            vec![("host", "127.0.0.1"), ("origin", "http://127.0.0.1")],
        ] {
            assert_eq!(try_with(Side::Reader, "/", &headers), Ok(()), "{headers:?}");
        }
    }
}
