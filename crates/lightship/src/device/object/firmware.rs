//! Firmware Update (object 5): an image can be pushed, installed (which takes a few seconds and a restart), cancelled.
//!
//! ```text
//!            Package            Update              done
//!   Idle ───────────▶ Downloaded ──────▶ Updating ──────▶ Idle, result 1, /3/0/3 shows the new version
//!    ▲  ◀─── reset ──────┘  (empty URI, Package 0x00, Cancel)
//! ```
//! Images cannot be fetched by this device, so it says "push only" and answers a Package URI with result 9.
//! TS_Core appendix E.6; the simulated image's first line of text, if it has one, is its version.

use super::Instance;
use super::behaviour::{Behaviour, Call, Change, World, integer, put, single};
use lightship_client::Refusal;
use lightship_lwm2m::{ObjectInstanceId, OwnedValue};
use lightship_platform::Instant;
use std::time::Duration;

const PACKAGE: u16 = 0;
const PACKAGE_URI: u16 = 1;
const UPDATE: u16 = 2;
const STATE: u16 = 3;
const RESULT: u16 = 5;
const PACKAGE_VERSION: u16 = 7;
const CANCEL: u16 = 10;
const LAST_STATE_CHANGE: u16 = 12;
const AUTOMATIC_UPGRADE: u16 = 14;

const IDLE: i64 = 0;
const DOWNLOADED: i64 = 2;
const UPDATING: i64 = 3;

const RESULT_INITIAL: i64 = 0;
const RESULT_SUCCESS: i64 = 1;
const RESULT_UNSUPPORTED_PROTOCOL: i64 = 9;
const RESULT_CANCELLED: i64 = 10;

/// How long installing takes.
const INSTALL_FOR: Duration = Duration::from_secs(3);
/// Longest first line that is taken as a version.
const VERSION_LEN_MAX: usize = 64;

/// The behaviour of object 5.
#[derive(Default)]
pub(super) struct Firmware {
    installed_at: Option<Instant>,
}

impl Firmware {
    fn go(world: &World, instance: &mut Instance, state: i64, result: i64) {
        if integer(instance, STATE) != Some(state) {
            put(instance, LAST_STATE_CHANGE, OwnedValue::Time(world.date().as_secs()));
        }
        put(instance, STATE, OwnedValue::Integer(state));
        put(instance, RESULT, OwnedValue::Integer(result));
        if state == IDLE {
            put(instance, PACKAGE, OwnedValue::Opaque(Vec::new()));
            put(instance, PACKAGE_URI, OwnedValue::String(String::new()));
            put(instance, PACKAGE_VERSION, OwnedValue::String(String::new()));
        }
    }

    fn install(&mut self, world: &World, instance: &mut Instance) {
        Self::go(world, instance, UPDATING, RESULT_INITIAL);
        self.installed_at = Some(world.now() + INSTALL_FOR);
    }

    fn package_written(&mut self, world: &World, instance: &mut Instance) -> Result<(), Refusal> {
        let Some(OwnedValue::Opaque(image)) = single(instance, PACKAGE) else { return Ok(()) };
        if image.as_slice() == [0] {
            Self::go(world, instance, IDLE, RESULT_INITIAL);
            return Ok(());
        }
        if integer(instance, STATE) != Some(IDLE) {
            return Err(Refusal::BadValue);
        }
        let version = version_of(image);
        Self::go(world, instance, DOWNLOADED, RESULT_INITIAL);
        put(instance, PACKAGE_VERSION, OwnedValue::String(version));
        if single(instance, AUTOMATIC_UPGRADE) == Some(&OwnedValue::Boolean(true)) {
            self.install(world, instance);
        }
        Ok(())
    }

    fn uri_written(world: &World, instance: &mut Instance) -> Result<(), Refusal> {
        let Some(OwnedValue::String(uri)) = single(instance, PACKAGE_URI) else { return Ok(()) };
        if uri.is_empty() {
            Self::go(world, instance, IDLE, RESULT_INITIAL);
            return Ok(());
        }
        if integer(instance, STATE) != Some(IDLE) {
            return Err(Refusal::BadValue);
        }
        Self::go(world, instance, IDLE, RESULT_UNSUPPORTED_PROTOCOL);
        Ok(())
    }
}

/// The first line, when it is short plain text; else the image's length and a checksum, to tell images apart.
fn version_of(image: &[u8]) -> String {
    let line = image.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match std::str::from_utf8(line) {
        Ok(text) if (1..=VERSION_LEN_MAX).contains(&text.len()) && !text.contains(char::is_control) => {
            text.to_owned()
        }
        _ => {
            // FNV-1a.
            let sum = image
                .iter()
                .fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
            format!("image-{}-{sum:08x}", image.len())
        }
    }
}

impl Behaviour for Firmware {
    fn written(
        &mut self,
        world: &World,
        change: &Change<'_>,
        instance: &mut Instance,
    ) -> Result<(), Refusal> {
        let updating = change.before.and_then(|before| integer(before, STATE)) == Some(UPDATING);
        match change.resource.get() {
            PACKAGE | PACKAGE_URI if updating => Err(Refusal::NotAllowed),
            PACKAGE => self.package_written(world, instance),
            PACKAGE_URI => Self::uri_written(world, instance),
            _ => Ok(()),
        }
    }

    fn execute(&mut self, world: &World, call: &Call<'_>, instance: &mut Instance) -> Result<(), Refusal> {
        match (call.resource.get(), integer(instance, STATE)) {
            (UPDATE, Some(DOWNLOADED)) => self.install(world, instance),
            (CANCEL, Some(DOWNLOADED)) => Self::go(world, instance, IDLE, RESULT_CANCELLED),
            (UPDATE | CANCEL, _) => return Err(Refusal::NotAllowed),
            _ => {}
        }
        Ok(())
    }

    fn is_due(&self, world: &World) -> bool {
        self.installed_at.is_some_and(|at| world.now() >= at)
    }

    fn tick(&mut self, world: &World, _: ObjectInstanceId, instance: &mut Instance) {
        if !self.is_due(world) {
            return;
        }
        self.installed_at = None;
        if let Some(OwnedValue::String(version)) = single(instance, PACKAGE_VERSION) {
            world.install_firmware(version);
        }
        Self::go(world, instance, IDLE, RESULT_SUCCESS);
    }
}
