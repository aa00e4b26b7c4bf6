//! Facts: what the records carry for whoever follows the journal, in order.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{
    files::Handle,
    index::{Index, Place},
    position::Position,
    segment::{Step, Walk},
};

/// The facts of the records after `position`, up to what was durable when each is asked for.
/// Records without facts are passed over.
pub(super) fn since<H: Handle>(
    index: Arc<Index<H>>,
    position: Option<Position>,
) -> impl Iterator<Item = io::Result<(Position, Bytes)>> {
    let mut at = position.unwrap_or_default();
    let mut walk: Option<(u64, Walk<H>)> = None;
    std::iter::from_fn(move || {
        loop {
            match index.locate_file(at) {
                Place::End | Place::Memory(_) => return None,
                Place::Skip(next) => at = next,
                Place::File(segment) => {
                    let number = at.segment;
                    let mut on = match walk.take() {
                        Some((of, mut on)) if of == number && on.at() == at.offset => {
                            on.extend(segment.end);
                            on
                        }
                        _ => Walk::new(segment.file, segment.seed, at.offset, segment.end),
                    };
                    let step = on.step();
                    at.offset = on.at();
                    walk = Some((number, on));
                    match step {
                        Err(error) => return Some(Err(error)),
                        Ok(Some(Step::Record(found))) => {
                            let record = Position {
                                segment: number,
                                offset: found.at,
                            };
                            if Some(record) > position && !found.meta.facts.is_empty() {
                                return Some(Ok((record, found.meta.facts)));
                            }
                        }
                        Ok(_) => {}
                    }
                }
            }
        }
    })
}
