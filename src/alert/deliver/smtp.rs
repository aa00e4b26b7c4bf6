//! SMTP, as much as a mail of ours needs: EHLO, STARTTLS, AUTH PLAIN or LOGIN, one message.
//!
//! Our own because the connection must go to a checked address and each answer decides between
//! retry and dead letter; the message itself is made by `render`. Codes: RFC 5321, 4yz passes, 5yz
//! does not.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    address::{Guard, ResolveError},
    outbox::Outcome,
};
use crate::alert::{
    options::{Email, MailTls},
    text,
};

/// Bytes of one line of an answer; RFC 5321 says 512.
const LINE_BYTES_MAX: u64 = 4_096;
const LINES_MAX: usize = 100;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

struct Session {
    wire: BufReader<Box<dyn Wire>>,
}

/// One answer of the server.
struct Answer {
    code: u16,
    lines: Vec<String>,
}

/// Sends a whole message (headers and body, lines ended by CRLF).
pub async fn send(mail: &Email, guard: Guard, timeout: Duration, message: &str) -> Outcome {
    match tokio::time::timeout(timeout, deliver(mail, guard, message)).await {
        Ok(Ok(code)) => Outcome::Delivered { status: Some(code) },
        Ok(Err(outcome)) => outcome,
        Err(_) => retry(None, "it did not answer in time".to_owned()),
    }
}

async fn deliver(mail: &Email, guard: Guard, message: &str) -> Result<u16, Outcome> {
    let addresses = guard
        .resolve(&mail.host, mail.port)
        .await
        .map_err(|error| match error {
            ResolveError::Refused(refused) => Outcome::Refused {
                status: None,
                reason: refused.to_string(),
            },
            error @ ResolveError::NotFound(..) => retry(None, error.to_string()),
        })?;
    let socket = TcpStream::connect(addresses.as_slice())
        .await
        .map_err(|error| retry(None, format!("it cannot be reached: {error}")))?;
    let wire: Box<dyn Wire> = match mail.tls {
        MailTls::Implicit => Box::new(tls(mail, socket).await?),
        MailTls::StartTls => {
            let mut plain = Session::new(Box::new(socket));
            plain.expect(2).await?;
            plain.ehlo().await?;
            plain.say("STARTTLS", 2).await?;
            // What came before the handshake could be anybody's: an answer that waits is refused.
            if !plain.wire.buffer().is_empty() {
                return Err(retry(None, "it speaks before TLS is set up".to_owned()));
            }
            Box::new(tls(mail, plain.wire.into_inner()).await?)
        }
        MailTls::None => Box::new(socket),
    };
    let mut session = Session::new(wire);
    if mail.tls != MailTls::StartTls {
        session.expect(2).await?;
    }
    let greeting = session.ehlo().await?;
    if !mail.user.is_empty() {
        session.authenticate(mail, &greeting).await?;
    }
    session
        .say(&format!("MAIL FROM:<{}>", mail.from), 2)
        .await?;
    for to in &mail.to {
        session.say(&format!("RCPT TO:<{to}>"), 2).await?;
    }
    session.say("DATA", 3).await?;
    let stuffed = message.replace("\r\n.", "\r\n..");
    let done = session.say(&format!("{stuffed}\r\n."), 2).await?;
    // The message is theirs by now, whatever becomes of the goodbye.
    _ = session.say("QUIT", 2).await;
    Ok(done.code)
}

async fn tls<S: AsyncRead + AsyncWrite + Unpin>(
    mail: &Email,
    socket: S,
) -> Result<tokio_rustls::client::TlsStream<S>, Outcome> {
    use hyper_rustls::ConfigBuilderExt as _;
    let failed = |error: &dyn std::fmt::Display| retry(None, format!("no TLS with it: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?
        .with_native_roots()
        .map_err(|e| failed(&e))?
        .with_no_client_auth();
    let name = ServerName::try_from(mail.host.clone()).map_err(|e| failed(&e))?;
    let connector = TlsConnector::from(Arc::new(config));
    connector
        .connect(name, socket)
        .await
        .map_err(|e| failed(&e))
}

fn retry(status: Option<u16>, reason: String) -> Outcome {
    Outcome::Retry {
        status,
        reason: text::line(&reason, 300),
        after: None,
    }
}

// === impl Session ===

impl Session {
    fn new(wire: Box<dyn Wire>) -> Session {
        Session {
            wire: BufReader::new(wire),
        }
    }

    async fn ehlo(&mut self) -> Result<Answer, Outcome> {
        self.say("EHLO lapwing.localdomain", 2).await
    }

    async fn authenticate(&mut self, mail: &Email, greeting: &Answer) -> Result<(), Outcome> {
        let offered = |method: &str| {
            let mut words = greeting
                .lines
                .iter()
                .filter(|l| l.to_ascii_uppercase().starts_with("AUTH"));
            words.any(|line| {
                line.to_ascii_uppercase()
                    .split([' ', '='])
                    .any(|word| word == method)
            })
        };
        if !offered("PLAIN") && offered("LOGIN") {
            self.say("AUTH LOGIN", 3).await?;
            self.say(&STANDARD.encode(&mail.user), 3).await?;
            self.say(&STANDARD.encode(&mail.password), 2).await?;
        } else {
            let plain = STANDARD.encode(format!("\0{}\0{}", mail.user, mail.password));
            self.say(&format!("AUTH PLAIN {plain}"), 2).await?;
        }
        Ok(())
    }

    /// Says something and expects an answer that begins with this digit.
    async fn say(&mut self, line: &str, digit: u16) -> Result<Answer, Outcome> {
        let broken = |error: std::io::Error| retry(None, format!("the connection broke: {error}"));
        self.wire.write_all(line.as_bytes()).await.map_err(broken)?;
        self.wire.write_all(b"\r\n").await.map_err(broken)?;
        self.wire.flush().await.map_err(broken)?;
        self.expect(digit).await
    }

    async fn expect(&mut self, digit: u16) -> Result<Answer, Outcome> {
        let answer = self.answer().await?;
        if answer.code / 100 == digit {
            return Ok(answer);
        }
        let reason = format!(
            "it answers {} {}",
            answer.code,
            text::line(&answer.lines.join(" "), 200)
        );
        Err(match answer.code / 100 {
            5 => Outcome::Refused {
                status: Some(answer.code),
                reason,
            },
            _ => retry(Some(answer.code), reason),
        })
    }

    async fn answer(&mut self) -> Result<Answer, Outcome> {
        let mut lines = Vec::new();
        while lines.len() < LINES_MAX {
            let mut line = String::new();
            let mut limited = (&mut self.wire).take(LINE_BYTES_MAX);
            let read = limited.read_line(&mut line).await;
            read.map_err(|error| retry(None, format!("the connection broke: {error}")))?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let Some(code) = code else {
                return Err(retry(
                    None,
                    "it does not speak SMTP, or closed the connection".to_owned(),
                ));
            };
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line.get(4..).unwrap_or_default().trim_end().to_owned());
            if !more {
                return Ok(Answer { code, lines });
            }
        }
        Err(retry(None, "its answer has no end".to_owned()))
    }
}
