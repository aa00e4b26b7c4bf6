//! The embedded store as its clients see it: a real engine behind both doors.
//!
//! One store serves the whole binary, because each costs a second and 200 MB; tests that kill something have their own.
//! Needs the engine library (fetched on first use).

#[path = "front/clients.rs"]
mod clients;
#[path = "front/http.rs"]
mod http_interface;
#[path = "front/life.rs"]
mod life;
#[path = "front/rust_client.rs"]
mod rust_client;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use lapwing::store::embedded::{Door, Embedded, EmbeddedConfig};

pub fn config(data_dir: &Path) -> EmbeddedConfig {
    EmbeddedConfig {
        data_dir: data_dir.to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        library: None,
        memory_limit_bytes: 2 << 30,
        database: "lapwing".to_owned(),
        program: PathBuf::from(env!("CARGO_BIN_EXE_lapwing")),
    }
}

pub struct Store {
    pub door: Door,
    pub reader_url: String,
}

/// The shared store. Lives on a runtime of its own until the test process ends, which takes the child with it.
pub fn store() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let directory = tempfile::tempdir().unwrap();
                let embedded = Embedded::start(config(directory.path())).await.unwrap();
                let store = Store {
                    door: embedded.endpoint(),
                    reader_url: format!("http://{}", embedded.reader_addr()),
                };
                sender.send(store).unwrap();
                std::future::pending::<()>().await;
            });
        });
        receiver.recv().unwrap()
    })
}

/// The official client at the writer's door.
pub fn writer(door: &Door) -> clickhouse::Client {
    clickhouse::Client::default()
        .with_url(&door.url)
        .with_user(&door.user)
        .with_password(&door.key)
        .with_database("lapwing")
}

/// The official client at the read-only door.
pub fn reader() -> clickhouse::Client {
    clickhouse::Client::default()
        .with_url(&store().reader_url)
        .with_database("lapwing")
}
