//! Files: what the journal asks of a file system, and the real one.
//!
//! One flat directory, files written at offsets, and an explicit sync for each thing that must
//! survive a power failure: a file's bytes and the directory's names are two things. The tests put
//! a simulated file system here that loses what was not synced, and worse.

use std::{
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// A directory of files.
pub trait Files: Debug + Send + Sync + 'static {
    type Handle: Handle;

    /// The names in it, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens what is there, for reading and writing.
    fn open(&self, name: &str) -> io::Result<Self::Handle>;
    /// Makes a new empty file; fails if there is one.
    fn create(&self, name: &str) -> io::Result<Self::Handle>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes names that were made or removed survive a power failure.
    fn sync_names(&self) -> io::Result<()>;
}

/// An open file.
pub trait Handle: Debug + Send + Sync + 'static {
    /// Its length in bytes.
    fn bytes(&self) -> io::Result<u64>;
    /// Reads as much as there is, up to the length of `buffer`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`; after an error any part of them may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Makes bytes and length survive a power failure.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the operating system's.
#[derive(Debug, Clone)]
pub struct Disk {
    path: PathBuf,
}

// === impl Disk ===

impl Disk {
    /// Makes the directory if it is missing, readable by its owner only: it holds prompts.
    pub fn at(path: &Path) -> io::Result<Disk> {
        let missing = !path.is_dir();
        fs::create_dir_all(path)?;
        if missing {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
            if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(Disk {
            path: path.to_owned(),
        })
    }

    /// Where a file of this name is.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Files for Disk {
    type Handle = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path_of(name))
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.path_of(name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path_of(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Handle for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match std::os::unix::fs::FileExt::read_at(self, rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
