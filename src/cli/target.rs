//! How a command reaches the store: the configured server, or the door of a running embedded one.

use anyhow::{Context as _, bail};

use crate::{
    config::{Config, Storage},
    store::{Target, embedded::Door},
};

/// The store that the configuration means.
pub(super) fn of(config: &Config) -> anyhow::Result<Target> {
    let database = match &config.storage {
        Storage::Server(target) => return Ok(target.clone()),
        Storage::Embedded { database, .. } => database,
    };
    let door =
        Door::read(&config.data_dir).context("cannot read the door of the embedded store")?;
    match door {
        Some(door) => Ok(through(&door, database)),
        None => bail!(
            "no store runs in {}: start `lapwing serve` with the same configuration first",
            config.data_dir.display()
        ),
    }
}

/// The embedded store as its owner reaches it.
pub(super) fn through(door: &Door, database: &str) -> Target {
    Target {
        user: door.user.clone(),
        password: door.key.clone(),
        ..Target::plain(&door.url, database)
    }
}
