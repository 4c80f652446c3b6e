//! Several paths read at once: Read-Composite, Observe-Composite and Send (TS_Core 6.3.8, 6.4.5, 6.4.7).

use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::format::{EncodeError, Use};
use lightship_lwm2m::{Path, Value, Version};

use crate::access;
use crate::dispatch::{Deny, Encode, World};
use crate::negotiate;
use crate::object::Refusal;
use crate::read::{Visitor, walk};

/// The smallest of some paths that comes after another one: a walk in tree order without memory.
pub(crate) fn least_after(paths: impl Iterator<Item = Path>, after: Option<Path>) -> Option<Path> {
    paths.filter(|path| after.is_none_or(|after| *path > after)).min()
}

/// Gives the listed path that follows another one; the first one for `None`.
pub(crate) type Next<'a> = &'a dyn Fn(Option<Path>) -> Option<Path>;

/// Hands every readable value at or below the listed paths to `visitor`, in tree order and each once.
///
/// What is absent or may not be read is left out. Returns the number of values and whether a right was missing.
pub(crate) fn gather(
    world: &World<'_>,
    next: Next<'_>,
    visitor: &mut dyn Visitor,
) -> Result<(usize, bool), Refusal> {
    let mut counting = Counting { visitor, count: 0 };
    let mut forbidden = false;
    let mut covered: Option<Path> = None;
    let mut at = next(None);
    while let Some(path) = at {
        if covered.is_none_or(|covered| !covered.contains(path)) {
            covered = Some(path);
            match walk(world, path, &mut counting) {
                Ok(()) | Err(Refusal::NotFound | Refusal::NotAllowed) => {
                    forbidden = forbidden || access::hides(world, path);
                }
                Err(Refusal::Forbidden) => forbidden = true,
                // There is nobody to wait for one of several values.
                Err(Refusal::Later) => return Err(Refusal::Busy),
                Err(other) => return Err(other),
            }
        }
        at = next(Some(path));
    }
    Ok((counting.count, forbidden))
}

struct Counting<'a> {
    visitor: &'a mut dyn Visitor,
    count: usize,
}

impl Visitor for Counting<'_> {
    fn value(&mut self, path: Path, value: Value<'_>) {
        self.count = self.count.saturating_add(1);
        self.visitor.value(path, value);
    }

    fn empty(&mut self, path: Path) {
        self.visitor.empty(path);
    }
}

/// Writes what the listed paths hold into `out`; returns format, length and number of values.
pub(crate) fn encode(
    world: &World<'_>,
    next: Next<'_>,
    accept: ContentFormat,
    purpose: Use,
    version: Version,
    out: &mut [u8],
) -> Result<(ContentFormat, usize, usize), Deny> {
    let format = negotiate::usable(accept, purpose, version).ok_or(Code::NOT_ACCEPTABLE)?;
    let mut encode = Encode::new(world, format, Path::ROOT, out);
    let (count, forbidden) = gather(world, next, &mut encode)?;
    if count == 0 && forbidden {
        return Err(Code::UNAUTHORIZED.into());
    }
    match encode.encoder.finish() {
        Ok(len) => Ok((ContentFormat(format.number()), len, count)),
        Err(EncodeError::NotSingleValue | EncodeError::NotExpressible) => Err(Code::NOT_ACCEPTABLE.into()),
        Err(_) => Err(Code::INTERNAL_SERVER_ERROR.into()),
    }
}
