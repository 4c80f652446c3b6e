//! Transmission parameters: those of all devices, and those of some (RFC 7252 §4.8).

use std::time::Duration;

/// Parameters of CoAP for devices with certain names, in place of the usual ones.
///
/// Over NB-IoT an answer takes seconds: with ACK_TIMEOUT below that each request is sent twice, and the second copy makes the next answer
/// later still.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmission {
    /// Whose: names of endpoints, where the last letter may be a `*`, which stands for any end. The first rule that fits counts.
    pub endpoints: Vec<String>,
    /// ACK_TIMEOUT: the shortest first wait for an acknowledgement. From 4 s to 15 s over NB-IoT.
    pub ack_timeout: Duration,
    /// ACK_RANDOM_FACTOR in percent: the first wait is chosen between 100 % and this much of `ack_timeout`.
    pub ack_random_percent: u16,
    /// MAX_RETRANSMIT: how often a request is repeated before it counts as lost.
    pub max_retransmit: u8,
}

impl Transmission {
    /// Whether it is for this device.
    #[must_use]
    pub fn fits(&self, endpoint: &str) -> bool {
        self.endpoints.iter().any(|name| match name.strip_suffix('*') {
            Some(start) => endpoint.starts_with(start),
            None => endpoint == name,
        })
    }
}

/// Which parameters count for a link.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Class(u8);

/// The settings of CoAP of a shard, by class.
pub(crate) struct Settings {
    usual: lightship_coap::Config,
    others: Vec<(Transmission, lightship_coap::Config)>,
}

impl Settings {
    /// At most [`TRANSMISSIONS_MAX`](crate::limits::TRANSMISSIONS_MAX) of the rules count.
    pub(crate) fn new(usual: &lightship_coap::Config, rules: &[Transmission]) -> Self {
        let settings = |rule: &Transmission| lightship_coap::Config {
            ack_timeout: rule.ack_timeout,
            ack_random_percent: rule.ack_random_percent,
            max_retransmit: rule.max_retransmit,
            ..usual.clone()
        };
        let rules = rules.iter().take(crate::limits::TRANSMISSIONS_MAX);
        Self { usual: usual.clone(), others: rules.map(|rule| (rule.clone(), settings(rule))).collect() }
    }

    /// The class of a device.
    pub(crate) fn class(&self, endpoint: &str) -> Class {
        let found = self.others.iter().position(|(rule, _)| rule.fits(endpoint));
        Class(found.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(0))
    }

    /// What counts for a class.
    pub(crate) fn of(&self, Class(class): Class) -> &lightship_coap::Config {
        let other = usize::from(class).checked_sub(1).and_then(|at| self.others.get(at));
        other.map_or(&self.usual, |(_, settings)| settings)
    }

    /// How long a copy of a message may arrive, where that takes longest.
    pub(crate) fn exchange_lifetime_max(&self) -> Duration {
        let others = self.others.iter().map(|(_, settings)| settings.exchange_lifetime());
        others.fold(self.usual.exchange_lifetime(), Duration::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(endpoints: &[&str], seconds: u64) -> Transmission {
        Transmission {
            endpoints: endpoints.iter().map(|&name| name.to_owned()).collect(),
            ack_timeout: Duration::from_secs(seconds),
            ack_random_percent: 150,
            max_retransmit: 3,
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules = [rule(&["nb-1", "urn:imei:*"], 4), rule(&["nb-*"], 15), rule(&["*"], 3)];
        let usual = lightship_coap::Config::new();
        let settings = Settings::new(&usual, &rules);
        let timeout = |name: &str| settings.of(settings.class(name)).ack_timeout.as_secs();
        for (name, seconds) in [
            ("nb-1", 4),
            ("urn:imei:", 4),
            ("urn:imei:35", 4),
            ("nb-12", 15),
            ("nb-", 15),
            ("nb", 3),
            ("NB-1", 3),
        ] {
            assert_eq!(timeout(name), seconds, "{name}");
        }
        assert_eq!(settings.of(Class::default()).ack_timeout, usual.ack_timeout);
        assert!(settings.exchange_lifetime_max() > usual.exchange_lifetime());
        let none = Settings::new(&usual, &[]);
        assert_eq!((none.class("nb-1"), none.exchange_lifetime_max()), (Class(0), usual.exchange_lifetime()));
        let many = vec![rule(&["other"], 4); 1000];
        assert_eq!(Settings::new(&usual, &many).others.len(), crate::limits::TRANSMISSIONS_MAX);
    }
}
