//! What a damaged disk costs, and what it does not.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    model::{Answer, World},
    sim::SimFiles,
    *,
};
use crate::journal::open::OpenError;

/// A world with so many records, nothing delivered, after a restart.
fn filled(records: u64) -> World {
    let mut world = World::new();
    for _ in 0..records {
        world.append(1);
    }
    assert_eq!(world.acknowledged(), records as usize);
    world.restart();
    world
}

#[test]
fn every_bit_of_a_segment_costs_one_record_at_most() {
    // A segment has some 600 bytes: every 37th of its bits.
    for bit in (0..600 * 8).step_by(37) {
        let mut world = filled(12);
        let segment = world.files.named(".segment").remove(1);
        world.files.flip(&segment, bit);
        world.restart();
        world.deliver_all();
        let lost = world.lost();
        assert!(lost <= 2, "bit {bit}: {lost} rows lost");
        assert_eq!(world.doubled(), 0, "bit {bit}");
        let health = &world.core.health;
        let told = health.damaged_bytes.load(Relaxed) + health.torn_bytes.load(Relaxed) > 0
            || Table::ALL
                .iter()
                .any(|t| world.core.accounts.balance(*t).damaged > 0);
        // The unused part of the header aside, nothing is lost silently.
        assert!(lost == 0 || told, "bit {bit}: lost and not told");
    }
}

#[test]
fn every_bit_of_one_ledger_costs_nothing() {
    for bit in (0..400 * 8).step_by(23) {
        for ledger in ["ledger-a", "ledger-b"] {
            let mut world = filled(6);
            // Inserts in doubt, whose plans must not be lost.
            world.deliver(Table::OtelTraces, Answer::Lost);
            world.deliver(Table::LlmCallVersions, Answer::Lost);
            world.files.flip(ledger, bit);
            world.restart();
            world.deliver_all();
            assert_eq!(
                (world.lost(), world.doubled()),
                (0, 0),
                "{ledger}, bit {bit}"
            );
        }
    }
}

#[test]
fn a_torn_tail_is_cut_off_at_any_place() {
    let world = filled(3);
    let name = world.files.named(".segment").pop().expect("a segment");
    let whole = world.files.bytes(&name);
    drop(world);
    for length in 0..whole.len() {
        let mut world = filled(3);
        world.files.set_bytes(&name, whole[..length].to_vec());
        world.restart();
        world.append(1);
        world.restart();
        world.deliver_all();
        assert_eq!(world.doubled(), 0);
        assert!(world.stored_last(), "what came after the cut is delivered");
    }
}

#[test]
fn a_later_format_is_refused_and_left_alone() {
    let world = filled(2);
    let name = world.files.named(".segment").remove(0);
    let mut bytes = world.files.bytes(&name);
    bytes[8] = 9;
    let sum = twox_hash::XxHash3_64::oneshot(&bytes[..40]);
    bytes[40..48].copy_from_slice(&sum.to_le_bytes());
    world.files.set_bytes(&name, bytes.clone());
    let quarantine = Quarantine::at(std::path::Path::new("/nowhere")).expect("not used");
    let refused = open_core(world.files.clone(), options(Durability::Disk), quarantine);
    let error = refused.expect_err("another format");
    assert!(matches!(error, OpenError::Scan(_)), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("format 9") && text.contains("use the lapwing that wrote it"),
        "{text}"
    );
    assert_eq!(world.files.bytes(&name), bytes);
}

#[test]
fn bytes_of_a_client_that_look_like_a_record_are_none() {
    let files = SimFiles::default();
    let (_, mut work) = open(&files, Durability::Disk);
    // A record of this very journal's form, within a block.
    let inner = record(7);
    let mut looks = Vec::new();
    inner.put(0, &mut looks);
    let mut outer = block(Table::OtelTraces, 1);
    outer.bytes = looks.into();
    let results = work.commit(vec![Encoded::new(vec![outer], Bytes::new(), Vec::new())]);
    assert_eq!(results, [Ok(())]);
    let name = files.named(".segment").remove(0);
    // Its own head is destroyed, so that the search goes through the block.
    files.flip(&name, 48 * 8);
    let (core, _) = open(&files, Durability::Disk);
    assert_eq!(core.accounts.balance(Table::OtelTraces).recovered, 0);
    assert!(core.health.damaged_bytes.load(Relaxed) == 0 || !files.named("damaged-").is_empty());
}
