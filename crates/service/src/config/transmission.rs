//! `[transmission]`: how long the server waits for devices, and how often it repeats.

use std::time::Duration;

use lightship_server::Transmission;
use lightship_server::limits::TRANSMISSIONS_MAX;

use super::raw::{RawTransmission, RawTransmissionOfSome};
use super::{ConfigError, number};

/// The transmission parameters of CoAP (RFC 7252 §4.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmissions {
    /// For all devices.
    pub usual: Transmission,
    /// For some, in place of that; the first that fits.
    pub devices: Vec<Transmission>,
}

impl Transmissions {
    /// Checks what people wrote.
    ///
    /// # Errors
    /// Names the key and what is allowed.
    pub(super) fn read(raw: RawTransmission) -> Result<Transmissions, ConfigError> {
        let usual = transmission(
            vec!["*".to_owned()],
            [
                ("transmission.ack_timeout_ms", raw.ack_timeout_ms, 2000),
                ("transmission.ack_random_percent", raw.ack_random_percent, 150),
                ("transmission.max_retransmit", raw.max_retransmit, 4),
            ],
        )?;
        let of_some = raw.devices.unwrap_or_default();
        let wrong = |message: &str| {
            Err(ConfigError::Value { key: "transmission.devices", message: message.to_owned() })
        };
        if of_some.len() > TRANSMISSIONS_MAX {
            return wrong("64 at most");
        }
        let mut devices = Vec::new();
        for RawTransmissionOfSome { endpoints, ack_timeout_ms, ack_random_percent, max_retransmit } in of_some
        {
            let names = endpoints.into_vec();
            // A star elsewhere would be compared as a letter, which nobody means.
            if names.is_empty() || names.iter().any(|name| name.trim_end_matches('*').contains('*')) {
                return wrong("each needs the names of endpoints, where only the last letter may be a '*'");
            }
            let usual_ms = u64::try_from(usual.ack_timeout.as_millis()).unwrap_or(u64::MAX);
            let key = "transmission.devices";
            devices.push(transmission(
                names,
                [
                    (key, ack_timeout_ms, usual_ms),
                    (key, ack_random_percent, usual.ack_random_percent.into()),
                    (key, max_retransmit, usual.max_retransmit.into()),
                ],
            )?);
        }
        Ok(Transmissions { usual, devices })
    }

    /// As the engines want what is usual.
    pub(crate) fn coap(&self) -> lightship_coap::Config {
        coap(&self.usual)
    }

    /// What counts for a device, as the API shows it.
    pub(crate) fn shown(&self, endpoint: &str) -> lightship_api::Transmission {
        let rule = self.devices.iter().find(|rule| rule.fits(endpoint));
        let counts = rule.unwrap_or(&self.usual);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        lightship_api::Transmission {
            ack_timeout_ms: millis(counts.ack_timeout),
            ack_random_percent: counts.ack_random_percent,
            max_retransmit: counts.max_retransmit,
            lost_after_ms: millis(coap(counts).max_transmit_wait()),
            rule: rule.map(|rule| rule.endpoints.clone()).unwrap_or_default(),
        }
    }
}

/// As the engines want one set.
fn coap(parameters: &Transmission) -> lightship_coap::Config {
    lightship_coap::Config {
        ack_timeout: parameters.ack_timeout,
        ack_random_percent: parameters.ack_random_percent,
        max_retransmit: parameters.max_retransmit,
        ..lightship_coap::Config::default()
    }
}

