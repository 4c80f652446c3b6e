//! What the server that asks may do (TS_Core 8).

use lightship_lwm2m::{ObjectId, ObjectInstanceId};

use crate::dispatch::{Operation, World};

/// Whether the server of account `asking` may do `operation` to an instance, or, without one, to the object itself.
///
/// Asked once for each instance that an operation touches, after it was found to exist. Object and instance are there; `/0`,
/// `/21` and `/23` never come here.
pub(crate) fn allows(
    world: &World<'_>,
    asking: u8,
    operation: Operation,
    object: ObjectId,
    instance: Option<ObjectInstanceId>,
) -> bool {
    // Servers have all rights.
    let _ = (world, asking, operation, object, instance);
    true
}
