//! The trees as readers find them: open, or about to be open again after a failure.

use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// What is open, `T` being the trees; gone while it is opened again.
pub(super) struct Opened<T> {
    open: RwLock<Option<Arc<T>>>,
    is_opening: Mutex<bool>,
    is_over: Condvar,
}

/// It is being opened again until this is dropped, and who wants to read waits.
pub(super) struct Opening<'a, T>(&'a Opened<T>);

impl<T> Opened<T> {
    pub(super) fn new(open: T) -> Opened<T> {
        Opened {
            open: RwLock::new(Some(Arc::new(open))),
            is_opening: Mutex::new(false),
            is_over: Condvar::new(),
        }
    }

    /// What is open now.
    pub(super) fn now(&self) -> Option<Arc<T>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, or what is being opened, once it is.
    pub(super) fn soon(&self) -> Option<Arc<T>> {
        self.now().or_else(|| {
            let is_opening = self.is_opening.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.is_over.wait_timeout_while(is_opening, PATIENCE, |is_opening| *is_opening));
            self.now()
        })
    }

    pub(super) fn opening(&self) -> Opening<'_, T> {
        self.set_opening(true);
        Opening(self)
    }

    fn set_opening(&self, is_opening: bool) {
        *self.is_opening.lock().unwrap_or_else(PoisonError::into_inner) = is_opening;
        self.is_over.notify_all();
    }
}

impl<T> Opening<'_, T> {
    /// Closes what is open, once nobody reads it any more; whether somebody did so for too long.
    pub(super) fn close(&self) -> bool {
        let Some(mut open) = self.0.open.write().unwrap_or_else(PoisonError::into_inner).take() else {
            return true;
        };
        for _ in 0..PATIENCE.as_millis() {
            match Arc::try_unwrap(open) {
                Ok(open) => {
                    drop(open);
                    return true;
                }
                Err(read) => open = read,
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        self.set(open);
        false
    }

    pub(super) fn set(&self, open: Arc<T>) {
        *self.0.open.write().unwrap_or_else(PoisonError::into_inner) = Some(open);
    }
}

impl<T> Drop for Opening<'_, T> {
    fn drop(&mut self) {
        self.0.set_opening(false);
    }
}

/// How long a reader may hold up the opening, and the opening a reader.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_meanwhile_waits_until_it_is_open_again() {
        let opened = Opened::new(1);
        let opening = opened.opening();
        assert!(opening.close());
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| opened.soon());
            std::thread::park_timeout(Duration::from_millis(20));
            opening.set(Arc::new(2));
            drop(opening);
            assert_eq!(reader.join().expect("no panic").as_deref(), Some(&2));
        });
    }

    #[test]
    fn who_reads_after_it_could_not_be_opened_hears_so_and_does_not_wait() {
        let opened = Opened::new(1);
        let opening = opened.opening();
        assert!(opening.close() && opening.close(), "closed twice is closed");
        drop(opening);
        assert!(!*opened.is_opening.lock().expect("not poisoned"), "nothing to wait for");
        assert_eq!(opened.soon(), None);
    }
}
