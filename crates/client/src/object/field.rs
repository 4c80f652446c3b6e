//! Types that can be fields of a derived object.

mod scalar;

use lightship_lwm2m::{DataType, ResourceInstanceId, Value};

pub use self::scalar::{Bytes, Text};
use super::{Refusal, Sink};

/// A set of data types, for the compile-time check of fields against the object definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Types(u16);

impl Types {
    /// The set of exactly these types.
    pub const fn of(types: &[DataType]) -> Self {
        let mut bits = 0;
        let mut rest = types;
        while let [first, tail @ ..] = rest {
            bits |= bit(*first);
            rest = tail;
        }
        Types(bits)
    }

    /// Whether `data_type` is in the set.
    pub const fn contains(self, data_type: DataType) -> bool {
        self.0 & bit(data_type) != 0
    }
}

const fn bit(data_type: DataType) -> u16 {
    match data_type {
        DataType::String => 1,
        DataType::Integer => 1 << 1,
        DataType::Unsigned => 1 << 2,
        DataType::Float => 1 << 3,
        DataType::Boolean => 1 << 4,
        DataType::Opaque => 1 << 5,
        DataType::Time => 1 << 6,
        DataType::ObjectLink => 1 << 7,
        DataType::Corelnk => 1 << 8,
    }
}

/// One value of a type that LwM2M knows.
pub trait Scalar: Sized {
    /// Data types of a definition that this type can stand for.
    const TYPES: Types;

    /// Returns the value as the formats take it.
    fn value(&self) -> Value<'_>;

    /// Makes one from a value that came from a server.
    ///
    /// # Errors
    /// [`Refusal::BadValue`] when the value does not fit into this type.
    fn from_value(value: Value<'_>) -> Result<Self, Refusal>;
}

/// A field of a derived object: a [`Scalar`], an [`Array`] of them, or an `Option` of either.
pub trait Field: Sized {
    /// Data types of a definition that this field can stand for.
    const TYPES: Types;
    /// Whether it is an array of resource instances.
    const MULTIPLE: bool = false;
    /// Whether it can be absent.
    const OPTIONAL: bool = false;

    /// Gives the present value to `sink`.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] when it is absent.
    fn read(&self, sink: &mut dyn Sink) -> Result<(), Refusal>;

