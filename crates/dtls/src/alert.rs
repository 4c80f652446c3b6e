//! Alerts on the wire: `level | description` (RFC 5246 §7.2).

use crate::Alert;

#[cfg(test)]
mod tests;

/// Length of an alert, in bytes.
pub(crate) const LEN: usize = 2;

/// How grave an alert is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Level {
    /// The association may go on.
    Warning = 1,
    /// It is over.
    Fatal = 2,
}

/// The alert as bytes.
#[must_use]
pub(crate) const fn encode(alert: Alert) -> [u8; LEN] {
    let level = match alert {
        Alert::CLOSE_NOTIFY | Alert::USER_CANCELED | Alert::NO_RENEGOTIATION => Level::Warning,
        _ => Level::Fatal,
    };
    [level as u8, alert.0]
}

/// Reads an alert; `None` if it is not one.
#[must_use]
pub(crate) const fn parse(bytes: &[u8]) -> Option<(Level, Alert)> {
    match *bytes {
        [1, description] => Some((Level::Warning, Alert(description))),
        [2, description] => Some((Level::Fatal, Alert(description))),
        _ => None,
    }
}
