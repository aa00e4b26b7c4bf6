//! Records and events as bytes, and back, whatever the bytes.

use proptest::prelude::*;

use super::{super::*, *};
use crate::journal::{
    ledger::{Event, Plan, TablePlans},
    record::{BlockMeta, HEAD_BYTES, Head, Meta},
};

fn table() -> impl Strategy<Value = Table> {
    proptest::sample::select(Table::ALL.to_vec())
}

fn block_meta() -> impl Strategy<Value = BlockMeta> {
    let numbers = (any::<u32>(), 0..1u32 << 30, any::<u64>(), any::<u64>());
    let days = proptest::collection::vec(any::<u32>(), 0..5);
    (table(), any::<bool>(), numbers, days).prop_map(|(table, lz4, numbers, days)| BlockMeta {
        table,
        rows: numbers.0,
        compression: if lz4 {
            Compression::Lz4
        } else {
            Compression::None
        },
        bytes: numbers.1,
        uncompressed_bytes: numbers.2,
        days,
        checksum: numbers.3,
    })
}

fn meta() -> impl Strategy<Value = Meta> {
    let requests = proptest::collection::vec(any::<(u128, u64)>(), 0..4);
    let facts = proptest::collection::vec(any::<u8>(), 0..40);
    let blocks = proptest::collection::vec(block_meta(), 0..4);
    (requests, facts, blocks).prop_map(|(requests, facts, blocks)| Meta {
        requests,
        facts: facts.into(),
        blocks,
    })
}

fn id() -> impl Strategy<Value = BlockId> {
    any::<(u64, u64, u32)>().prop_map(|(segment, offset, index)| BlockId {
        record: Position { segment, offset },
        index,
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let numbers = any::<(u32, u64, u128)>();
    (table(), id(), id(), numbers).prop_map(|(table, first, last, numbers)| Plan {
        table,
        first,
        last,
        blocks: numbers.0,
        rows: numbers.1,
        hash: numbers.2,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let plans = || proptest::collection::vec(plan(), 0..3);
    let of_table = (table(), proptest::option::of(id()), plans());
    let of_table = of_table.prop_map(|(table, planned, open)| TablePlans {
        table,
        planned,
        open,
    });
    prop_oneof![
        plan().prop_map(Event::Planned),
        plan().prop_map(Event::Settled),
        (plan(), plans()).prop_map(|(old, parts)| Event::Replaced { old, parts }),
        proptest::collection::vec(of_table, 0..4).prop_map(Event::Checkpoint),
    ]
}

proptest! {
    #[test]
    fn a_meta_part_is_read_as_it_was_written(meta in meta()) {
        prop_assert_eq!(Meta::decode(&meta.encode()), Ok(meta));
    }

    #[test]
    fn an_event_is_read_as_it_was_written(event in event()) {
        prop_assert_eq!(Event::decode(&event.encode()), Ok(event));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Meta::decode(&bytes);
        let _ = Event::decode(&bytes);
        let _ = Head::decode(&bytes);
    }

    #[test]
    fn one_flipped_bit_of_head_or_meta_is_found(meta in meta(), seed in any::<u64>(), bit in any::<usize>()) {
        let bytes = meta.encode();
        let mut record = Head::encode(seed, &bytes, meta.body_bytes()).to_vec();
        record.extend(bytes);
        let bit = bit % (record.len() * 8);
        record[bit / 8] ^= 1 << (bit % 8);
        let sound = Head::decode(&record).is_ok_and(|head| {
            record.len() == HEAD_BYTES + head.meta_bytes
                && head.holds(seed, &record[..HEAD_BYTES], &record[HEAD_BYTES..])
        });
        prop_assert!(!sound);
    }

    #[test]
    fn a_record_of_another_segment_is_none(meta in meta(), seed in any::<u64>()) {
        let bytes = meta.encode();
        let head = Head::encode(seed, &bytes, meta.body_bytes());
        let read = Head::decode(&head).expect("a head");
        prop_assert!(read.holds(seed, &head, &bytes));
        prop_assert!(!read.holds(seed ^ 1, &head, &bytes));
    }
}