/// One set of parameters: timeout, factor and repetitions, each with its key, what was written and what counts otherwise.
fn transmission(
    endpoints: Vec<String>,
    [timeout, percent, repetitions]: [(&'static str, Option<u64>, u64); 3],
) -> Result<Transmission, ConfigError> {
    let one = |(key, raw, default), min, max| number(key, raw, default, min, max);
    Ok(Transmission {
        endpoints,
        ack_timeout: Duration::from_millis(one(timeout, 100, 120_000)?),
        ack_random_percent: u16::try_from(one(percent, 100, 400)?).unwrap_or(150),
        max_retransmit: u8::try_from(one(repetitions, 0, 10)?).unwrap_or(4),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawConfig;

    fn read(text: &str) -> Result<Transmissions, String> {
        let raw = RawConfig::from_toml(text, "test").map_err(|error| error.to_string())?;
        Transmissions::read(raw.transmission).map_err(|error| error.to_string())
    }

    // Proves: COA-02
    #[test]
    fn the_parameters_are_those_of_the_standard_unless_somebody_says_otherwise() {
        let usual = read("").unwrap();
        assert_eq!(usual.coap().max_transmit_wait(), Duration::from_secs(93));
        assert!(usual.devices.is_empty());
        let text = "[transmission]\nack_timeout_ms = 3000\nmax_retransmit = 2\n\
            [[transmission.devices]]\nendpoints = \"nb-*\"\nack_timeout_ms = 15000\n\
            [[transmission.devices]]\nendpoints = [\"a\", \"b\"]\nmax_retransmit = 0\nack_random_percent = 200\n";
        let Transmissions { usual, devices } = read(text).unwrap();
        assert_eq!((usual.ack_timeout.as_secs(), usual.max_retransmit), (3, 2));
        let told = devices.iter().map(|one| {
            (one.endpoints.join(" "), one.ack_timeout.as_secs(), one.ack_random_percent, one.max_retransmit)
        });
        assert_eq!(told.collect::<Vec<_>>(), [("nb-*".into(), 15, 150, 2), ("a b".into(), 3, 200, 0)]);
    }

    #[test]
    fn a_device_is_shown_the_first_rule_that_fits() {
        let text = "[[transmission.devices]]\nendpoints = [\"nb-*\", \"x\"]\nack_timeout_ms = 15000\n\
            [[transmission.devices]]\nendpoints = \"*\"\nmax_retransmit = 0\nack_random_percent = 200\n";
        let transmissions = read(text).unwrap();
        let shown = |name: &str| {
            let shown = transmissions.shown(name);
            (
                shown.ack_timeout_ms,
                shown.ack_random_percent,
                shown.max_retransmit,
                shown.lost_after_ms,
                shown.rule,
            )
        };
        // MAX_TRANSMIT_WAIT = ACK_TIMEOUT * (2^(MAX_RETRANSMIT + 1) - 1) * ACK_RANDOM_FACTOR.
        assert_eq!(shown("nb-7"), (15_000, 150, 4, 697_500, vec!["nb-*".to_owned(), "x".to_owned()]));
        assert_eq!(shown("other"), (2000, 200, 0, 4000, vec!["*".to_owned()]));
        let usual = read("").unwrap().shown("nb-7");
        assert_eq!((usual.ack_timeout_ms, usual.lost_after_ms, usual.rule), (2000, 93_000, Vec::new()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let many = "[[transmission.devices]]\nendpoints = \"a\"\n".repeat(65);
        for (text, word) in [
            ("[transmission]\nack_timeout_ms = 5", "ack_timeout_ms"),
            ("[transmission]\nack_random_percent = 90", "ack_random_percent"),
            ("[transmission]\nmax_retransmit = 11", "max_retransmit"),
            ("[[transmission.devices]]\nendpoints = []", "names of endpoints"),
            ("[[transmission.devices]]\nendpoints = \"a*b\"", "last letter"),
            ("[[transmission.devices]]\nendpoints = \"a\"\nack_timeout_ms = 500000", "transmission.devices"),
            ("[[transmission.devices]]\nack_timeout_ms = 5000", "endpoints"),
            ("[[transmission.devices]]\nendpoints = \"a\"\nack_timeout_s = 5", "ack_timeout_s"),
            (&many, "64 at most"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
