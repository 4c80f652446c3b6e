//! Malformed and hostile records and handshakes at our server, and at our device: what the corpus calls section E.
//!
//! After each row a device that was there before is served in its session, and a stranger's ClientHello gets its cookie.

use super::dtls::{put_credential, security};
use super::dtls_peers::{End, KEY, Library, SUITES};
use super::{World, start};
use crate::keys::Keys;
use crate::lightship::{Device, Serve};
use crate::process::{eventually, pause};
use crate::relay::{Relay, unchanged};
use crate::report::{Check, Report, holds, same};
use crate::secure::{SOON, Tunnel};
use crate::wire::{Socket, hex};
use crate::wire_dtls::{
    AGAIN, CERTIFICATE, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, ECDSA_CCM8, HANDSHAKE, PSK_CCM8, Raw,
    SERVER_HELLO, SILENCE, cookie_in, fragment, hello, in_words, message, record, signing_extensions,
};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

/// What the process may grow by while 10,000 strangers ask for a cookie, in KiB.
const GROWTH_KIB_MAX: u64 = 2048;

/// So many strangers in a row that are answered at once are no accident: the least that is ever dropped is every second.
const CALM: usize = 20;

/// Number and name, bytes, the reactions that are right, `|` between them.
const ROWS: &[(&str, &str, &str)] = &[
    ("87-coap", "42011234aabbb27264", "silence"),
    ("88-header-only", "16feff00000000000000000000", "silence"),
    ("89-record-beyond-datagram", "16feff0000000000000000ffff01010101", "silence"),
    ("90-empty-handshake-record", "16fefd00000000000000010000", "silence"),
    ("92-unknown-content-type", "63fefd0000000000000000000100", "silence"),
    ("93-version-of-tls", "1603030000000000000000000401000000", "silence"),
    ("94-application-data-in-epoch-0", "17fefd0000000000000001000568656c6c6f", "silence"),
    ("95-change-cipher-spec-first", "14fefd0000000000000000000101", "silence"),
    ("96-fatal-alert-from-nowhere", "15fefd000000000000000900020228", "silence"),
    ("97-close-notify-from-nowhere", "15fefd000000000000000900020100", "silence"),
    (
        "98-epoch-1-before-handshake",
        "17fefd00010000000000000018000000000000000000000000000000000000000000000000",
        "silence",
    ),
    ("102-unknown-cid", "19fefd0001000000000000dead001000000000000000000000000000000000", "silence"),
    (
        "105-hello-without-cookie",
        "16feff000000000000000000360100002a000000000000002afefd111111111111111111111111111111111111111111111111111111111111111100000002c0a80100",
        "handshake-3",
    ),
    (
        "106-wrong-cookie",
        "16feff0000000000000001004a0100003e000100000000003efefd1111111111111111111111111111111111111111111111111111111111111111001400000000000000000000000000000000000000000002c0a80100",
        "handshake-3|silence",
    ),
    (
        "109-odd-suite-list",
        "16feff000000000000000000370100002b000000000000002bfefd111111111111111111111111111111111111111111111111111111111111111100000003c0a8000100",
        "silence|alert-50",
    ),
    (
        "112-fragment-beyond-total",
        "16feff000000000000000000360100000a000000000000002afefd111111111111111111111111111111111111111111111111111111111111111100000002c0a80100",
        "silence",
    ),
    (
        "113-sixteen-megabytes",
        "16feff000000000000000000200 1ffffff00000000000000140000000000000000000000000000000000000000",
        "silence",
    ),
];

struct Hall<'a> {
    world: &'a World,
    keys: Keys,
    serve: Serve,
    at: SocketAddr,
    honest: Tunnel,
    location: String,
    /// Between the honest device and the server.
    relay: Relay,
}

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let started = start(report, "bad-input-dtls/starts", || Hall::open(world));
    if let Some(mut hall) = started {
        for (name, bytes, right) in ROWS {
            report.case(&format!("bad-input-dtls/{name}"), || hall.row(&hex(bytes), right));
        }
        hall.hellos(report);
        hall.handshakes(report);
        hall.established(report);
        hall.foreign_tricks(report);
    }
    device(world, report);
}

impl<'a> Hall<'a> {
    fn open(world: &'a World) -> Result<Self, String> {
        let keys = Keys::of_this_run(&world.folders.cache)?;
        let serve = Serve::start_secure(&world.program, "serve-bad-dtls", &security(&keys))?;
        let at = serve.secure()?;
        let relay = Relay::start(at, unchanged)?;
        put_credential(&serve, "honest", &json!({"mode": "psk", "identity": "honest", "key_hex": KEY}))?;
        let end = End {
            world,
            keys: &keys,
            library: Library::Pion,
            suite: &SUITES[0],
            who: "honest",
            more: &["cid=0"],
        };
        let mut honest = end.client(&relay.front.to_string())?;
        let location = honest.register("honest")?;
        Ok(Self { world, keys, serve, at, honest, location, relay })
    }

