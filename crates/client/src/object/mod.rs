//! What a device offers: objects, their instances and resources, seen by the engine through two traits.
//!
//! [`Object`] is one object with all its instances; [`Objects`] is the set a client serves, a tuple of objects
//! (static dispatch, nothing boxed), a slice of `&mut dyn Object`, or with `alloc` a `Vec<Box<dyn Object>>`.
//! Most firmware never implements either: it derives [`Instance`] for a plain struct and wraps it in [`Single`]
//! or [`Multiple`].

#[allow(clippy::wildcard_enum_match_arm, reason = "a value of any other type does not fit")]
mod field;
mod instances;
mod set;

use lightship_lwm2m::object::Operations;
use lightship_lwm2m::{
    DataType, ObjectId, ObjectInstanceId, ObjectVersion, ResourceId, ResourceInstanceId, Value,
};

pub use field::{Array, Bytes, Field, Scalar, Text, Types};
pub(crate) use field::{Slot, slots};
pub use instances::{Instance, Multiple, Single};
pub use set::Objects;

/// Why an object does not do what was asked; the engine turns it into the response code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The instance, resource or resource instance does not exist (4.04).
    NotFound,
    /// The target exists, but not for this operation (4.05).
    NotAllowed,
    /// The value or argument is of the wrong type, form, length or range (4.00).
    BadValue,
    /// The object forbids it, for example the creation of one more resource instance (4.01).
    Forbidden,
    /// No room or no time just now (5.03).
    Busy,
    /// It should have worked and did not (5.00).
    Failed,
    /// No refusal: the answer comes later, through `Client::answer`.
    Later,
}

/// The facts of one object as this device implements it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectModel<'a> {
    /// Object ID.
    pub id: ObjectId,
    /// Version of the object definition.
    pub version: ObjectVersion,
    /// Whether several instances may exist; a single instance always has the ID 0.
    pub multiple: bool,
    /// Resources that this device supports, ascending by ID.
    pub resources: &'a [ResourceModel],
}

impl<'a> ObjectModel<'a> {
    /// Returns the facts of one resource, if this device supports it.
    pub fn resource(&self, id: ResourceId) -> Option<&'a ResourceModel> {
        self.resources.iter().find(|resource| resource.id == id)
    }
}

/// The facts of one resource as this device implements it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResourceModel {
    /// Resource ID.
    pub id: ResourceId,
    /// What a LwM2M Server may do with it.
    pub operations: Operations,
    /// Type of its value; `None` for executables.
    pub data_type: Option<DataType>,
    /// Whether it is an array of resource instances.
    pub multiple: bool,
    /// Whether every instance of the object has it.
    pub mandatory: bool,
    /// Smallest and largest number, or shortest and longest text in bytes, that the definition allows.
    pub range: Option<(f64, f64)>,
}

