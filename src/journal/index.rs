//! Index: which segments there are, how far they are durable, and the newest blocks in memory.
//!
//! Shared by the one who appends and those who read. Nothing beyond the head is ever read: it is
//! not durable yet, or never will be. Memory is bounded: of the blocks only the newest are kept,
//! a reader that is further behind reads the files.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{log::Placed, position::Position};
use crate::block::Block;

/// Segments and newest blocks.
#[derive(Debug)]
pub struct Index<H> {
    inner: Mutex<Inner<H>>,
    head: watch::Sender<Position>,
    hot_bytes_max: usize,
}

#[derive(Debug)]
struct Inner<H> {
    segments: BTreeMap<u64, Segment<H>>,
    /// Segments that nobody needs any more and that still lie on the disk, with their bytes.
    leaving: BTreeMap<u64, u64>,
    hot: VecDeque<Arc<Hot>>,
    hot_bytes: usize,
}

/// A file that can be read up to its end.
#[derive(Debug)]
pub struct Segment<H> {
    pub file: Arc<H>,
    pub seed: u64,
    pub end: u64,
}

/// A record in memory.
#[derive(Debug)]
pub struct Hot {
    pub at: Position,
    pub next: Position,
    pub blocks: Vec<Block>,
}

/// Where a reader finds the next record.
#[derive(Debug)]
pub enum Place<H> {
    Memory(Arc<Hot>),
    /// In this file, at the position asked for.
    File(Segment<H>),
    /// Nowhere at the position asked for; go on here.
    Skip(Position),
    /// It read everything.
    End,
}

// === impl Index ===

impl<H> Index<H> {
    pub fn new(
        segments: BTreeMap<u64, Segment<H>>,
        head: Position,
        hot_bytes_max: usize,
    ) -> Index<H> {
        Index {
            inner: Mutex::new(Inner {
                segments,
                leaving: BTreeMap::new(),
                hot: VecDeque::new(),
                hot_bytes: 0,
            }),
            head: watch::Sender::new(head),
            hot_bytes_max,
        }
    }

    /// The end of what is durable.
    pub fn head(&self) -> Position {
        *self.head.borrow()
    }

    /// Told whenever the head moves.
    pub fn watch_head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Takes records in that are durable now.
    pub fn extend(&self, seed: impl Fn(u64) -> u64, records: Vec<(Placed<H>, Vec<Block>)>) {
        let Some(head) = records.last().map(|(placed, _)| placed.next) else {
            return;
        };
        let mut inner = self.inner();
        for (placed, blocks) in records {
            let number = placed.at.segment;
            inner
                .segments
                .entry(number)
                .or_insert_with(|| Segment {
                    file: placed.file,
                    seed: seed(number),
                    end: 0,
                })
                .end = placed.next.offset;
            inner.push(placed.at, placed.next, blocks);
        }
        while inner.hot_bytes > self.hot_bytes_max {
            inner.pop();
        }
        drop(inner);
        self.head.send_replace(head);
    }

    /// The same without a file: memory is the only place that has them, so none is dropped.
    pub fn extend_in_memory(&self, bytes: u64, blocks: Vec<Block>) -> Position {
        let at = self.head();
        let next = Position {
            offset: at.offset + bytes,
            ..at
        };
        self.inner().push(at, next, blocks);
        self.head.send_replace(next);
        at
    }

    /// The same, but only in files.
    pub fn locate_file(&self, at: Position) -> Place<H> {
        match at >= self.head() {
            true => Place::End,
            false => self.inner().in_file(at).unwrap_or(Place::End),
        }
    }

    /// Where the record at `at` is, or where to go on.
    pub fn locate(&self, at: Position) -> Place<H> {
        if at >= self.head() {
            return Place::End;
        }
        let inner = self.inner();
        // The records in memory are the newest without a gap.
        let first = inner.hot.partition_point(|hot| hot.at < at);
        if inner.hot.front().is_some_and(|front| front.at <= at)
            && let Some(hot) = inner.hot.get(first)
        {
            return Place::Memory(Arc::clone(hot));
        }
        match (inner.in_file(at), inner.hot.get(first)) {
            (Some(place), _) => place,
            (None, Some(hot)) => Place::Skip(hot.at),
            (None, None) => Place::End,
        }
    }

    /// Drops from memory what all readers have passed.
    pub fn forget_hot(&self, passed: Position) {
        let mut inner = self.inner();
        while inner.hot.front().is_some_and(|hot| hot.next <= passed) {
            inner.pop();
        }
    }

    /// Takes out the segments that lie before `floor` as a whole, oldest first, but not the newest.
    /// Gives all that are out and not [`Index::gone`] yet: until then their bytes count.
    pub fn take_before(&self, floor: Position) -> Vec<u64> {
        let mut inner = self.inner();
        while inner.segments.len() > 1
            && let Some(first) = inner.segments.first_entry()
            && *first.key() < floor.segment
        {
            let (number, segment) = first.remove_entry();
            inner.leaving.insert(number, segment.end);
        }
        inner.leaving.keys().copied().collect()
    }

    /// A segment that was taken out is no longer on the disk.
    pub fn gone(&self, number: u64) {
        self.inner().leaving.remove(&number);
    }

    /// Are there segments that were taken out and are still on the disk?
    pub fn is_leaving(&self) -> bool {
        !self.inner().leaving.is_empty()
    }

    /// Bytes of all segments on the disk.
    pub fn file_bytes(&self) -> u64 {
        let inner = self.inner();
        let needed: u64 = inner.segments.values().map(|s| s.end).sum();
        needed + inner.leaving.values().sum::<u64>()
    }

    /// Number of segments.
    pub fn segments(&self) -> usize {
        self.inner().segments.len()
    }

    /// Bytes of blocks in memory.
    pub fn hot_bytes(&self) -> usize {
        self.inner().hot_bytes
    }

    fn inner(&self) -> MutexGuard<'_, Inner<H>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl<H> Inner<H> {
    fn in_file(&self, at: Position) -> Option<Place<H>> {
        if let Some(segment) = self.segments.get(&at.segment)
            && at.offset < segment.end
        {
            return Some(Place::File(Segment {
                file: Arc::clone(&segment.file),
                seed: segment.seed,
                end: segment.end,
            }));
        }
        let (number, _) = self.segments.range(at.segment + 1..).next()?;
        Some(Place::Skip(Position {
            segment: *number,
            offset: super::segment::HEADER_BYTES,
        }))
    }

    fn push(&mut self, at: Position, next: Position, blocks: Vec<Block>) {
        self.hot_bytes += bytes_of(&blocks);
        self.hot.push_back(Arc::new(Hot { at, next, blocks }));
    }

    fn pop(&mut self) {
        if let Some(hot) = self.hot.pop_front() {
            self.hot_bytes = self.hot_bytes.saturating_sub(bytes_of(&hot.blocks));
        }
    }
}

fn bytes_of(blocks: &[Block]) -> usize {
    // Each has its own allocations beside its bytes.
    blocks.iter().map(|block| block.bytes.len() + 128).sum()
}
