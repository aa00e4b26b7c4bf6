//! A simulated file system: what was not synced may be lost, in part and out of order; syncs and
//! writes fail when told to; bits flip.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::journal::files::{Files, Handle};

/// Torn writes tear here.
const SECTOR_BYTES: usize = 64;

#[derive(Debug, Clone, Default)]
pub struct SimFiles(Arc<Mutex<Sim>>);

#[derive(Debug, Default)]
struct Sim {
    files: Vec<SimFile>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    faults: Vec<Fault>,
    /// Bytes that files may still grow by.
    space: Option<usize>,
    random: u64,
}

#[derive(Debug, Default, Clone)]
struct SimFile {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync, in order.
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// Fails the next operation of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// EIO after a part was written.
    Write,
    /// EIO, and what was to be synced never will be.
    Sync,
    SyncNames,
    Create,
    Truncate,
    Remove,
}

#[derive(Debug)]
pub struct SimHandle {
    sim: Arc<Mutex<Sim>>,
    file: usize,
}

impl SimFiles {
    pub fn fail_next(&self, fault: Fault) {
        self.sim().faults.push(fault);
    }

    pub fn set_space(&self, bytes: Option<usize>) {
        self.sim().space = bytes;
    }

    pub fn heal(&self) {
        let mut sim = self.sim();
        sim.faults.clear();
        sim.space = None;
    }

    /// The power fails: of what was not synced, any part may have reached the disk.
    pub fn lose_power(&self, seed: u64) {
        let mut sim = self.sim();
        sim.random = seed | 1;
        sim.faults.clear();
        for at in 0..sim.files.len() {
            let file = sim.files[at].clone();
            let mut durable = file.durable;
            for change in file.pending {
                change.tear(&mut durable, &mut sim);
            }
            sim.files[at] = SimFile {
                now: durable.clone(),
                durable,
                pending: Vec::new(),
            };
        }
        let (mut names, durable) = (sim.names.clone(), sim.durable_names.clone());
        for (name, file) in &durable {
            // A removal that was not synced may come undone.
            if !names.contains_key(name) && sim.chance(2) {
                names.insert(name.clone(), *file);
            }
        }
        // A new name that was not synced may be gone.
        names.retain(|name, _| durable.contains_key(name) || sim.chance(2));
        sim.durable_names = names.clone();
        sim.names = names;
    }

    /// The process dies; what it wrote stays.
    pub fn die(&self) {
        self.sim().faults.clear();
    }

    /// The names of files that end like this.
    pub fn named(&self, suffix: &str) -> Vec<String> {
        let sim = self.sim();
        sim.names
            .keys()
            .filter(|name| name.contains(suffix))
            .cloned()
            .collect()
    }

    /// Bytes of all files whose names have this in them.
    pub fn bytes_of(&self, part: &str) -> u64 {
        let bytes = |name: &String| self.bytes(name).len() as u64;
        self.named(part).iter().map(bytes).sum()
    }

    /// Changes one bit of a file.
    pub fn flip(&self, name: &str, bit: usize) {
        let mut sim = self.sim();
        let file = sim.names[name];
        let file = &mut sim.files[file];
        let bits = file.now.len() * 8;
        if bits > 0 {
            let bit = bit % bits;
            file.now[bit / 8] ^= 1 << (bit % 8);
            file.durable = file.now.clone();
        }
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let sim = self.sim();
        sim.files[sim.names[name]].now.clone()
    }

    pub fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let mut sim = self.sim();
        let file = sim.names[name];
        sim.files[file].now = bytes.clone();
        sim.files[file].durable = bytes;
    }

    fn sim(&self) -> MutexGuard<'_, Sim> {
        self.0.lock().expect("no panic")
    }
}

