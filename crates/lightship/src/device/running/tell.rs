//! What happens, in words.

use super::super::command::quoted;
use super::Device;
use lightship_client::{AccountId, Event, Failure, SecurityFailure, ServerFault, Session};

impl Device {
    /// An event as a line of text.
    pub(super) fn tell(&self, event: &Event) -> String {
        let about = |word: &str, account: &AccountId| format!("event {word} ssid={}", self.ssid(*account));
        match event {
            Event::Registered(account) => {
                let location: Vec<&str> = self.driver.client().location(*account).collect();
                format!("{} location=/{}", about("registered", account), location.join("/"))
            }
            Event::Updated(account) => about("updated", account),
            Event::Deregistered(account) => about("deregistered", account),
            Event::Failed { account, reason, retry_in } => {
                let head = about("failed", account);
                let hint = hint(*reason);
                format!("{head} reason={} retry_in_s={}{hint}", in_words(*reason), retry_in.as_secs_f64())
            }
            Event::Postponed { account, reason, retry_in } => {
                let head = about("postponed", account);
                format!("{head} reason={} retry_in_s={}", in_words(*reason), retry_in.as_secs_f64())
            }
            Event::BootstrapStarted => "event bootstrap_started".to_owned(),
            Event::BootstrapFinished => "event bootstrap_finished".to_owned(),
            Event::BootstrapUnusable(reason) => {
                format!("event bootstrap_unusable reason={}", quoted(&reason.to_string()))
            }
            Event::BootstrapFailed { reason, retry_in } => {
                let again = retry_in.map(|after| format!(" retry_in_s={}", after.as_secs_f64()));
                let hint = hint(*reason);
                format!(
                    "event bootstrap_failed reason={}{}{hint}",
                    in_words(*reason),
                    again.unwrap_or_default()
                )
            }
            Event::AccountsChanged => {
                let accounts = self.driver.client().accounts().map(|(_, account)| account.uri.as_str());
                format!("event accounts_changed {}", accounts.collect::<Vec<_>>().join(" "))
            }
            Event::GaveUp(account) => about("gave_up", account),
            Event::Secured(account) => {
                let session = self.driver.client().session(*account);
                format!("{}{}", about("secured", account), session.map_or_else(String::new, session_text))
            }
            Event::HandshakeFailed { account, reason } => {
                let refusal = self.driver.client().refusal(*account).map(ToString::to_string);
                let judged = *reason == SecurityFailure::Server(ServerFault::Certificate);
                let reason = refusal.filter(|_| judged).unwrap_or_else(|| reason.to_string());
                format!("{} reason={}", about("handshake-failed", account), quoted(&reason))
            }
            Event::SessionEnded { account, reason } => {
                format!("{} reason={}", about("session-ended", account), quoted(&reason.to_string()))
            }
            Event::Asleep(account) => about("asleep", account),
            Event::Awake(account) => about("awake", account),
            Event::Sent { account, .. } => about("sent", account),
            Event::SendFailed { account, reason, .. } => {
                format!("{} reason={}", about("send_failed", account), in_words(*reason))
            }
            Event::Written { account, path } => format!("{} path={path}", about("written", account)),
            Event::Executed { account, path } => format!("{} path={path}", about("executed", account)),
            Event::Created { account, path } => format!("{} path={path}", about("created", account)),
            Event::Deleted { account, path } => format!("{} path={path}", about("deleted", account)),
            Event::Observed { account, path } => format!("{} path={path}", about("observed", account)),
            Event::ObservationEnded { account, path } => {
                format!("{} path={path}", about("observation_ended", account))
            }
            // No object here answers later.
            Event::Asked { account, path, .. } => format!("{} path={path}", about("asked", account)),
            _ => format!("event unknown {}", quoted(&format!("{event:?}"))),
        }
    }
}

/// What people can do about it, to stand behind something else; nothing where the reason alone says it.
fn hint(reason: Failure) -> String {
    let Failure::Refused(code) = reason else { return String::new() };
    let hint = match (code.class(), code.detail()) {
        (4, 0) => {
            "this endpoint name may not be what the identity or certificate stands for, or a parameter is not taken; \
             the server's events and handshakes say which"
        }
        (4, 1 | 3) => {
            "the server does not let this endpoint in like this; one without security may need coaps:// and a credential"
        }
        (4, 12) => "the server does not speak this LwM2M version; --lwm2m offers another",
        _ => return String::new(),
    };
    format!(" hint={}", quoted(hint))
}

/// A secure session, to stand behind something else.
pub(super) fn session_text(session: &Session) -> String {
    let cid = session.cid.map_or_else(|| "none".to_owned(), |cid| cid.to_string());
    format!(" suite={} cid={cid} resumed={}", session.suite.name(), session.resumed)
}

/// Why a registration or a Send failed, as one word of an event line.
fn in_words(reason: Failure) -> String {
    match reason {
        Failure::Timeout => "timeout".to_owned(),
        Failure::Reset => "reset".to_owned(),
        Failure::Refused(code) => format!("refused_{}.{:02}", code.class(), code.detail()),
        Failure::Nonsense => "nonsense".to_owned(),
        Failure::TooLarge => "too_large".to_owned(),
        Failure::Expired => "expired".to_owned(),
        Failure::Ended => "ended".to_owned(),
        Failure::Muted => "muted".to_owned(),
        Failure::NotSecured => "not_secured".to_owned(),
        _ => "unknown".to_owned(),
    }
}