    /// Sends to our server and compares the reaction.
    fn row(&mut self, bytes: &[u8], right: &str) -> Check {
        let raw = Raw::to(self.at)?;
        raw.send(bytes)?;
        let answers = raw.reaction(right)?;
        let longest = answers.iter().map(Vec::len).sum::<usize>();
        holds(longest <= bytes.len(), || format!("{} bytes were answered with {longest}", bytes.len()))?;
        right_reaction(&in_words(&answers), right)?;
        self.still_serves()
    }

    fn still_serves(&mut self) -> Check {
        self.honest
            .update(&self.location)
            .map_err(|error| format!("the honest device afterwards: {error}"))?;
        Raw::to(self.at)?
            .cookie(&[PSK_CCM8], &[])
            .map(drop)
            .map_err(|error| format!("a stranger afterwards: {error}"))
    }

    /// In a flood our server drops hellos before it reads them, and less and less of them after it. A stranger comes in all the same if
    /// it asks again; in the end each is answered at once, also those of the cases to come.
    fn is_calm_again(&self) -> Check {
        let bytes = message(CLIENT_HELLO, 0, &hello(9, &[], &[PSK_CCM8], &[]));
        let answered = |raw: &Raw| {
            raw.send(&bytes)?;
            let answer = raw.socket.receive_bytes(AGAIN)?;
            holds(answer.is_some(), || "a ClientHello was not answered".to_owned())
        };
        let stranger = Raw::to(self.at)?;
        eventually(SOON, || answered(&stranger))
            .map_err(|error| format!("a stranger in the flood: {error}"))?;
        eventually(SOON, || (0..CALM).try_for_each(|_| answered(&Raw::to(self.at)?)))
            .map_err(|error| format!("a stranger after the flood: {error}"))
    }

    fn hellos(&mut self, report: &mut Report) {
        report.case("bad-input-dtls/91-record-too-long", || {
            self.row(&record(HANDSHAKE, 0, &[1; 20_000]), "silence")
        });
        report.case("bad-input-dtls/107-ten-thousand-hellos", || {
            let before = self.serve.process.size()?;
            let bytes = message(CLIENT_HELLO, 0, &hello(9, &[], &[PSK_CCM8], &[]));
            for _ in 0..10_000 {
                Socket::open()?.send(self.at, &bytes)?;
            }
            self.is_calm_again()?;
            self.still_serves()?;
            self.serve.process.has_not_grown(before, GROWTH_KIB_MAX)
        });
        let odd: [(&str, &[u16], &[u8], &str); 3] = [
            ("108-no-common-suite", &[0x0001], &[], "alert-40"),
            ("110-extension-beyond-end", &[PSK_CCM8], &[0, 13, 0, 0x20, 0], "alert-50|silence"),
            (
                "110-two-of-one-extension",
                &[PSK_CCM8],
                &[0, 23, 0, 0, 0, 23, 0, 0],
                "alert-47|alert-50|silence",
            ),
        ];
        for (name, suites, extensions, right) in odd {
            report.case(&format!("bad-input-dtls/{name}"), || {
                let raw = Raw::to(self.at)?;
                raw.send(&message(CLIENT_HELLO, 0, &hello(7, &[], suites, extensions)))?;
                let first = raw.reaction(right)?;
                // Before its cookie a stranger is told nothing, unless what it says cannot be read.
                match first.first().and_then(|answer| cookie_in(answer)) {
                    Some(cookie) => {
                        let second = message(CLIENT_HELLO, 1, &hello(7, &cookie, suites, extensions));
                        meets(&raw, &second, right)?;
                    }
                    None => right_reaction(&in_words(&first), right)?,
                }
                self.still_serves()
            });
        }
        report.case("bad-input-dtls/111-no-null-compression", || {
            let raw = Raw::to(self.at)?;
            let change = |mut body: Vec<u8>| {
                let last = body.len() - 1;
                body[last] = 1;
                body
            };
            raw.send(&message(CLIENT_HELLO, 0, &change(hello(7, &[], &[PSK_CCM8], &[]))))?;
            let answer = raw.reaction("handshake-3")?;
            let cookie = answer.first().and_then(|answer| cookie_in(answer)).ok_or("no cookie")?;
            let second = change(hello(7, &cookie, &[PSK_CCM8], &[]));
            meets(&raw, &message(CLIENT_HELLO, 1, &second), "alert-47")?;
            self.still_serves()
        });
    }

