//! A device that survives a restart: it takes its state up from the file and puts into it what changes.

use super::super::object::{ObjectSet, World};
use super::super::settings::Settings;
use super::super::state::StateFile;
use super::{Device, quoted};
use crate::failure::Failure;
use lightship_client::dtls::Resumption;
use lightship_client::{Account, AccountId, Event, ShortServerId};
use lightship_lwm2m::attributes::AttributeChange;
use lightship_lwm2m::{Attributes, Path};

/// The state file, and what of its content changes without an event.
pub(super) struct Kept {
    file: StateFile,
    accounts: Vec<Account>,
    attributes: Vec<(AccountId, Path, Attributes)>,
    /// Writing failed the last time, which was told.
    failing: bool,
}

/// Attributes by Short Server ID.
pub(super) type Attached = Vec<(u16, Path, AttributeChange)>;
/// What sessions can be resumed with, by Short Server ID; none is the Bootstrap-Server's.
pub(super) type Sessions = Vec<(Option<u16>, Resumption)>;

/// Opens the state file, if there is to be one, and puts what it holds in the place of settings and initial values.
pub(super) fn take_up(
    settings: &mut Settings,
    world: &World,
    set: &mut ObjectSet,
) -> Result<(Option<Kept>, Attached, Sessions), Failure> {
    let Some(path) = &settings.state else { return Ok((None, Attached::new(), Sessions::new())) };
    let (file, state) = StateFile::open(path, settings.config.endpoint.as_str()).map_err(Failure::failed)?;
    let (mut attributes, mut sessions) = (Attached::new(), Sessions::new());
    if let Some(state) = state {
        for object in &state.objects {
            set.restore(object)
                .map_err(|what| Failure::failed(format_args!("{}: {what}", path.display())))?;
        }
        world.set_firmware_version(&state.firmware);
        settings.accounts = state.accounts;
        attributes = state.attributes;
        sessions = state.sessions;
    }
    let kept = Kept { file, accounts: Vec::new(), attributes: Vec::new(), failing: false };
    Ok((Some(kept), attributes, sessions))
}

impl Device {
    /// Lets the first handshakes resume the sessions of the last run.
    pub(super) fn take_up_sessions(&mut self, sessions: Sessions) {
        for (ssid, resumption) in sessions {
            self.driver.command(|client, _| {
                let known = |account: &Account| account.ssid.map(ShortServerId::get) == ssid;
                let id = client.accounts().find(|(_, account)| known(account)).map(|(id, _)| id);
                if let Some(id) = id {
                    client.set_resumption(id, Some(resumption));
                }
            });
        }
    }

    /// Attaches what servers had attached, and writes the file for the first time: better it fails now than later.
    pub(super) fn begin_to_keep(&mut self, attributes: Attached) -> Result<(), Failure> {
        for (ssid, path, change) in attributes {
            let Some((_, id)) = self.servers().into_iter().find(|(known, _)| *known == ssid) else {
                continue;
            };
            if self.driver.command(|client, now| client.attach(now, id, path, &change)).is_err() {
                tracing::warn!(%path, ssid, "attributes in the state file do not fit any more");
            }
        }
        self.keep().map_err(Failure::failed)
    }

    /// Puts into the file what an event changed.
    pub(super) fn keep_after(&mut self, event: &Event) {
        let changes = matches!(
            event,
            Event::Written { .. }
                | Event::Executed { .. }
                | Event::Created { .. }
                | Event::Deleted { .. }
                | Event::AccountsChanged
                | Event::Secured(_)
        );
        if changes { self.keep_and_tell() } else { self.keep_what_changed() }
    }

    /// Puts accounts and attributes into the file if they changed; the rest changes by events and commands.
    pub(super) fn keep_what_changed(&mut self) {
        let Some(kept) = &self.kept else { return };
        let client = self.driver.client();
        let same = client.accounts().map(|(_, account)| account).eq(&kept.accounts)
            && client.attached().eq(kept.attributes.iter().copied());
        if !same {
            self.keep_and_tell();
        }
    }

    /// Puts everything into the file; if that fails, the first failure is told.
    pub(super) fn keep_and_tell(&mut self) {
        let failed = self.keep();
        let Some(kept) = &mut self.kept else { return };
        if let Err(reason) = &failed
            && !kept.failing
        {
            self.untold.push_back(format!("event state_failed reason={}", quoted(reason)));
        }
        kept.failing = failed.is_err();
    }

    fn keep(&mut self) -> Result<(), String> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        let client = self.driver.client();
        kept.accounts = client.accounts().map(|(_, account)| account.clone()).collect();
        kept.attributes = client.attached().collect();
        let ssid =
            |id: AccountId| client.account(id).and_then(|account| account.ssid).map(ShortServerId::get);
        let attributes = kept.attributes.iter().filter_map(|(id, path, attributes)| {
            Some((ssid(*id)?, *path, AttributeChange::from(*attributes)))
        });
        let sessions = client
            .accounts()
            .filter_map(|(id, account)| Some((account.ssid.map(ShortServerId::get), client.resumption(id)?)));
        let firmware = self.world.firmware_version();
        let written = kept.file.keep(
            &self.endpoint,
            &firmware,
            (kept.accounts.iter(), sessions),
            attributes,
            client.objects(),
        );
        written.map_err(|error| format!("{}: {error}", kept.file.path().display()))
    }
}
