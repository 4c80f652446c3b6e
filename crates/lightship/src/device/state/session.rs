//! What a session can be resumed with, as it stands in the state file.

use crate::decode::hex;
use lightship_client::crypto::Secret;
use lightship_client::dtls::{Resumption, Suite};
use serde::{Deserialize, Serialize};

/// One of an account: the ID or the ticket of a session, with its master secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedSession {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    short_server_id: Option<u16>,
    suite: u16,
    extended_master_secret: bool,
    session_id_hex: String,
    ticket_hex: String,
    master_secret_hex: String,
    note_hex: String,
}

impl From<(Option<u16>, &Resumption)> for SavedSession {
    fn from((short_server_id, resumption): (Option<u16>, &Resumption)) -> Self {
        Self {
            short_server_id,
            suite: resumption.suite.number(),
            extended_master_secret: resumption.extended_master_secret,
            session_id_hex: hex::print(&resumption.session_id),
            ticket_hex: hex::print(&resumption.ticket),
            master_secret_hex: hex::print(resumption.master_secret.bytes()),
            note_hex: hex::print(&resumption.note),
        }
    }
}

impl SavedSession {
    pub(super) fn resumption(&self) -> Result<(Option<u16>, Resumption), String> {
        let suite = Suite::from_number(self.suite);
        let resumption = Resumption {
            session_id: hex::parse(&self.session_id_hex)?.into(),
            ticket: hex::parse(&self.ticket_hex)?.into(),
            master_secret: Secret::new(&hex::parse(&self.master_secret_hex)?),
            suite: suite.ok_or_else(|| format!("{} is no cipher suite", self.suite))?,
            extended_master_secret: self.extended_master_secret,
            note: hex::parse(&self.note_hex)?.into(),
        };
        Ok((self.short_server_id, resumption))
    }
}
