//! The names in a certificate, and whether one of them is the expected one (RFC 6125, RFC 7252 §9.1.3.3).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Refusal, shown};

/// The names of a certificate's subject.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Names {
    /// The common name of the subject.
    pub common_name: Option<String>,
    /// The host names (subjectAltName, dNSName), as written.
    pub dns: Vec<String>,
    /// The URIs (subjectAltName, uniformResourceIdentifier), as written.
    pub uris: Vec<String>,
    /// The addresses (subjectAltName, iPAddress).
    pub addresses: Vec<IpAddr>,
}

impl Names {
    /// Every name that may stand for an endpoint: common name, host names, URIs.
    pub fn candidates(&self) -> impl Iterator<Item = &str> {
        self.common_name.iter().chain(&self.dns).chain(&self.uris).map(String::as_str)
    }

    /// Whether this is the certificate of `expected`, a host name or an address.
    ///
    /// A host name is compared without regard to case with the host names and with the hosts of `coap…` URIs; `*` stands
    /// for the whole first label. The common name counts only if there are none of these. An address is
    /// compared with the addresses, with the hosts of URIs and with the common name (OMA TS_Transport 5.2.8.7).
    #[must_use]
    pub fn include(&self, expected: &str) -> bool {
        let hosts = self.uris.iter().filter_map(|uri| host_of_coap(uri));
        if let Some(address) = address(expected) {
            return self.addresses.contains(&address)
                || hosts.chain(self.common_name.as_deref()).any(|host| self::address(host) == Some(address));
        }
        if self.dns.is_empty() && hosts.clone().next().is_none() {
            return self.common_name.as_deref().is_some_and(|name| is_host(name, expected));
        }
        self.dns.iter().map(String::as_str).any(|name| is_host(name, expected)) || { hosts }
            .any(|host| host.eq_ignore_ascii_case(expected))
    }

    pub(super) fn check(&self, expected: &str) -> Result<(), Refusal> {
        if self.include(expected) {
            return Ok(());
        }
        let mut presented = String::new();
        for (before, name) in self.candidates().enumerate() {
            // A host is often both the common name and a host name.
            if self.candidates().take(before).any(|other| other == name) {
                continue;
            }
            if !presented.is_empty() {
                presented.push_str(", ");
            }
            presented.push_str(name);
        }
        Err(Refusal::Name { expected: shown(expected), presented: shown(&presented) })
    }
}

/// The address that the text is, with or without the brackets of a URI.
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

/// The host in a URI whose scheme begins with `coap`; an IPv6 address keeps its brackets.
fn host_of_coap(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once("://")?;
    if !scheme.get(..4)?.eq_ignore_ascii_case("coap") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match authority.strip_prefix('[') {
        Some(rest) => authority.get(..rest.find(']')? + 2)?,
        None => authority.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

/// Whether a host name in a certificate, which may begin with `*.`, is the expected one (RFC 6125 §6.4).
fn is_host(presented: &str, expected: &str) -> bool {
    let expected = expected.strip_suffix('.').unwrap_or(expected);
    let presented = presented.strip_suffix('.').unwrap_or(presented);
    if expected.is_empty() {
        return false;
    }
    let Some(parent) = presented.strip_prefix("*.") else {
        return presented.eq_ignore_ascii_case(expected);
    };
    let Some((label, expected_parent)) = expected.split_once('.') else { return false };
    // `*.com` would stand for everybody.
    !label.is_empty() && parent.contains('.') && parent.eq_ignore_ascii_case(expected_parent)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn named(common_name: &str, dns: &[&str], uris: &[&str], addresses: &[&str]) -> Names {
        Names {
            common_name: (!common_name.is_empty()).then(|| common_name.into()),
            dns: dns.iter().map(|name| (*name).into()).collect(),
            uris: uris.iter().map(|name| (*name).into()).collect(),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn host_names_are_compared_as_rfc_6125_wants() {
        let table = [
            ("server.example", "server.example", true),
            ("Server.EXAMPLE", "server.example", true),
            ("server.example.", "server.example", true),
            ("server.example", "server.example.", true),
            ("server.example", "other.example", false),
            ("server.example", "server.example.org", false),
            ("server.example", "a.server.example", false),
            ("*.fleet.example", "a.fleet.example", true),
            ("*.fleet.example", "A.FLEET.example", true),
            ("*.fleet.example", "a.b.fleet.example", false),
            ("*.fleet.example", "fleet.example", false),
            ("*.fleet.example", ".fleet.example", false),
            ("*.example", "server.example", false),
            ("*", "server", false),
            ("s*.fleet.example", "server.fleet.example", false),
            ("a.*.example", "a.b.example", false),
            ("server.example\0.evil.example", "server.example", false),
            ("", "", false),
            ("localhost", "localhost", true),
        ];
        for (presented, expected, matches) in table {
            assert_eq!(
                named("", &[presented], &[], &[]).include(expected),
                matches,
                "{presented} {expected}"
            );
            assert_eq!(
                named(presented, &[], &[], &[]).include(expected),
                matches,
                "CN {presented} {expected}"
            );
        }
    }

    #[test]
    fn the_common_name_counts_only_without_better_names() {
        assert!(named("server.example", &[], &[], &[]).include("server.example"));
        assert!(named("server.example", &[], &["https://other.example/"], &[]).include("server.example"));
        assert!(!named("server.example", &["other.example"], &[], &[]).include("server.example"));
        assert!(!named("server.example", &[], &["coaps://other.example"], &[]).include("server.example"));
    }

    #[test]
    fn uris_of_coap_name_their_host() {
        let uris = ["coaps://Server.example:5684/rd"];
        assert!(named("", &[], &uris, &[]).include("server.example"));
        assert!(!named("", &[], &["https://server.example"], &[]).include("server.example"));
        assert!(
            !named("", &[], &["coaps://user@other.example/server.example"], &[]).include("server.example")
        );
        assert!(!named("", &[], &["coaps://*.example.org"], &[]).include("a.example.org"));
    }

    #[test]
    fn an_address_is_looked_for_in_every_name() {
        assert!(named("", &[], &[], &["192.0.2.1"]).include("192.0.2.1"));
        assert!(named("", &[], &[], &["2001:db8::1"]).include("[2001:DB8:0::1]"));
        assert!(named("192.0.2.1", &["server.example"], &[], &[]).include("192.0.2.1"));
        assert!(named("", &[], &["coaps://192.0.2.1:5684"], &[]).include("192.0.2.1"));
        assert!(named("", &[], &["coaps://[2001:db8::1]:5684"], &[]).include("2001:db8::1"));
        assert!(!named("", &["192.0.2.1"], &[], &[]).include("192.0.2.1"), "a host name is no address");
        assert!(!named("192.0.2.2", &[], &["coaps://192.0.2.2"], &["192.0.2.2"]).include("192.0.2.1"));
        assert!(!named("", &[], &["coaps://[", "coaps://", "coap", "coaps://[::1", ""], &[]).include("::1"));
    }

    #[test]
    fn a_refusal_shows_what_there_was_without_control_characters() {
        let names = named("dev\n1", &["a.example"], &[], &[]);
        assert_eq!(
            names.check("b.example"),
            Err(Refusal::Name { expected: "b.example".into(), presented: "dev\u{fffd}1, a.example".into() })
        );
        assert_eq!(names.candidates().collect::<Vec<_>>(), vec!["dev\n1", "a.example"]);
    }
}
