//! `lapwing health`: is the collector of this configuration ready? For container health checks,
//! where there is no other HTTP client.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};

/// A collector that does not answer in this time is not healthy.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks `/readyz` on the admin port; an error says what it answers.
pub(super) async fn run(mut admin: SocketAddr) -> anyhow::Result<()> {
    // What listens everywhere is asked here.
    if admin.ip().is_unspecified() {
        let here = match admin.is_ipv4() {
            true => std::net::Ipv4Addr::LOCALHOST.into(),
            false => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        admin.set_ip(here);
    }
    let url = format!("http://{admin}/readyz");
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
    let client = client.build().context("cannot set up HTTP")?;
    let answer = client.get(&url).send().await;
    let answer = answer.with_context(|| format!("nobody answers at {url}"))?;
    match answer.status().is_success() {
        true => Ok(()),
        false => bail!("{url} answers {}", answer.status()),
    }
}
