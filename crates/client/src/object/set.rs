//! The set of objects that a client serves.

use lightship_lwm2m::{Path, Version};

use super::Object;

/// The objects of a client, in any order: a tuple, an array, a slice of `&mut dyn Object`, or a `Vec` of boxes.
///
/// Each Object ID stands once; of two with the same ID the first is served. The client itself provides the objects
/// Security (0) and Server (1).
pub trait Objects {
    /// Returns the object at `index`, counted from 0 without gaps.
    fn at(&self, index: usize) -> Option<&dyn Object>;

    /// Returns the object at `index` to change it.
    fn at_mut(&mut self, index: usize) -> Option<&mut dyn Object>;

    /// What follows is done for a server with which that LwM2M version is negotiated.
    ///
    /// Objects that exist in several versions show the one of that release from now on (Core TS 7.2.2); those with one
    /// version need not care.
    fn serve_as(&mut self, version: Version) {
        let _ = version;
    }

    /// What was readable at and below `path` is on its way to a server, in the answer to a read or in a notification. Returns
    /// whether that changed a value, as it does for data that may be fetched once.
    fn returned(&mut self, path: Path) -> bool {
        let _ = path;
        false
    }

    /// A Bootstrap-Server is going to write and delete: each object remembers how everything is.
    fn bootstrap_begins(&mut self) {
        let mut index = 0;
        while let Some(object) = self.at_mut(index) {
            object.bootstrap_begins();
            index += 1;
        }
    }

    /// The bootstrap is over; `kept` says whether what it changed counts, or everything is to be as it was.
    fn bootstrap_ends(&mut self, kept: bool) {
        let mut index = 0;
        while let Some(object) = self.at_mut(index) {
            object.bootstrap_ends(kept);
            index += 1;
        }
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*);)*) => { $(
        impl<$($name: Object),*> Objects for ($($name,)*) {
            fn at(&self, index: usize) -> Option<&dyn Object> {
                match index {
                    $($index => Some(&self.$index),)*
                    _ => None,
                }
            }

            fn at_mut(&mut self, index: usize) -> Option<&mut dyn Object> {
                match index {
                    $($index => Some(&mut self.$index),)*
                    _ => None,
                }
            }
        }
    )* };
}

tuples! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
}

impl Objects for [&mut dyn Object] {
    fn at(&self, index: usize) -> Option<&dyn Object> {
        self.get(index).map(|object| &**object)
    }

    fn at_mut(&mut self, index: usize) -> Option<&mut dyn Object> {
        match self.get_mut(index) {
            Some(object) => Some(&mut **object),
            None => None,
        }
    }
}

impl<T: Objects + ?Sized> Objects for &mut T {
    fn at(&self, index: usize) -> Option<&dyn Object> {
        (**self).at(index)
    }

    fn at_mut(&mut self, index: usize) -> Option<&mut dyn Object> {
        (**self).at_mut(index)
    }

    fn serve_as(&mut self, version: Version) {
        (**self).serve_as(version);
    }

    fn returned(&mut self, path: Path) -> bool {
        (**self).returned(path)
    }
}

#[cfg(feature = "heap")]
impl Objects for alloc::vec::Vec<alloc::boxed::Box<dyn Object>> {
    fn at(&self, index: usize) -> Option<&dyn Object> {
        self.get(index).map(|object| &**object)
    }

    fn at_mut(&mut self, index: usize) -> Option<&mut dyn Object> {
        match self.get_mut(index) {
            Some(object) => Some(&mut **object),
            None => None,
        }
    }
}

#[cfg(feature = "heap")]
impl Objects for alloc::vec::Vec<alloc::boxed::Box<dyn Object + Send>> {
    fn at(&self, index: usize) -> Option<&dyn Object> {
        self.get(index).map(|object| &**object as &dyn Object)
    }

    fn at_mut(&mut self, index: usize) -> Option<&mut dyn Object> {
        match self.get_mut(index) {
            Some(object) => Some(&mut **object),
            None => None,
        }
    }
}