    /// What goes wrong after a good cookie, before there are keys.
    fn handshakes(&mut self, report: &mut Report) {
        report.case("bad-input-dtls/114-fragments-that-disagree", || {
            let raw = Raw::to(self.at)?;
            raw.greeted(&[PSK_CCM8], &[])?;
            let part = |offset, bytes: &[u8]| {
                record(HANDSHAKE, 9, &fragment(CLIENT_KEY_EXCHANGE, 8, 2, offset, bytes))
            };
            raw.send(&part(0, &[0, 6, b'h', b'o']))?;
            raw.send(&part(0, &[0, 6, b'x', b'y', b'z', b'z']))?;
            // The rest of an unknown identity, whichever of them was believed.
            meets(&raw, &part(4, b"nest"), "alert-115|alert-51|silence")?;
            self.still_serves()
        });
        report.case("bad-input-dtls/115-message-number-of-the-future", || {
            let raw = Raw::to(self.at)?;
            raw.greeted(&[PSK_CCM8], &[])?;
            let far = record(HANDSHAKE, 9, &fragment(CLIENT_KEY_EXCHANGE, 3, 1002, 0, &[0, 1, b'x']));
            meets(&raw, &far, "silence")?;
            self.still_serves()
        });
        let identities: [(&str, usize, &str); 3] = [
            ("0", 0, "alert-115|alert-50"),
            ("129", 129, "alert-115|alert-50"),
            ("7000", 7000, "alert-115|alert-50|silence"),
        ];
        for (name, length, right) in identities {
            report.case(&format!("bad-input-dtls/116-identity-of-{name}-bytes"), || {
                self.identity(&vec![b'i'; length], right)
            });
        }
        report.case("bad-input-dtls/116-identity-of-65535-bytes", || {
            let raw = Raw::to(self.at)?;
            raw.greeted(&[PSK_CCM8], &[])?;
            let first = fragment(CLIENT_KEY_EXCHANGE, 65_537, 2, 0, &[0xff; 1000]);
            meets(&raw, &record(HANDSHAKE, 2, &first), "alert-115|alert-50|alert-47|alert-40|silence")?;
            self.still_serves()
        });
        report.case("bad-input-dtls/117-unknown-identity", || self.identity(b"nobody", "alert-115|alert-51"));
        self.keys_and_certificates(report);
    }

    fn keys_and_certificates(&mut self, report: &mut Report) {
        let prefix = hex("3059301306072a8648ce3d020106082a8648ce3d030107034200");
        let off_curve = [&prefix[..], &[4], &[1; 64]].concat();
        let other_curve =
            [&hex("3076301006072a8648ce3d020106052b81040022036200")[..], &[4], &[1; 96]].concat();
        for (name, key) in
            [("point-not-on-the-curve", off_curve), ("another-curve", other_curve), ("empty", Vec::new())]
        {
            report.case(&format!("bad-input-dtls/123-rpk-{name}"), || {
                let raw = Raw::to(self.at)?;
                raw.greeted(&[ECDSA_CCM8], &signing_extensions(2))?;
                let length = u32::try_from(key.len()).map_err(|error| error.to_string())?.to_be_bytes();
                let body = [&length[1..], &key].concat();
                // At once, or when the proof of possession would have to be checked.
                let right = "alert-42|alert-43|alert-46|alert-47|alert-50|alert-49|alert-40|silence";
                meets(&raw, &message(CERTIFICATE, 2, &body), right)?;
                self.still_serves()
            });
        }
        report.case("bad-input-dtls/122-hundred-certificates", || {
            let raw = Raw::to(self.at)?;
            raw.greeted(&[ECDSA_CCM8], &signing_extensions(0))?;
            let one = std::fs::read(self.keys.path("server.crt.der")).map_err(|error| error.to_string())?;
            let length = u32::try_from(one.len()).map_err(|error| error.to_string())?.to_be_bytes();
            let list = [&length[1..], &one].concat().repeat(100);
            let whole = u32::try_from(list.len()).map_err(|error| error.to_string())?.to_be_bytes();
            self.certificates(&raw, &[&whole[1..], &list].concat())
        });
        report.case("bad-input-dtls/122-certificate-of-64-kilobytes", || {
            let raw = Raw::to(self.at)?;
            raw.greeted(&[ECDSA_CCM8], &signing_extensions(0))?;
            let body = [&[1, 0, 3, 1, 0, 0][..], &[0x30; 65_536]].concat();
            self.certificates(&raw, &body)
        });
    }

