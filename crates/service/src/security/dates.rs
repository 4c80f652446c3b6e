//! Dates: an operator hears of a certificate of the server's own that has expired, is not valid yet, or soon expires: at the start, and
//! when it comes to that while the server runs. Each is told once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lightship_api::{CertificateWarning, CertificateWarningKind as Kind, ServerRole, Timestamp};
use lightship_dtls::certificate::{self, Meaning};
use lightship_platform::UnixTime;

use super::meaning::{in_words, warning};
use crate::core::{Core, stopped};

/// The certificates of the server's own, and what was told of each.
#[derive(Default)]
pub(crate) struct Dates(Vec<Dated>);

struct Dated {
    /// Which one it is, in words.
    which: String,
    meaning: Meaning,
    told: Option<Kind>,
}

impl Dates {
    /// Takes in a chain that was read there (DER, the server's own certificate first).
    pub(super) fn add(&mut self, server: ServerRole, file: &Path, chain: &[Vec<u8>]) {
        for (at, der) in chain.iter().enumerate() {
            // The server's own can be read, or it would have been refused; an authority that cannot is for devices to refuse.
            let Ok(meaning) = certificate::meaning(der) else { continue };
            let whose = match server {
                ServerRole::Lwm2m => "the server's",
                ServerRole::Bootstrap => "the Bootstrap-Server's",
            };
            let part = match at {
                0 => "own certificate".to_owned(),
                _ => format!("authority (certificate {} of its chain)", at + 1),
            };
            let which = format!("{whose} {part} {} in {}", in_words(&meaning.subject), file.display());
            self.0.push(Dated { which, meaning, told: None });
        }
    }

    /// Warns of what has not been told yet; says when there may be more to tell.
    pub(crate) fn tell(&mut self, now: UnixTime) -> Option<UnixTime> {
        for dated in &mut self.0 {
            let found = validity(&dated.meaning, now);
            let kind = found.as_ref().map(|warning| warning.kind);
            if let Some(warning) = found
                && dated.told != kind
            {
                tracing::warn!("{}: {}; {}", dated.which, warning.text, consequence(warning.kind));
            }
            dated.told = kind;
        }
        let changes = self.0.iter().flat_map(|dated| changes(&dated.meaning));
        changes.filter(|change| now < *change).min()
    }
}

/// Tells it again whenever a date has come.
pub(crate) async fn keep(core: Arc<Core>, mut dates: Dates) {
    let mut stopping = core.stopping.subscribe();
    loop {
        let now = core.clock.date();
        let next = dates.tell(now);
        let left_ms = next.map_or(i64::MAX, |next| next.as_millis().saturating_sub(now.as_millis()));
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        tokio::select! {
            () = tokio::time::sleep(left.clamp(LOOK_MIN, LOOK_MAX)) => {}
            () = stopped(&mut stopping) => return,
        }
    }
}

/// What is wrong with when a certificate is valid, in plain words.
pub(super) fn validity(meaning: &Meaning, now: UnixTime) -> Option<CertificateWarning> {
    // It holds to the end of its last second.
    let now = UnixTime::from_secs(now.as_secs());
    let days = days_left(meaning, now);
    if now > meaning.not_after {
        return Some(warning(Kind::Expired, format!("it expired on {}", day(meaning.not_after))));
    }
    if now < meaning.not_before {
        return Some(warning(
            Kind::NotYetValid,
            format!("it is not valid before {}", day(meaning.not_before)),
        ));
    }
    let when = match days {
        0 => "within a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days if days < SOON_DAYS => format!("in {days} days"),
        _ => return None,
    };
    Some(warning(Kind::ExpiresSoon, format!("it expires {when}")))
}

/// The moments at which that becomes otherwise.
fn changes(meaning: &Meaning) -> [UnixTime; 3] {
    let behind = |last: i64| UnixTime::from_secs(last.saturating_add(1));
    let end = meaning.not_after.as_secs();
    [meaning.not_before, behind(end.saturating_sub(SOON_DAYS * DAY_S)), behind(end)]
}

pub(super) fn days_left(meaning: &Meaning, now: UnixTime) -> i64 {
    (meaning.not_after.as_secs() - now.as_secs()).div_euclid(DAY_S)
}

fn day(at: UnixTime) -> String {
    Timestamp(at.as_millis()).to_string().split('T').next().unwrap_or_default().to_owned()
}

/// What an operator should know beside that.
fn consequence(kind: Kind) -> &'static str {
    if kind == Kind::NotYetValid {
        "until then devices that know the date refuse this server (is the date of this machine right?)"
    } else if kind == Kind::ExpiresSoon {
        "from then on devices that know the date refuse this server: put a new one there and start the server anew"
    } else {
        "devices that know the date refuse this server: put a new one there and start the server anew"
    }
}

const DAY_S: i64 = 24 * 60 * 60;
/// Days before the end from which on it is told.
const SOON_DAYS: i64 = 30;
const LOOK_MIN: Duration = Duration::from_millis(100);
/// The machine's clock may be set, or stand still while it sleeps.
const LOOK_MAX: Duration = Duration::from_secs(60 * 60);
