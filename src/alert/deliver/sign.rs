//! Signatures of Standard Webhooks 1.0: HMAC-SHA256 over `{id}.{timestamp}.{body}`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;

/// The prefix of a secret as it is handed around.
const PREFIX: &str = "whsec_";
/// Bytes of a secret that the specification allows.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Reads secrets, one a line: `whsec_` and base64. Several are all signed with, so that a receiver
/// can change from one to the next.
pub fn secrets(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    let secrets: Vec<Vec<u8>> = lines.map(secret).collect::<Result<_, _>>()?;
    match secrets.is_empty() {
        true => Err("has no secret: write whsec_ and base64, one a line".to_owned()),
        false => Ok(secrets),
    }
}

fn secret(line: &str) -> Result<Vec<u8>, String> {
    // The text is not repeated: it is a secret.
    let form = "must hold whsec_ and the base64 of 24 to 64 random bytes, such as the output of \
                `echo whsec_$(openssl rand -base64 32)`";
    let bytes = line
        .strip_prefix(PREFIX)
        .and_then(|rest| STANDARD.decode(rest).ok());
    bytes
        .filter(|bytes| SECRET_BYTES.contains(&bytes.len()))
        .ok_or_else(|| form.to_owned())
}

/// The value of `webhook-signature`: one signature for each secret.
pub fn signature(secrets: &[Vec<u8>], id: &str, timestamp_s: u64, body: &[u8]) -> String {
    let one = |secret: &Vec<u8>| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{timestamp_s}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    };
    secrets.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification() {
        let secrets = secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let signed = signature(
            &secrets,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            b"{\"test\": 2432232314}",
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_weak_or_broken_secret_is_refused_without_repeating_it() {
        for text in [
            "",
            "whsec_c2hvcnQ=",
            "hunter2hunter2hunter2hunter2",
            "whsec_???",
        ] {
            let error = super::secrets(text).unwrap_err();
            assert!(
                error.contains("whsec_") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
