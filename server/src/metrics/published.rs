//! A value that one thread publishes now and then and all threads read often.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The latest of a series of values.
///
/// [`Self::load`] takes a read lock for the copy of a pointer; a loop that reads at each turn keeps a [`Cached`],
/// which is one atomic load while nothing changes.
pub struct Published<T> {
    version: AtomicU64,
    current: RwLock<Arc<T>>,
}

impl<T> Published<T> {
    /// Publishes the first value, version 1.
    pub fn new(value: T) -> Self {
        Self { version: AtomicU64::new(1), current: RwLock::new(Arc::new(value)) }
    }

    /// The latest value.
    pub fn load(&self) -> Arc<T> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Grows with every value published.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Replaces the value.
    pub fn publish(&self, value: impl Into<Arc<T>>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = value.into();
        // Under the lock, so that versions and values go in the same order.
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Replaces the value by what `change` makes of it, with no other change in between; on an error nothing changes.
    pub fn update<E>(&self, change: impl FnOnce(&mut T) -> Result<(), E>) -> Result<(), E>
    where
        T: Clone,
    {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let mut value = T::clone(&current);
        change(&mut value)?;
        *current = Arc::new(value);
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

/// A reader's own copy of the latest value.
pub struct Cached<T> {
    version: u64,
    value: Arc<T>,
}

impl<T> Cached<T> {
    /// Starts with the latest value.
    pub fn new(source: &Published<T>) -> Self {
        // The version first: read the other way round, a change in between would be missed for ever.
        let version = source.version();
        Self { version, value: source.load() }
    }

    /// The latest value, read again only if it changed. Always give the same `source`.
    pub fn get(&mut self, source: &Published<T>) -> &Arc<T> {
        self.refresh(source);
        &self.value
    }

    /// Reads the value again if it changed; says whether it did.
    pub fn refresh(&mut self, source: &Published<T>) -> bool {
        let changed = source.version() != self.version;
        if changed {
            *self = Self::new(source);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_reader_sees_each_change_once() {
        let source = Published::new(1);
        let mut cached = Cached::new(&source);
        assert!(!cached.refresh(&source));
        source.publish(2);
        assert!(cached.refresh(&source));
        assert_eq!(**cached.get(&source), 2);
        assert!(!cached.refresh(&source));
    }

    #[test]
    fn a_refused_update_changes_nothing() {
        let source = Published::new(1);
        let version = source.version();
        assert_eq!(
            source.update(|value| {
                *value = 5;
                Err("no")
            }),
            Err("no")
        );
        assert_eq!((*source.load(), source.version()), (1, version));
        assert_eq!(
            source.update(|value| {
                *value += 1;
                Ok::<_, ()>(())
            }),
            Ok(())
        );
        assert_eq!(*source.load(), 2);
    }

    #[test]
    fn no_update_is_lost_between_threads() {
        let source = Published::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..500).for_each(|_| {
                        source
                            .update(|n| {
                                *n += 1;
                                Ok::<_, ()>(())
                            })
                            .unwrap()
                    })
                });
            }
        });
        assert_eq!(*source.load(), 2000);
    }
}
