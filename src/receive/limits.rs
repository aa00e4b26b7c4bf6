//! How much of other people's bytes we hold at once.
//!
//! One [`Admission`] is shared by every receiver; each request carries a [`Permit`] that grows
//! with what is read and inflated and gives everything back when it is dropped. Nothing waits:
//! a full house is said at once, so that the client keeps its data and comes back.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What every request together may hold, before and after decompression.
pub const IN_FLIGHT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The bytes in flight of all receivers that share it.
#[derive(Debug)]
pub struct Admission {
    bytes_max: usize,
    bytes: AtomicUsize,
}

/// The bytes of one request; given back on drop.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    bytes: AtomicUsize,
}

/// No room for more bytes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Admission {
    /// At most `bytes_max` bytes in flight.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            bytes: AtomicUsize::new(0),
        })
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// An empty permit.
    pub fn permit(self: &Arc<Self>) -> Arc<Permit> {
        Arc::new(Permit {
            admission: Arc::clone(self),
            bytes: AtomicUsize::new(0),
        })
    }

    fn take(&self, more: usize) -> Result<(), Full> {
        self.bytes
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(more).filter(|sum| *sum <= self.bytes_max)
            })
            .map(|_| ())
            .map_err(|_| Full)
    }
}

impl Permit {
    /// Holds `more` bytes, or says that there is no room.
    pub fn grow(&self, more: usize) -> Result<(), Full> {
        self.admission.take(more)?;
        self.bytes.fetch_add(more, Ordering::Relaxed);
        Ok(())
    }

    /// Holds at least `total` bytes.
    pub fn grow_to(&self, total: usize) -> Result<(), Full> {
        self.grow(total.saturating_sub(self.bytes.load(Ordering::Relaxed)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission
            .bytes
            .fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_gives_back_what_it_took() {
        let admission = Admission::new(100);
        let first = admission.permit();
        first.grow(60).unwrap();
        let second = admission.permit();
        assert_eq!(second.grow_to(41), Err(Full));
        second.grow_to(40).unwrap();
        assert_eq!(admission.bytes(), 100);
        drop(first);
        assert_eq!(admission.bytes(), 40);
        assert_eq!(second.grow(usize::MAX), Err(Full));
        drop(second);
        assert_eq!(admission.bytes(), 0);
    }
}
