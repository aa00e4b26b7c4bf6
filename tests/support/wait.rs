//! Waiting for a condition, and ports nobody uses.
//!
//! A test waits for what it needs and never for a while; the deadline only ends a test that would
//! otherwise hang, so it is generous and its length is no assertion.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

/// How long between two looks at a condition.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What `look` finds, looked for until `deadline` has passed.
///
/// # Panics
/// When the time is up: with `what` and the last reason for not being there yet.
pub fn until<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) if began.elapsed() > deadline => {
                panic!("waited {deadline:?} for {what}; at last: {why}")
            }
            Err(_) => thread::sleep(LOOK_AGAIN_AFTER),
        }
    }
}

/// `N` different loopback addresses that nobody listens on.
///
/// All are held while they are chosen and free when this returns: a test hands them to a program
/// that takes no port 0.
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let held: [TcpListener; N] = std::array::from_fn(|_| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port to listen on")
    });
    held.each_ref()
        .map(|listener| listener.local_addr().expect("the address of a listener"))
}
