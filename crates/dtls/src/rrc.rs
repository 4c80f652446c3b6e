//! The return routability check: does the peer receive at the address its newest record came from? (RFC 9853)
//!
//! ```text
//!  idle ──newest record by the new path──► ask the new path ──response by it──► moved
//!    │                                        ▲   │ 3 challenges unanswered ──► idle, nothing changes
//!    └─(enhanced)─► ask the current path ─────┤
//!                       │     drop, or nobody answers
//!                       └─ response ──► idle: somebody else forwarded the record
//! ```

use lightship_platform::{Duration, Instant, Rng};
use subtle::{Choice, ConstantTimeEq};

use crate::Path;

#[cfg(test)]
mod tests;

/// Length of a message, in bytes.
pub(crate) const LEN: usize = 1 + COOKIE_LEN;
const COOKIE_LEN: usize = 8;
/// How often a path is asked before it counts as dead.
const CHALLENGES: usize = 3;
/// How long the first challenge waits for its answer; doubled with each (RFC 9853 §7.5: 1 s if the round trip is unknown).
const PATIENCE: Duration = Duration::from_secs(1);

type Cookie = [u8; COOKIE_LEN];

/// A message; other types are ignored (RFC 9853 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Message {
    Challenge(Cookie),
    Response(Cookie),
    Drop(Cookie),
}

impl Message {
    fn parse(body: &[u8]) -> Option<Self> {
        let (&kind, cookie) = body.split_first()?;
        let cookie = cookie.try_into().ok()?;
        match kind {
            0 => Some(Self::Challenge(cookie)),
            1 => Some(Self::Response(cookie)),
            2 => Some(Self::Drop(cookie)),
            _ => None,
        }
    }

    fn encode(self) -> [u8; LEN] {
        let (kind, cookie) = match self {
            Self::Challenge(cookie) => (0, cookie),
            Self::Response(cookie) => (1, cookie),
            Self::Drop(cookie) => (2, cookie),
        };
        let mut bytes = [kind; LEN];
        for (to, from) in bytes.iter_mut().skip(1).zip(cookie) {
            *to = from;
        }
        bytes
    }
}

/// In which way the initiator checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    /// Only the new path is asked (RFC 9853 §7.1).
    Basic,
    /// The current path is asked first, so that nobody who forwards records faster can draw an association to himself (RFC 9853
    /// §7.2).
    Enhanced,
}

/// What a message or the time brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Nothing for others.
    Nothing,
    /// The peer receives at the new path.
    Moved,
}

/// Both roles of the check; made when there is something to do and dropped when [`Rrc::is_idle`].
#[derive(Default, Debug)]
pub(crate) struct Rrc {
    check: Option<Check>,
    /// The answer to the peer's last challenge.
    answer: Option<(Path, Cookie)>,
}

/// A check of ours.
#[derive(Debug)]
struct Check {
    /// Which path is asked.
    asked: Path,
    /// What was sent there; all of them may still be answered.
    cookies: [Cookie; CHALLENGES],
    sent: usize,
    /// Whether the last cookie still has to leave.
    due: bool,
    /// When nobody has answered the last challenge.
    expires_at: Instant,
}

impl Check {
    fn begin(now: Instant, rng: &mut dyn Rng, asked: Path) -> Self {
        let mut check =
            Self { asked, cookies: [[0; COOKIE_LEN]; CHALLENGES], sent: 0, due: false, expires_at: now };
        check.challenge(now, rng);
        check
    }

    /// Prepares the next challenge; `false` if there were enough.
    fn challenge(&mut self, now: Instant, rng: &mut dyn Rng) -> bool {
        let Some(cookie) = self.cookies.get_mut(self.sent) else { return false };
        rng.fill(cookie);
        let patience = u32::try_from(self.sent).map_or(PATIENCE, |sent| PATIENCE * (1 << sent));
        self.sent += 1;
        self.due = true;
        self.expires_at = now + patience;
        true
    }

    fn knows(&self, cookie: &Cookie) -> bool {
        let sent = self.cookies.iter().take(self.sent);
        bool::from(sent.fold(Choice::from(0), |known, ours| known | ours.ct_eq(cookie)))
    }
}

impl Rrc {
    /// The newest record came by the new path. A check that is under way goes on.
    pub(crate) fn begin(&mut self, now: Instant, rng: &mut dyn Rng, variant: Variant) {
        if self.check.is_none() {
            let asked = match variant {
                Variant::Basic => Path::New,
                Variant::Enhanced => Path::Current,
            };
            self.check = Some(Check::begin(now, rng, asked));
        }
    }

    /// The newest record came by the current path: there is nothing to check any more.
    pub(crate) fn stay(&mut self) {
        self.check = None;
    }

    /// An authentic message came by `path`.
    pub(crate) fn handle(&mut self, now: Instant, rng: &mut dyn Rng, path: Path, body: &[u8]) -> Outcome {
        let (cookie, is_drop) = match Message::parse(body) {
            None => return Outcome::Nothing,
            Some(Message::Challenge(cookie)) => {
                self.answer = Some((path, cookie));
                return Outcome::Nothing;
            }
            Some(Message::Response(cookie)) => (cookie, false),
            Some(Message::Drop(cookie)) => (cookie, true),
        };
        let Some(asked) = self.check.as_ref().filter(|check| check.knows(&cookie)).map(|check| check.asked)
        else {
            return Outcome::Nothing;
        };
        // An answer by another path than the one that was asked proves nothing about that one.
        if asked != path {
            return Outcome::Nothing;
        }
        match (asked, is_drop) {
            (Path::New, false) => {
                self.check = None;
                Outcome::Moved
            }
            (Path::Current, true) => {
                self.check = Some(Check::begin(now, rng, Path::New));
                Outcome::Nothing
            }
            (Path::New, true) | (Path::Current, false) => {
                self.check = None;
                Outcome::Nothing
            }
        }
    }

    /// Lets the time pass.
    pub(crate) fn handle_timeout(&mut self, now: Instant, rng: &mut dyn Rng) {
        let Some(check) = self.check.as_mut().filter(|check| check.expires_at <= now) else { return };
        // The current path is asked once: it is dead more often than not, and the peer waits.
        let again = check.asked == Path::New && check.challenge(now, rng);
        if !again {
            self.check = match check.asked {
                Path::Current => Some(Check::begin(now, rng, Path::New)),
                Path::New => None,
            };
        }
    }

    /// When [`Rrc::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.check.as_ref().map(|check| check.expires_at)
    }

    /// The next message to seal, and the path by which it goes.
    pub(crate) fn poll(&mut self) -> Option<(Path, [u8; LEN])> {
        if let Some((path, cookie)) = self.answer.take() {
            return Some((path, Message::Response(cookie).encode()));
        }
        let check = self.check.as_mut().filter(|check| check.due)?;
        check.due = false;
        let cookie = check.cookies.get(check.sent.checked_sub(1)?)?;
        Some((check.asked, Message::Challenge(*cookie).encode()))
    }

    /// Whether nothing is to be remembered.
    pub(crate) const fn is_idle(&self) -> bool {
        self.check.is_none() && self.answer.is_none()
    }
}
