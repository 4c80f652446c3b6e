//! What devices do, and how much of each.

use std::fmt;

use lightship_coap::Code;

/// Something that a device does on its own, or has done to it before it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    /// A DTLS handshake.
    Handshake,
    /// A Register.
    Register,
    /// An Update that changes nothing.
    Update,
    /// An Update with a new lifetime.
    Change,
    /// A De-register.
    Deregister,
    /// A Send.
    Send,
    /// A confirmable notification.
    Notify,
    /// A non-confirmable notification, which has no answer.
    Report,
}

impl Operation {
    /// All of them, in the order of the summary.
    pub(crate) const ALL: [Self; 8] = [
        Self::Handshake,
        Self::Register,
        Self::Update,
        Self::Change,
        Self::Deregister,
        Self::Send,
        Self::Notify,
        Self::Report,
    ];

    /// Its place in [`Operation::ALL`].
    pub(crate) fn index(self) -> usize {
        Self::ALL.iter().position(|operation| *operation == self).unwrap_or(0)
    }

    /// Whether it needs a server that observes.
    pub(crate) const fn is_notification(self) -> bool {
        matches!(self, Self::Notify | Self::Report)
    }

    /// The code of success.
    pub(crate) const fn expects(self) -> Code {
        match self {
            Self::Register => Code::CREATED,
            Self::Deregister => Code::DELETED,
            Self::Update | Self::Change | Self::Send => Code::CHANGED,
            Self::Handshake | Self::Notify | Self::Report => Code::EMPTY,
        }
    }

    /// The name in summaries.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Register => "register",
            Self::Update => "update",
            Self::Change => "change",
            Self::Deregister => "deregister",
            Self::Send => "send",
            Self::Notify => "notify",
            Self::Report => "report",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The weights of what devices do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    weights: Vec<(Operation, u32)>,
    total: u32,
}

impl Mix {
    /// Reads `update=8,send=2`; `Err` says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut weights: Vec<(Operation, u32)> = Vec::new();
        let mut total = 0_u32;
        for part in text.split(',') {
            let (name, weight) = part.trim().split_once('=').unwrap_or((part.trim(), "1"));
            let operation = match name {
                "update" => Operation::Update,
                "change" => Operation::Change,
                "send" => Operation::Send,
                "notify" => Operation::Notify,
                "report" => Operation::Report,
                "register" => Operation::Register,
                // Who has de-registered registers again at once.
                "rejoin" => Operation::Deregister,
                _ => {
                    return Err(format!(
                        "{name:?} is no operation: update, change, send, notify, report, register, rejoin"
                    ));
                }
            };
            if weights.iter().any(|(known, _)| *known == operation) {
                return Err(format!("{name} stands there twice"));
            }
            let weight: u32 =
                weight.parse().map_err(|_| format!("{weight:?} is no weight: a whole number"))?;
            total = total.checked_add(weight).ok_or("the weights are too large")?;
            weights.push((operation, weight));
        }
        if total == 0 {
            return Err("it says nothing to do".to_owned());
        }
        Ok(Self { weights, total })
    }

    /// The sum of the weights, at least 1.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// What it was given as, in hundredths: `update 80 %, rejoin 20 %`.
    pub(crate) fn shares(&self) -> String {
        let share = |(operation, weight): &(Operation, u32)| {
            let name = if *operation == Operation::Deregister { "rejoin" } else { operation.name() };
            format!("{name} {:.0} %", f64::from(*weight) / f64::from(self.total) * 100.0)
        };
        let shares: Vec<String> = self.weights.iter().filter(|(_, weight)| *weight > 0).map(share).collect();
        shares.join(", ")
    }

    /// The operation that a number below [`Mix::total`] stands for.
    pub(crate) fn pick(&self, mut number: u32) -> Operation {
        for (operation, weight) in &self.weights {
            match number.checked_sub(*weight) {
                Some(rest) => number = rest,
                None => return *operation,
            }
        }
        Operation::Update
    }

    /// Whether the operation is part of it.
    pub(crate) fn has(&self, operation: Operation) -> bool {
        self.weights.iter().any(|(known, weight)| *known == operation && *weight > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_kept() {
        let mix = Mix::parse("update=3, send,rejoin=2,notify=0").expect("a mix");
        let picked: Vec<_> = (0..mix.total()).map(|number| mix.pick(number)).collect();
        let [u, s, d] = [Operation::Update, Operation::Send, Operation::Deregister];
        assert_eq!(picked, [u, u, u, s, d, d]);
        assert_eq!(mix.shares(), "update 50 %, send 17 %, rejoin 33 %");
        assert!(mix.has(Operation::Send) && !mix.has(Operation::Notify) && !mix.has(Operation::Report));
    }

    #[test]
    fn what_makes_no_mix_is_explained() {
        for (text, part) in [
            ("fly=1", "\"fly\" is no operation"),
            ("update=x", "\"x\" is no weight"),
            ("update=1,update=2", "twice"),
            ("update=0", "nothing to do"),
            ("", "is no operation"),
            ("update=4294967295,send=1", "too large"),
        ] {
            let error = Mix::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn every_operation_has_its_place() {
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation.index(), index);
        }
    }
}