/// Where an object puts the values of one resource that is read.
///
/// A single resource gives one `value`; a multiple resource gives one `item` per resource instance, ascending,
/// or none at all for an empty array.
pub trait Sink {
    /// Takes the value of a single resource.
    fn value(&mut self, value: Value<'_>);
    /// Takes the value of one resource instance of a multiple resource.
    fn item(&mut self, id: ResourceInstanceId, value: Value<'_>);
}

/// One object with all its instances. Dyn-compatible.
///
/// The engine checks existence, access and types against [`ObjectModel`] before it calls, so an implementation only
/// stores and fetches. Changes come as transactions on one instance: `edit` or `create`, then `write` and `clear`,
/// then `commit` or `abort`; until `commit` nothing of it may be visible in `read`.
///
/// Hosted devices build objects at run time; what only measures needs three methods:
///
/// ```
/// use lightship_client::{Object, ObjectModel, Objects, Refusal, ResourceId, ResourceModel, Sink, Value};
/// use lightship_lwm2m::{DataType, ObjectId, ObjectInstanceId, ObjectVersion, object::Operations};
///
/// struct Meter {
///     id: ObjectId,
///     resources: Vec<ResourceModel>,
/// }
///
/// impl Object for Meter {
///     fn model(&self) -> ObjectModel<'_> {
///         ObjectModel { id: self.id, version: ObjectVersion::V1_0, multiple: false, resources: &self.resources }
///     }
///
///     fn instance_from(&self, from: u16) -> Option<ObjectInstanceId> {
///         (from == 0).then_some(ObjectInstanceId::ZERO)
///     }
///
///     fn read(&self, _: ObjectInstanceId, _: ResourceId, sink: &mut dyn Sink) -> Result<(), Refusal> {
///         sink.value(Value::Float(21.5));
///         Ok(())
///     }
/// }
///
/// let level = ResourceModel {
///     id: ResourceId::new(5700).expect("legal"),
///     operations: Operations::READ,
///     data_type: Some(DataType::Float),
///     multiple: false,
///     mandatory: true,
///     range: None,
/// };
/// let mut meter = Meter { id: ObjectId::new(3322).expect("legal"), resources: vec![level] };
/// // A client takes the list as its objects; with `alloc` also a `Vec<Box<dyn Object>>`.
/// let objects: &mut [&mut dyn Object] = &mut [&mut meter];
/// assert!(objects.at(0).is_some());
/// ```
pub trait Object {
    /// The facts of this object.
    fn model(&self) -> ObjectModel<'_>;

    /// Returns the existing instance with the smallest ID that is `from` or higher.
    fn instance_from(&self, from: u16) -> Option<ObjectInstanceId>;

    /// Gives the present value of a resource to `sink`.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] when this instance does not have the resource, [`Refusal::Later`] when the value has to
    /// be fetched first, or any other refusal.
    fn read(
        &self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal>;

    /// Whether the instance has the resource at present.
    fn has(&self, instance: ObjectInstanceId, resource: ResourceId) -> bool {
        struct Nothing;
        impl Sink for Nothing {
            fn value(&mut self, _: Value<'_>) {}
            fn item(&mut self, _: ResourceInstanceId, _: Value<'_>) {}
        }
        match self.model().resource(resource) {
            None => false,
            Some(model) if model.operations.executable() => true,
            Some(_) => self.read(instance, resource, &mut Nothing) != Err(Refusal::NotFound),
        }
    }

    /// A Bootstrap-Server is going to write and delete: remember how everything is, and let instances be deleted that servers
    /// may not delete. An object that does not care keeps what a bootstrap wrote although it failed in the end.
    fn bootstrap_begins(&mut self) {}

    /// The bootstrap is over; `kept` says whether what it changed counts, or everything is to be as it was.
    fn bootstrap_ends(&mut self, kept: bool) {
        let _ = kept;
    }

    /// Opens a transaction on an existing instance.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], or a refusal of any change.
    fn edit(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        let _ = instance;
        Err(Refusal::NotAllowed)
    }

    /// Opens a transaction that creates an instance.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] when this object does not create instances, [`Refusal::Busy`] when there is no room,
    /// [`Refusal::BadValue`] when the instance exists.
    fn create(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        let _ = instance;
        Err(Refusal::NotAllowed)
    }

    /// Sets a resource, or one resource instance, inside the open transaction.
    ///
    /// # Errors
    /// The reason why this value cannot be taken; the engine then aborts.
    fn write(
        &mut self,
        resource: ResourceId,
        item: Option<ResourceInstanceId>,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let _ = (resource, item, value);
        Err(Refusal::NotAllowed)
    }

    /// Removes an optional resource, empties a multiple resource, or removes one resource instance, inside the open
    /// transaction.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for a resource instance that does not exist, or a refusal to remove it.
    fn clear(&mut self, resource: ResourceId, item: Option<ResourceInstanceId>) -> Result<(), Refusal> {
        let _ = (resource, item);
        Err(Refusal::NotAllowed)
    }

    /// Looks at the open transaction as a whole, without making it visible: what [`Object::commit`] would refuse is refused.
    ///
    /// A Write-Composite asks each instance before it commits the first.
    ///
    /// # Errors
    /// The refusal of the commit.
    fn verify(&self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Makes the open transaction visible, whole.
    ///
    /// # Errors
    /// A refusal leaves everything as it was before the transaction. [`Refusal::Later`] means that the values are taken
    /// and the outcome follows through `Client::answer`.
    fn commit(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Drops the open transaction, if there is one.
    fn abort(&mut self) {}

    /// Deletes an instance.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] when this object keeps its instances.
    fn delete(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        let _ = instance;
        Err(Refusal::NotAllowed)
    }

    /// Executes a resource. `arguments` has passed the grammar check.
    ///
    /// # Errors
    /// The reason why it did not work; [`Refusal::Later`] when the outcome follows through `Client::answer`.
    fn execute(
        &mut self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        arguments: Arguments<'_>,
    ) -> Result<(), Refusal> {
        let _ = (instance, resource, arguments);
        Err(Refusal::NotAllowed)
    }
}

/// The arguments of an Execute: up to ten, each a digit with an optional text (TS_Core 6.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arguments<'a>(&'a str);

impl<'a> Arguments<'a> {
    /// No arguments.
    pub const NONE: Arguments<'static> = Arguments("");

    /// Checks a payload against the grammar: `0`, `2='text'`, `0,1='a',5`.
    ///
    /// Each digit stands at most once. A text is any run of printable ASCII without blank, `"`, `'` and `\`.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(payload).ok()?;
        let mut seen = 0u16;
        let mut rest = text;
        while !rest.is_empty() {
            let ((digit, _), after) = split_argument(rest)?;
            let bit = 1u16 << digit;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            rest = after;
        }
        Some(Arguments(text))
    }

    /// Returns the text as it came, empty when there are no arguments.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Iterates over the arguments: digit and text, if any.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Option<&'a str>)> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (argument, after) = split_argument(rest)?;
            rest = after;
            Some(argument)
        })
    }
}

/// Takes the first argument off, with the comma behind it; a comma must be followed by an argument.
fn split_argument(text: &str) -> Option<((u8, Option<&str>), &str)> {
    let digit = text.bytes().next().filter(u8::is_ascii_digit)?.wrapping_sub(b'0');
    let after = text.get(1..)?;
    let (value, after) = match after.strip_prefix("='") {
        None => (None, after),
        Some(quoted) => {
            let (value, after) = quoted.split_once('\'')?;
            let allowed = |c: u8| (0x21..=0x7E).contains(&c) && c != b'"' && c != b'\\';
            (Some(value).filter(|value| value.bytes().all(allowed)).map(Some)?, after)
        }
    };
    match after.strip_prefix(',') {
        Some("") => None,
        Some(next) => Some(((digit, value), next)),
        None if after.is_empty() => Some(((digit, value), after)),
        None => None,
    }
}