impl Sim {
    fn chance(&mut self, one_in: u64) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.is_multiple_of(one_in)
    }

    fn fails(&mut self, fault: Fault) -> io::Result<()> {
        match self.faults.iter().position(|f| *f == fault) {
            Some(at) => {
                self.faults.remove(at);
                Err(io::Error::other("EIO"))
            }
            None => Ok(()),
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(at, new) => {
                bytes.resize(bytes.len().max(at + new.len()), 0);
                bytes[*at..at + new.len()].copy_from_slice(new);
            }
            Change::Truncate(length) => bytes.resize(*length, 0),
        }
    }

    /// All of it, nothing, or some sectors.
    fn tear(&self, bytes: &mut Vec<u8>, sim: &mut Sim) {
        if sim.chance(3) {
            return self.apply(bytes);
        }
        let Change::Write(at, new) = self else { return };
        if sim.chance(3) {
            return;
        }
        for (n, sector) in new.chunks(SECTOR_BYTES).enumerate() {
            if sim.chance(2) {
                Change::Write(at + n * SECTOR_BYTES, sector.to_vec()).apply(bytes);
            }
        }
    }
}

impl Files for SimFiles {
    type Handle = SimHandle;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.sim().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<SimHandle> {
        let file = self.sim().names.get(name).copied();
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        Ok(SimHandle {
            sim: Arc::clone(&self.0),
            file,
        })
    }

    fn create(&self, name: &str) -> io::Result<SimHandle> {
        let mut sim = self.sim();
        sim.fails(Fault::Create)?;
        if sim.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = sim.files.len();
        sim.files.push(SimFile::default());
        sim.names.insert(name.to_owned(), file);
        Ok(SimHandle {
            sim: Arc::clone(&self.0),
            file,
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut sim = self.sim();
        sim.fails(Fault::Remove)?;
        let file = sim.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        let freed = sim.files[file].now.len();
        sim.space = sim.space.map(|space| space + freed);
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut sim = self.sim();
        sim.fails(Fault::SyncNames)?;
        sim.durable_names = sim.names.clone();
        Ok(())
    }
}

impl SimHandle {
    fn with<T>(&self, act: impl FnOnce(&mut Sim, usize) -> T) -> T {
        act(&mut self.sim.lock().expect("no panic"), self.file)
    }
}

impl Handle for SimHandle {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.with(|sim, file| sim.files[file].now.len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|sim, file| {
            let bytes = &sim.files[file].now;
            let from = bytes.get(offset as usize..).unwrap_or_default();
            let n = from.len().min(buffer.len());
            buffer[..n].copy_from_slice(&from[..n]);
            Ok(n)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|sim, file| {
            let length = sim.files[file].now.len();
            let growth = (offset as usize + bytes.len()).saturating_sub(length);
            let (fits, error) = match (sim.fails(Fault::Write), sim.space) {
                (Err(error), _) => (bytes.len() / 2, Some(error)),
                (Ok(()), Some(space)) if growth > space => {
                    let fits = bytes.len() - (growth - space);
                    (fits, Some(io::ErrorKind::StorageFull.into()))
                }
                (Ok(()), _) => (bytes.len(), None),
            };
            let change = Change::Write(offset as usize, bytes[..fits].to_vec());
            let file = &mut sim.files[file];
            change.apply(&mut file.now);
            let grown = file.now.len().saturating_sub(length);
            file.pending.push(change);
            sim.space = sim.space.map(|space| space.saturating_sub(grown));
            error.map_or(Ok(()), Err)
        })
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.with(|sim, file| {
            sim.fails(Fault::Truncate)?;
            let change = Change::Truncate(bytes as usize);
            let file = &mut sim.files[file];
            change.apply(&mut file.now);
            file.pending.push(change);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|sim, file| {
            let failed = sim.fails(Fault::Sync);
            let file = &mut sim.files[file];
            // After a failure the pages are clean and were never written: later syncs say nothing.
            let pending = std::mem::take(&mut file.pending);
            failed?;
            pending
                .iter()
                .for_each(|change| change.apply(&mut file.durable));
            Ok(())
        })
    }
}
