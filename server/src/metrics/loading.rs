//! How far a start has come with reading what is on disk.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Written by the threads that read, shown by INFO and in the log.
#[derive(Debug)]
pub struct Loading {
    is_active: AtomicBool,
    is_abandoned: AtomicBool,
    started_unix_s: AtomicU64,
    total_bytes: AtomicU64,
    loaded_bytes: AtomicU64,
    loaded_keys: AtomicU64,
}

impl Default for Loading {
    /// Nothing is being loaded.
    fn default() -> Self {
        Self {
            is_active: AtomicBool::new(false),
            is_abandoned: AtomicBool::new(false),
            started_unix_s: AtomicU64::new(0),
            total_bytes: AtomicU64::new(0),
            loaded_bytes: AtomicU64::new(0),
            loaded_keys: AtomicU64::new(0),
        }
    }
}

impl Loading {
    /// Reading begins: no data command is answered until [`Self::end`].
    pub fn begin(&self, unix_ms: u64) {
        self.started_unix_s.store(unix_ms / 1000, Ordering::Relaxed);
        self.is_active.store(true, Ordering::Release);
    }

    /// All is served.
    pub fn end(&self) {
        self.is_active.store(false, Ordering::Release);
    }

    /// Between [`Self::begin`] and [`Self::end`].
    pub fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Acquire)
    }

    /// The process is to stop: whoever reads gives up soon.
    pub fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    /// See [`Self::abandon`].
    pub fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed)
    }

    /// So much more is to be read.
    pub fn expect(&self, bytes: u64) {
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So much more was read, and the number of keys grew, or shrank, by so many.
    pub fn advance(&self, bytes: u64, keys: i64) {
        self.loaded_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.loaded_keys.fetch_add(keys as u64, Ordering::Relaxed);
    }

    /// When it began, in Unix seconds.
    pub fn started_unix_s(&self) -> u64 {
        self.started_unix_s.load(Ordering::Relaxed)
    }

    /// Bytes to be read.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// Bytes read.
    pub fn loaded_bytes(&self) -> u64 {
        self.loaded_bytes.load(Ordering::Relaxed)
    }

    /// Keys there are so far.
    pub fn loaded_keys(&self) -> u64 {
        self.loaded_keys.load(Ordering::Relaxed)
    }

    /// How much was read, of 100.
    pub fn percent(&self) -> f64 {
        let (loaded, total) = (self.loaded_bytes(), self.total_bytes());
        if total == 0 { 0.0 } else { (loaded as f64 / total as f64 * 100.0).min(100.0) }
    }
}
