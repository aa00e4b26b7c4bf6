//! The child's life: it dies with its parent, comes back when it is killed, and is alone in its directory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use lapwing::store::embedded::{Door, Embedded};

use super::{config, writer};

fn kill(pid: u32) {
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
}

/// Whether a process is there and not a zombie.
fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    })
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .expect(what);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_child_comes_back_with_its_rows_at_the_same_place() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::start(config(directory.path())).await.unwrap();
    let door = store.endpoint();
    let client = writer(&door);
    client
        .query("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        .execute()
        .await
        .unwrap();
    client
        .query("INSERT INTO t SELECT number FROM numbers(1000)")
        .execute()
        .await
        .unwrap();
    kill(door.pid);
    until("the child is back", async || {
        let count = client
            .query("SELECT count() FROM t")
            .fetch_one::<u64>()
            .await;
        matches!(count, Ok(1000)) && store.endpoint().pid != door.pid
    })
    .await;
    assert_eq!((store.endpoint().url, store.restarts()), (door.url, 1));
    assert_eq!(
        Door::read(directory.path()).unwrap(),
        Some(store.endpoint())
    );

    let second = Embedded::start(config(directory.path()))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(second.contains("in use by process"), "{second}");

    let pid = store.endpoint().pid;
    store.stop().await;
    assert!(!alive(pid));
    assert_eq!(Door::read(directory.path()).unwrap(), None);
    let again = Embedded::start(config(directory.path())).await.unwrap();
    let count: u64 = writer(&again.endpoint())
        .query("SELECT count() FROM t")
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(count, 1000);
    again.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(directory.path());
    config.listen = taken.local_addr().unwrap();
    let error = Embedded::start(config).await.err().unwrap().to_string();
    assert!(error.contains("storage.embedded.listen"), "{error}");
}

/// Not a test by itself: the parent that the next test kills. It starts a store and waits.
#[tokio::test(flavor = "multi_thread")]
async fn parent_for_the_test_below() {
    let Some(directory) = std::env::var_os("LAPWING_TEST_PARENT_OF") else {
        return;
    };
    let store = Embedded::start(config(Path::new(&directory)))
        .await
        .unwrap();
    println!("\nchild {}", store.endpoint().pid);
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_parent_takes_its_child_along() {
    let directory = tempfile::tempdir().unwrap();
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "front::life::parent_for_the_test_below",
            "--nocapture",
        ])
        .env("LAPWING_TEST_PARENT_OF", directory.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let child = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("child ")?.parse().ok())
        .unwrap();
    assert!(alive(child));
    kill(parent.id());
    parent.wait().unwrap();
    until("the child is gone", async || !alive(child)).await;
    // And nothing it left behind is in the way of the next.
    Embedded::start(config(directory.path()))
        .await
        .unwrap()
        .stop()
        .await;
}
