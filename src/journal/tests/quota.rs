//! The quota counts what lies on the disk, and a journal whose rows are stored has room again.

use super::{
    model::{Answer, World},
    sim::Fault,
    *,
};

/// Delivers everything; the last step of each insert meets the faults.
fn deliver_with(world: &mut World, faults: &[Fault]) {
    // Those that get nothing pass first: it is the last one that frees a segment.
    let mut tables = Table::ALL;
    tables.sort_by_key(|table| matches!(table, Table::OtelTraces | Table::LlmCallVersions));
    for table in tables {
        // The plan is written, and the store has the rows.
        while world.deliver(table, Answer::Lost) {
            faults
                .iter()
                .for_each(|fault| world.files.fail_next(*fault));
            world.deliver(table, Answer::Stored);
            world.files.heal();
        }
    }
}

#[test]
fn segments_that_could_not_be_deleted_count_until_they_are() {
    // A sync of each of the ledger's two files; deleting.
    for faults in [[Fault::Sync; 2], [Fault::Remove; 2]] {
        let mut world = World::new();
        for _ in 0..12 {
            world.append(1);
        }
        // Who follows the facts holds nothing back.
        world.follow(true);
        let before = world.files.bytes_of(".segment");
        deliver_with(&mut world, &faults);
        let left = world.files.bytes_of(".segment");
        assert!(left > before / 4, "{faults:?}: {left} of {before} bytes");
        assert_eq!(world.core.index.file_bytes(), left, "{faults:?}");
        assert!(world.core.index.is_leaving(), "{faults:?}");

        // Nothing comes any more; it is tried again.
        world.core.release();
        let left = world.files.bytes_of(".segment");
        assert!(world.files.named(".segment").len() <= 2, "{faults:?}");
        assert_eq!(world.core.index.file_bytes(), left, "{faults:?}");
        world.restart();
        world.deliver_all();
        assert_eq!((world.lost(), world.doubled()), (0, 0), "{faults:?}");
    }
}

#[test]
fn a_full_disk_refuses_and_what_is_deleted_makes_room() {
    let mut world = World::new();
    for _ in 0..6 {
        world.append(1);
    }
    let before = world.acknowledged();
    world.files.set_space(Some(100));
    for _ in 0..3 {
        world.append(1);
    }
    assert_eq!(world.acknowledged(), before, "no room for another record");
    let health = &world.core.health;
    assert!(health.no_space.load(std::sync::atomic::Ordering::Relaxed) > 0);
    assert_eq!(health.failure(), None, "it passes without a new start");

    // The disk stays as full as it is: plans are written all the same.
    world.follow(true);
    for table in Table::ALL {
        while world.deliver(table, Answer::Stored) {}
    }
    world.append(1);
    assert_eq!(world.acknowledged(), before + 1);
    world.restart();
    world.deliver_all();
    assert_eq!((world.lost(), world.doubled()), (0, 0));
}
