//! The access control entries that a device is made with: instances of object 2 (TS_Core 8, E.3).

use crate::failure::Failure;
use lightship_lwm2m::{OwnedValue, ResourceInstanceId};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Stands for the object itself in place of an instance, and for nobody in place of an owner.
const NONE: u16 = u16::MAX;
/// All rights: read, write, execute, delete and create.
const RIGHTS_MAX: u8 = 31;

/// An `[[access]]` of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAccess {
    object: u16,
    instance: Option<u16>,
    owner: Option<u16>,
    /// Rights by Short Server ID; 0 is everyone else.
    #[serde(default)]
    acl: BTreeMap<String, u8>,
}

/// An instance of object 2: its resources, with the resource instance of those that are multiple.
pub(crate) type AccessEntry = Vec<(u16, Option<ResourceInstanceId>, OwnedValue)>;

/// What the entries hold.
pub(super) fn entries(listed: &[RawAccess]) -> Result<Vec<AccessEntry>, Failure> {
    listed.iter().map(RawAccess::entry).collect()
}

impl RawAccess {
    fn entry(&self) -> Result<AccessEntry, Failure> {
        const ACL: u16 = 2;
        let number = |number: u16| OwnedValue::Integer(number.into());
        let mut entry: AccessEntry = vec![
            (0, None, number(self.object)),
            (1, None, number(self.instance.unwrap_or(NONE))),
            (3, None, number(self.owner.unwrap_or(NONE))),
        ];
        for (server, rights) in &self.acl {
            let id = server.parse().ok().and_then(ResourceInstanceId::new);
            let id = id.filter(|_| *rights <= RIGHTS_MAX).ok_or_else(|| {
                Failure::usage(format_args!(
                    "access to object {}: acl {server} = {rights}: expected a Short Server ID, or 0 for all others, and rights from 0 to {RIGHTS_MAX}",
                    self.object
                ))
            })?;
            entry.push((ACL, Some(id), OwnedValue::Integer((*rights).into())));
        }
        Ok(entry)
    }
}
