//! Following: the blocks that are passed on to somebody else, in order.
//!
//! The follower keeps its own place: segments stay until it has passed them. It reads as the lanes
//! do, from memory what is new and from the files what is older; where it is after a restart it
//! must remember itself.

use std::{io, sync::Arc};

use tokio::sync::watch;

use super::{BlockId, Core, Journal, Position, cursor::Cursor, files::Disk};
use crate::block::{Block, Table};

/// Reads the blocks of [`Table::Forward`].
#[derive(Debug)]
pub struct Follower {
    core: Arc<Core<Disk>>,
    cursor: Cursor<<Disk as super::files::Files>::Handle>,
    head: watch::Receiver<Position>,
}

impl Journal {
    /// A follower that has everything up to `after`. To be called before [`Journal::deliver_to`],
    /// or segments with what it has not read may be gone.
    pub fn follow(&self, after: Option<BlockId>) -> Follower {
        let core = Arc::clone(&self.core);
        core.progress()
            .passed_on(after.map(|id| id.record).unwrap_or_default());
        Follower {
            cursor: Cursor::new(Arc::clone(&core.index), Table::Forward, after),
            head: core.index.watch_head(),
            core,
        }
    }
}

// === impl Follower ===

impl Follower {
    /// The next block, which stays the next. May wait for a file.
    pub fn peek(&mut self) -> io::Result<Option<&(BlockId, Block)>> {
        self.head.mark_unchanged();
        self.cursor.peek()?;
        for block in self.cursor.damaged() {
            tracing::error!(items = block.rows, block = %block.id,
                "a block of the journal is damaged and is not passed on");
        }
        self.cursor.peek()
    }

    /// Takes what [`Follower::peek`] showed.
    pub fn take(&mut self) -> Option<(BlockId, Block)> {
        self.cursor.take()
    }

    /// Waits until there is more than what was read.
    pub async fn more(&mut self) {
        // The sender lives as long as the index, which this holds.
        _ = self.head.changed().await;
    }

    /// Everything taken is where it should be: what holds only that may go.
    pub fn passed(&self) {
        if self.core.progress().passed_on(self.cursor.position()) {
            self.core.release();
        }
    }

    /// Segments that hold what was not passed on.
    pub fn segments_behind(&self) -> u64 {
        let head = self.core.index.head().segment;
        head.saturating_sub(self.cursor.position().segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::progress::Progress;

    #[test]
    fn what_was_not_passed_on_holds_its_segment_and_nothing_after_it() {
        let at = |segment| Position {
            segment,
            offset: 48,
        };
        let mut progress = Progress::new(None);
        for table in Table::ALL {
            progress.advance(table, at(5), Some(at(5)));
        }
        assert_eq!(progress.floor(), at(5), "nobody passes anything on");
        progress.passed_on(Position::default());
        assert_eq!(progress.floor(), Position::default());
        assert!(progress.passed_on(at(3)), "it left a segment behind");
        assert_eq!(progress.floor(), at(3));
        assert!(!progress.passed_on(Position {
            offset: 99,
            ..at(3)
        }));
        progress.passed_on(at(7));
        assert_eq!(progress.floor(), at(5), "the lanes need theirs");
    }
}
