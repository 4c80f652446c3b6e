//! `lightship ctl session`: who one is to the server.

use super::{Session, show};
use crate::failure::Failure;
use lightship_api::Caller;

impl Session<'_> {
    pub(super) fn session(&self) -> Result<(), Failure> {
        let caller = self.client.session().map_err(|error| self.refused(error))?;
        self.print(&caller, || who(&caller))
    }
}

fn who(caller: &Caller) -> String {
    let end = caller.expires_at.map_or_else(String::new, |end| format!(", until {}", show::moment(end)));
    format!("{} ({}{end})", caller.name, caller.role)
}