    fn certificates(&mut self, raw: &Raw, body: &[u8]) -> Check {
        let before = self.serve.process.size()?;
        for (number, part) in body.chunks(1000).enumerate() {
            raw.send(&record(HANDSHAKE, 10, &fragment(CERTIFICATE, body.len(), 2, number * 1000, part)))?;
        }
        let found = in_words(&raw.answers(SILENCE)?);
        let words: Vec<&str> = found.split(' ').collect();
        let right =
            words.iter().all(|word| word.starts_with("alert") || *word == "silence") && words.len() <= 2;
        holds(right, || format!("found {found}"))?;
        self.serve.process.has_not_grown(before, GROWTH_KIB_MAX)?;
        self.still_serves()
    }

    fn identity(&mut self, identity: &[u8], right: &str) -> Check {
        let raw = Raw::to(self.at)?;
        raw.greeted(&[PSK_CCM8], &[])?;
        let length = u16::try_from(identity.len()).map_err(|error| error.to_string())?;
        let body = [&length.to_be_bytes(), identity].concat();
        meets(&raw, &message(CLIENT_KEY_EXCHANGE, 2, &body), right)?;
        self.still_serves()
    }

    /// Around the honest device's session, from its own address as the server sees it.
    fn established(&mut self, report: &mut Report) {
        let forged: [(&str, &str); 3] = [
            ("96-fatal-alert-in-a-session", "15fefd000000000000000900020228"),
            ("97-close-notify-in-a-session", "15fefd000000000000000900020100"),
            (
                "99-record-with-a-broken-tag",
                "17fefd0001000000000fff0018000000000000000000000000000000000000000000000000",
            ),
        ];
        for (name, bytes) in forged {
            report.case(&format!("bad-input-dtls/{name}"), || {
                self.relay.inject(&hex(bytes))?;
                pause(SILENCE);
                self.still_serves()
            });
        }
        report.case("bad-input-dtls/100-replayed-records", || {
            self.honest.update(&self.location)?;
            let (last, answers) = (self.relay.last(), self.relay.answers());
            holds(last.first() == Some(&25), || format!("no record with a connection ID: {last:02x?}"))?;
            for _ in 0..20 {
                self.relay.inject(&last)?;
            }
            pause(SILENCE);
            same("answers to copies", &(self.relay.answers() - answers), &0)?;
            self.still_serves()
        });
        report.case("bad-input-dtls/101-record-older-than-the-window", || {
            self.honest.update(&self.location)?;
            let old = self.relay.last();
            for _ in 0..70 {
                self.honest.update(&self.location)?;
            }
            let answers = self.relay.answers();
            self.relay.inject(&old)?;
            pause(SILENCE);
            same("answers to it", &(self.relay.answers() - answers), &0)?;
            self.still_serves()
        });
        report.case("bad-input-dtls/104-forged-record-does-not-move-a-session", || {
            self.honest.update(&self.location)?;
            let before = self.serve.registered("honest", SOON)?["address"].clone();
            let raw = Raw::to(self.at)?;
            let mut forged = self.relay.last();
            forged[10] = 0xff; // the newest of all numbers, and so a wrong tag
            meets(&raw, &forged, "silence")?;
            let copy = self.relay.last();
            meets(&raw, &copy, "silence")?;
            same("address", &self.serve.registered("honest", SOON)?["address"], &before)?;
            self.honest.serve_read(&self.serve, "honest")?;
            self.still_serves()
        });
        report.case("bad-input-dtls/121-hello-on-a-live-session", || {
            let hello = message(CLIENT_HELLO, 0, &hello(5, &[], &[PSK_CCM8], &[]));
            let answers = self.relay.answers();
            self.relay.inject(&hello)?;
            eventually(SOON, || holds(self.relay.answers() > answers, || "no cookie".to_owned()))?;
            self.still_serves()?;
            self.honest.serve_read(&self.serve, "honest")
        });
    }