    /// Makes a field from the first value written to it.
    ///
    /// # Errors
    /// [`Refusal::BadValue`] when the value does not fit.
    fn first(item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<Self, Refusal>;

    /// Replaces the value, or adds or replaces one resource instance.
    ///
    /// # Errors
    /// [`Refusal::BadValue`] when the value does not fit, [`Refusal::Forbidden`] when the array is full.
    fn write(&mut self, item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<(), Refusal>;

    /// Removes the value, empties the array, or removes one resource instance.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] when there must be a value, [`Refusal::NotFound`] when there is no such instance.
    fn clear(&mut self, item: Option<ResourceInstanceId>) -> Result<(), Refusal>;
}

/// A [`Field`] of any type.
pub(crate) trait Slot {
    fn read_slot(&self, sink: &mut dyn Sink) -> Result<(), Refusal>;
    fn write_slot(&mut self, item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<(), Refusal>;
    fn clear_slot(&mut self, item: Option<ResourceInstanceId>) -> Result<(), Refusal>;
}

impl<F: Field> Slot for F {
    fn read_slot(&self, sink: &mut dyn Sink) -> Result<(), Refusal> {
        self.read(sink)
    }

    fn write_slot(&mut self, item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<(), Refusal> {
        self.write(item, value)
    }

    fn clear_slot(&mut self, item: Option<ResourceInstanceId>) -> Result<(), Refusal> {
        self.clear(item)
    }
}

/// Writes the functions `slot` and `slot_mut`, which find the field of a struct that holds a resource.
macro_rules! slots {
    ($owner:ty; $($id:literal $($field:ident).+;)*) => {
        fn slot(owner: &$owner, resource: u16) -> Option<&dyn Slot> {
            Some(match resource {
                $($id => &owner.$($field).+,)*
                _ => return None,
            })
        }

        fn slot_mut(owner: &mut $owner, resource: u16) -> Option<&mut dyn Slot> {
            Some(match resource {
                $($id => &mut owner.$($field).+,)*
                _ => return None,
            })
        }
    };
}
pub(crate) use slots;

impl<T: Scalar> Field for T {
    const TYPES: Types = <T as Scalar>::TYPES;

    fn read(&self, sink: &mut dyn Sink) -> Result<(), Refusal> {
        sink.value(self.value());
        Ok(())
    }

    fn first(item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<Self, Refusal> {
        if item.is_some() { Err(Refusal::BadValue) } else { T::from_value(value) }
    }

    fn write(&mut self, item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<(), Refusal> {
        *self = Self::first(item, value)?;
        Ok(())
    }

    fn clear(&mut self, _: Option<ResourceInstanceId>) -> Result<(), Refusal> {
        Err(Refusal::NotAllowed)
    }
}

impl<F: Field> Field for Option<F> {
    const TYPES: Types = F::TYPES;
    const MULTIPLE: bool = F::MULTIPLE;
    const OPTIONAL: bool = true;

    fn read(&self, sink: &mut dyn Sink) -> Result<(), Refusal> {
        self.as_ref().ok_or(Refusal::NotFound)?.read(sink)
    }

    fn first(item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<Self, Refusal> {
        F::first(item, value).map(Some)
    }

    fn write(&mut self, item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<(), Refusal> {
        match self {
            Some(field) => field.write(item, value),
            None => {
                *self = Some(F::first(item, value)?);
                Ok(())
            }
        }
    }

    fn clear(&mut self, item: Option<ResourceInstanceId>) -> Result<(), Refusal> {
        match (item, self.as_mut()) {
            (None, _) => {
                *self = None;
                Ok(())
            }
            (Some(_), Some(field)) => field.clear(item),
            (Some(_), None) => Err(Refusal::NotFound),
        }
    }
}

/// The resource instances of a multiple resource, at most `N`, ascending by ID.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Array<T, const N: usize> {
    items: [Option<(ResourceInstanceId, T)>; N],
}

impl<T, const N: usize> Array<T, N> {
    /// An array without resource instances.
    pub const fn new() -> Self {
        Array { items: [const { None }; N] }
    }

    /// Returns one resource instance.
    pub fn get(&self, id: u16) -> Option<&T> {
        self.iter().find(|(present, _)| u16::from(*present) == id).map(|(_, value)| value)
    }

    /// Iterates over the resource instances, ascending by ID.
    pub fn iter(&self) -> impl Iterator<Item = (ResourceInstanceId, &T)> {
        self.items.iter().flatten().map(|(id, value)| (*id, value))
    }

    /// Adds or replaces a resource instance; gives the value back when the array is full.
    ///
    /// # Errors
    /// The value, when all `N` places are taken.
    pub fn insert(&mut self, id: ResourceInstanceId, value: T) -> Result<(), T> {
        let mut entry = (id, value);
        if let Some(place) = self.items.iter_mut().flatten().find(|(present, _)| *present == id) {
            *place = entry;
            return Ok(());
        }
        if self.items.iter().all(Option::is_some) {
            return Err(entry.1);
        }
        for slot in &mut self.items {
            match slot {
                None => {
                    *slot = Some(entry);
                    break;
                }
                Some(present) if present.0 > entry.0 => core::mem::swap(present, &mut entry),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Removes a resource instance.
    pub fn remove(&mut self, id: ResourceInstanceId) -> Option<T> {
        let at = self.items.iter().position(|slot| matches!(slot, Some((present, _)) if *present == id))?;
        let tail = self.items.get_mut(at..)?;
        let taken = tail.first_mut()?.take();
        tail.rotate_left(1);
        taken.map(|(_, value)| value)
    }

    /// Removes all resource instances.
    pub fn clear(&mut self) {
        self.items = [const { None }; N];
    }
}

impl<T, const N: usize> Default for Array<T, N> {
    fn default() -> Self {
        Array::new()
    }
}

/// Numbers the values 0, 1, 2 ….
impl<T, const N: usize> From<[T; N]> for Array<T, N> {
    fn from(values: [T; N]) -> Self {
        let mut ids = 0..u16::MAX;
        Array { items: values.map(|value| Some((ResourceInstanceId::new(ids.next()?)?, value))) }
    }
}

impl<T: Scalar, const N: usize> Field for Array<T, N> {
    const TYPES: Types = T::TYPES;
    const MULTIPLE: bool = true;

    fn read(&self, sink: &mut dyn Sink) -> Result<(), Refusal> {
        self.iter().for_each(|(id, value)| sink.item(id, value.value()));
        Ok(())
    }

    fn first(item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<Self, Refusal> {
        let mut array = Array::new();
        Field::write(&mut array, item, value)?;
        Ok(array)
    }

    fn write(&mut self, item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<(), Refusal> {
        let id = item.ok_or(Refusal::BadValue)?;
        self.insert(id, T::from_value(value)?).map_err(|_| Refusal::Forbidden)
    }

    fn clear(&mut self, item: Option<ResourceInstanceId>) -> Result<(), Refusal> {
        match item {
            None => Array::clear(self),
            Some(id) => {
                self.remove(id).ok_or(Refusal::NotFound)?;
            }
        }
        Ok(())
    }
}

#[cfg(feature = "heap")]
mod owned {
    use alloc::collections::BTreeMap;
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::{DataType, Field, Refusal, ResourceInstanceId, Scalar, Sink, Types, Value};

    impl Scalar for String {
        const TYPES: Types = Types::of(&[DataType::String, DataType::Corelnk]);

        fn value(&self) -> Value<'_> {
            Value::String(self)
        }

        fn from_value(value: Value<'_>) -> Result<Self, Refusal> {
            match value {
                Value::String(text) | Value::Corelnk(text) => Ok(text.into()),
                _ => Err(Refusal::BadValue),
            }
        }
    }

    impl Scalar for Vec<u8> {
        const TYPES: Types = Types::of(&[DataType::Opaque]);

        fn value(&self) -> Value<'_> {
            Value::Opaque(self)
        }

        fn from_value(value: Value<'_>) -> Result<Self, Refusal> {
            if let Value::Opaque(bytes) = value { Ok(bytes.into()) } else { Err(Refusal::BadValue) }
        }
    }

    impl<T: Scalar> Field for BTreeMap<ResourceInstanceId, T> {
        const TYPES: Types = T::TYPES;
        const MULTIPLE: bool = true;

        fn read(&self, sink: &mut dyn Sink) -> Result<(), Refusal> {
            self.iter().for_each(|(id, value)| sink.item(*id, value.value()));
            Ok(())
        }

        fn first(item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<Self, Refusal> {
            let mut map = BTreeMap::new();
            Field::write(&mut map, item, value)?;
            Ok(map)
        }

        fn write(&mut self, item: Option<ResourceInstanceId>, value: Value<'_>) -> Result<(), Refusal> {
            self.insert(item.ok_or(Refusal::BadValue)?, T::from_value(value)?);
            Ok(())
        }

        fn clear(&mut self, item: Option<ResourceInstanceId>) -> Result<(), Refusal> {
            match item {
                None => BTreeMap::clear(self),
                Some(id) => {
                    self.remove(&id).ok_or(Refusal::NotFound)?;
                }
            }
            Ok(())
        }
    }
}