    /// What needs a foreign library to be done.
    fn foreign_tricks(&mut self, report: &mut Report) {
        report.case("bad-input-dtls/116-identity-of-128-bytes", || {
            let identity = "i".repeat(128);
            put_credential(
                &self.serve,
                "long-identity",
                &json!({"mode": "psk", "identity": identity, "key_hex": KEY}),
            )?;
            let end = self.end(Library::Pion, &identity, &[]);
            end.client(&self.at.to_string())?.register("long-identity").map(drop)
        });
        report.case("bad-input-dtls/118-wrong-key", || {
            put_credential(
                &self.serve,
                "wrong-key",
                &json!({"mode": "psk", "identity": "wrong-key", "key_hex": "77"}),
            )?;
            holds(self.end(Library::Pion, "wrong-key", &[]).client(&self.at.to_string()).is_err(), || {
                "came in".to_owned()
            })?;
            same("registration", &self.serve.rest.get("endpoints/wrong-key")?.status, &404)?;
            self.still_serves()
        });
        report.case("bad-input-dtls/119-everything-twice", || {
            put_credential(
                &self.serve,
                "twice",
                &json!({"mode": "psk", "identity": "twice", "key_hex": KEY}),
            )?;
            let relay = Relay::start(self.at, unchanged)?;
            relay.repeat(true);
            let mut tunnel = self.end(Library::Pion, "twice", &[]).client(&relay.front.to_string())?;
            tunnel.register("twice")?;
            relay.repeat(false);
            tunnel.serve_read(&self.serve, "twice")?;
            self.still_serves()
        });
        report.case("bad-input-dtls/120-renegotiation", || {
            put_credential(
                &self.serve,
                "again",
                &json!({"mode": "psk", "identity": "again", "key_hex": KEY}),
            )?;
            let mut command = std::process::Command::new("openssl");
            command.args(["s_client", "-dtls1_2", "-cipher", "PSK-AES128-CCM8:@SECLEVEL=0", "-psk", KEY]);
            command.args(["-psk_identity", "again", "-connect", &self.at.to_string()]);
            let mut tool =
                crate::process::Process::start(command, &self.world.program.logs.join("renegotiation.log"))?;
            tool.wait_for("end of the handshake", SOON, |line| {
                line.contains("Verify return code").then_some(())
            })?;
            tool.tell("R")?;
            pause(Duration::from_secs(1));
            self.still_serves()?;
            let sessions = self.serve.rest.get("security/failures")?.body.to_string();
            holds(!sessions.contains("\"again\""), || format!("a second handshake was begun: {sessions}"))
        });
    }

    fn end<'b>(&'b self, library: Library, who: &'b str, more: &'b [&'b str]) -> End<'b> {
        End { world: self.world, keys: &self.keys, library, suite: &SUITES[0], who, more }
    }
}

/// Our device at a server that is none.
fn device(world: &World, report: &mut Report) {
    let begin = |endpoint: &str| {
        let socket = Socket::open()?;
        let uri = format!("coaps://{}", socket.address());
        let flags = ["--psk-identity", "me", "--psk-key", KEY, "--dtls-timeout", "0.2"];
        let device = Device::start(&world.program, &uri, endpoint, &flags)?;
        let (_, from) = socket.receive_bytes(SOON)?.ok_or("no ClientHello")?;
        Ok::<_, String>((device, Raw { socket, peer: from }))
    };
    report.case("bad-input-dtls/124-suite-that-was-not-offered", || {
        let (_device, raw) = begin("bad-suite")?;
        let body = [&[0xfe, 0xfd][..], &[3; 32], &[0, 0x13, 0x01, 0]].concat();
        raw.send(&message(SERVER_HELLO, 0, &body))?;
        let end = std::time::Instant::now() + SOON;
        while std::time::Instant::now() < end {
            let Some((bytes, _)) = raw.socket.receive_bytes(SOON)? else { break };
            if in_words(&[bytes]) == "alert-47" {
                return Ok(());
            }
        }
        Err("no alert illegal_parameter".to_owned())
    });
    report.case("bad-input-dtls/125-cookies-without-end", || {
        let (mut device, raw) = begin("bad-cookies")?;
        let mut hellos = 0;
        for number in 0..100_u8 {
            let body = [&[0xfe, 0xff, 16][..], &[number; 16]].concat();
            let request =
                record(HANDSHAKE, number, &fragment(crate::wire_dtls::HELLO_VERIFY_REQUEST, 19, 0, 0, &body));
            raw.send(&request)?;
            hellos += raw.answers(Duration::from_millis(20))?.len();
        }
        holds(hellos < 20, || format!("{hellos} ClientHellos for 100 cookies"))?;
        device.event("handshake-failed", Duration::from_secs(60)).map(drop)
    });
}

/// Sends, and compares what comes of it.
fn meets(raw: &Raw, bytes: &[u8], right: &str) -> Check {
    raw.send(bytes)?;
    right_reaction(&in_words(&raw.reaction(right)?), right)
}

fn right_reaction(found: &str, right: &str) -> Check {
    holds(right.split('|').any(|one| one == found), || format!("expected {right}, found {found}"))
}
