//! Which cases play what Leshan's own test suite proves, fact by fact and in both directions, or why none does.
//!
//! The table is written to `coverage.md` and checked in each whole run: every case that it names must have passed, so it
//! cannot say more than the run did.

use crate::report::{Check, Report, holds};
use std::fmt::Write;
use std::path::Path;

/// The cases of one direction: names or their beginnings; or the reason why there are none.
enum Played {
    Cases(&'static [&'static str]),
    Not(&'static str),
}

use Played::{Cases, Not};

/// A fact that a class of their tests proves, and who plays it: Leshan's device at our server, our device at Leshan's.
struct Fact {
    class: &'static str,
    fact: &'static str,
    their_device: Played,
    their_server: Played,
}

const fn fact(class: &'static str, fact: &'static str, their_device: Played, their_server: Played) -> Fact {
    Fact { class, fact, their_device, their_server }
}

/// Their tests send by hand here, because no library would; so do ours.
const BY_HAND: &str = "played by hand at the server, as in their suite; no device's library sends it";
/// Said of what a device decides alone.
const SERVER_ONLY: &str = "what a server does with it; the device's part is the row above";
const OSCORE: &str = "OSCORE is not built yet";
/// Who begins a handshake is a choice that LwM2M leaves to devices (TS_Transport 5.2: the client is the DTLS client).
const NEVER_BEGINS: &str =
    "our server never begins a handshake, our device answers none: the device is the DTLS client";
/// The cases `moves-with-cid` play the same without the check.
const NO_RRC: &str = "no release does it (looked into: pion/dtls 3.1.15, Scandium 3.14.0 and 4.0.0-M6); played by hand with pion/dtls from \
                      its main branch (66a2879), its client at our server and our device at its server: each moved once the check was answered";

const FACTS: &[Fact] = &[
    fact(
        "DiscoverTest",
        "object, instance, single and multiple resource",
        Cases(&["leshan-operations-device/discover/", "leshan-device/discover/"]),
        Cases(&["leshan-operations-server/discover/", "leshan-server/discover/"]),
    ),
    fact(
        "DiscoverTest",
        "4.04 for each kind of missing path",
        Cases(&["leshan-operations-device/refused/discover/"]),
        Cases(&["leshan-operations-server/refused/discover/"]),
    ),
    fact(
        "ReadSingleValueTest",
        "a resource, in each format",
        Cases(&[
            "leshan-device/read/string/",
            "leshan-device/read/corelnk/",
            "leshan-json-device/write-and-read/",
        ]),
        Cases(&["leshan-server/write-and-read/string/", "leshan-json-server/write-and-read/"]),
    ),
    fact(
        "ReadSingleValueTest",
        "a resource instance; an instance of a single resource is refused",
        Cases(&[
            "leshan-device/read/resource-instance/",
            "leshan-operations-device/read/instance-of-a-single-resource/",
        ]),
        Cases(&[
            "leshan-operations-server/write/resource-instance/",
            "leshan-operations-server/read/instance-of-a-single-resource/",
        ]),
    ),
    fact(
        "ReadMultiValueTest",
        "object, object without instances, instance, in each format",
        Cases(&[
            "leshan-device/read/3442",
            "leshan-operations-device/read/object-without-instances/",
            "leshan-json-device/read/",
        ]),
        Cases(&[
            "leshan-server/read/3442",
            "leshan-operations-server/read/object-without-instances/",
            "leshan-json-server/read/",
        ]),
    ),
    fact(
        "ReadOpaqueValueTest",
        "an empty opaque value, in each format",
        Cases(&["leshan-operations-device/read/empty-opaque/"]),
        Cases(&["leshan-operations-server/read/empty-opaque/"]),
    ),
    fact(
        "ReadCompositeTest",
        "root, resources, resource instance, a mixture, in each pair of formats",
        Cases(&["leshan-composites-device/read/"]),
        Cases(&["leshan-composites-server/read/"]),
    ),
    fact(
        "ReadFailedTest",
        "4.05 not readable, 4.04 missing object, instance, resource, and Security",
        Cases(&["leshan-operations-device/refused/read/"]),
        Cases(&["leshan-operations-server/refused/read/"]),
    ),
    fact(
        "WriteSingleValueTest",
        "each data type in each format",
        Cases(&[
            "leshan-device/write/",
            "leshan-operations-device/write/link-list/",
            "leshan-json-device/write-and-read/",
        ]),
        Cases(&[
            "leshan-server/write-and-read/",
            "leshan-operations-server/write/link-list/",
            "leshan-json-server/write-and-read/",
        ]),
    ),
    fact(
        "WriteSingleValueTest",
        "a resource instance",
        Cases(&["leshan-operations-device/write/resource-instance/"]),
        Cases(&["leshan-operations-server/write/resource-instance/"]),
    ),
    fact(
        "WriteSingleValueTest",
        "a value that cannot be encoded is the caller's error",
        Cases(&["leshan-device/refused/wrong-type-stays-here"]),
        Not("what a server does before it sends; there is nothing for the device to see"),
    ),
    fact(
        "WriteMultiValueTest",
        "instance, replaced and updated in part",
        Cases(&[
            "leshan-device/write/partial-update/",
            "leshan-device/write/replace-instance/",
            "leshan-json-device/write/",
        ]),
        Cases(&[
            "leshan-server/write/partial-update/",
            "leshan-server/write/replace-instance/",
            "leshan-json-server/write/",
        ]),
    ),
    fact(
        "WriteMultiValueTest",
        "multiple object links, empty multiple resource, resource instances",
        Cases(&[
            "leshan-operations-device/write/multiple-object-links/",
            "leshan-operations-device/write/empty-multiple-resource/",
        ]),
        Cases(&[
            "leshan-operations-server/write/multiple-object-links/",
            "leshan-operations-server/write/empty-multiple-resource/",
        ]),
    ),
    fact(
        "WriteMultiValueTest",
        "the numbers that formats had before 1.0",
        Not("our server never sends them (it takes them: the deviation old-format-number)"),
        Cases(&["leshan-operations-server/write/old-number-", "leshan-json-server/write/old-number-"]),
    ),
    fact(
        "WriteOpaqueValueTest",
        "opaque resource and resource instance, in each format",
        Cases(&["leshan-device/write/opaque/", "leshan-operations-device/write/opaque-resource-instance/"]),
        Cases(&[
            "leshan-server/write-and-read/opaque/",
            "leshan-operations-server/write/opaque-resource-instance/",
        ]),
    ),
    fact(
        "WriteCompositeTest",
        "several resources, resource and resource instance, added instances, the notification after it",
        Cases(&["leshan-composites-device/write/", "leshan-composite-device/write-is-all-or-nothing/"]),
        Cases(&["leshan-composites-server/write/", "leshan-composite-server/write-is-all-or-nothing/"]),
    ),
    fact(
        "WriteFailedTest",
        "4.05 not writable, 4.04 Security, a Replace that lacks a mandatory resource",
        Cases(&["leshan-operations-device/refused/write/"]),
        Cases(&["leshan-operations-server/refused/write/"]),
    ),
    fact(
        "CreateTest",
        "without ID, with ID, two instances at once",
        Cases(&[
            "leshan-device/create/",
            "leshan-operations-device/create/two-instances/",
            "leshan-json-device/create-and-delete",
        ]),
        Cases(&[
            "leshan-server/create",
            "leshan-operations-server/create/two-instances/",
            "leshan-json-server/create-and-delete",
        ]),
    ),
    fact(
        "CreateTest",
        "4.00 when mandatory resources are missing",
        Cases(&["leshan-operations-device/create/without-mandatory-resources/"]),
        Cases(&["leshan-operations-server/create/without-mandatory-resources/"]),
    ),
    fact(
        "CreateFailedTest",
        "single mandatory object, Security, absent object",
        Cases(&["leshan-operations-device/refused/create/"]),
        Cases(&["leshan-operations-server/refused/create/"]),
    ),
    fact(
        "DeleteTest",
        "2.02 created instance, 4.04 unknown, 4.05 Device, Security",
        Cases(&["leshan-device/delete/", "leshan-operations-device/refused/delete/"]),
        Cases(&["leshan-server/create-and-delete/", "leshan-operations-server/refused/delete/"]),
    ),
    fact(
        "DeleteClientOnlyTest",
        "a resource cannot be deleted",
        Not("our server refuses the path before it sends"),
        Cases(&["bad-input-device/181-delete-resource"]),
    ),
    fact(
        "ExecuteTest",
        "2.04 with and without arguments",
        Cases(&["leshan-device/execute/", "leshan-operations-device/execute/"]),
        Cases(&["leshan-server/execute/", "leshan-operations-server/execute/"]),
    ),
    fact(
        "ExecuteTest",
        "4.05 read-only and read-write, 4.04 missing resource and object, Security",
        Cases(&["leshan-operations-device/refused/execute/"]),
        Cases(&["leshan-operations-server/refused/execute/"]),
    ),
    fact(
        "WriteAttributeDiscoverTest",
        "attributes of each level, shown by Discover",
        Cases(&["leshan-attributes-device/discover/"]),
        Cases(&["leshan-attributes-server/discover/"]),
    ),
    fact(
        "WriteAttributeFailedTest",
        "pmin above pmax, epmin above epmax, gt not above lt, lt + 2 st not below gt, against what is stored",
        Cases(&["leshan-attributes-device/refused/"]),
        Cases(&["leshan-attributes-server/refused/"]),
    ),
    fact(
        "WriteAttributeObserveTest",
        "pmin, pmax, both, equal",
        Cases(&["leshan-attributes-device/observe/pm"]),
        Cases(&["leshan-attributes-server/observe/pm"]),
    ),
    fact(
        "WriteAttributeObserveTest",
        "lt, gt, st for integer, float, unsigned, rising and falling, and all together",
        Cases(&[
            "leshan-attributes-device/observe/lt/",
            "leshan-attributes-device/observe/gt/",
            "leshan-attributes-device/observe/st-",
            "leshan-attributes-device/observe/lt-gt-st/",
            "leshan-attributes-device/observe/lt-and-pmax",
        ]),
        Cases(&[
            "leshan-attributes-server/observe/lt/",
            "leshan-attributes-server/observe/gt/",
            "leshan-attributes-server/observe/st-",
            "leshan-attributes-server/observe/lt-gt-st/",
            "leshan-attributes-server/observe/lt-and-pmax",
        ]),
    ),
    fact(
        "WriteAttributeObserveTest",
        "inheritance from object, instance and resource; inheritance that contradicts itself",
        Cases(&["leshan-attributes-device/observe/inherit"]),
        Cases(&["leshan-attributes-server/observe/inherit"]),
    ),
    fact(
        "WriteAttributeHouseKeepingTest",
        "attributes vanish with the object instance and the resource instance",
        Cases(&["leshan-attributes-device/vanish-"]),
        Cases(&["leshan-attributes-server/vanish-"]),
    ),
    fact(
        "WriteAttributeHouseKeepingTest",
        "an active cancellation at each level ends what attributes drive; so does the removal of the target",
        Cases(&["leshan-attributes-device/cancelled/", "leshan-attributes-device/removed-while-observed"]),
        Cases(&["leshan-attributes-server/cancelled/", "leshan-attributes-server/removed-while-observed"]),
    ),
    fact(
        "WriteAttributeHouseKeepingTest",
        "a passive cancellation does, too",
        Cases(&["leshan-observe-device/server-forgets/"]),
        Cases(&["leshan-observe-server/cancelled-by-reset/"]),
    ),
    fact(
        "ObserveTest",
        "resource, resource instance, instance, object; active cancellation",
        Cases(&["leshan-observe-device/observe/", "leshan-device/observe/", "leshan-json-device/observe/"]),
        Cases(&["leshan-observe-server/observe/", "leshan-server/observe/", "leshan-json-server/observe/"]),
    ),
    fact(
        "ObserveTest",
        "passive cancellation",
        Cases(&["leshan-observe-device/server-forgets/"]),
        Cases(&["leshan-observe-server/cancelled-by-reset/"]),
    ),
    fact(
        "ObserveTest",
        "instance and resource instance deleted under observation",
        Cases(&["leshan-observe-device/deleted-under-observation/"]),
        Cases(&["leshan-observe-server/deleted-under-observation/"]),
    ),
    fact(
        "ObserveTimeStampTest",
        "notifications with times, one of them without",
        Cases(&["lockstep/observe/timestamped/"]),
        Not(BY_HAND),
    ),
    fact(
        "ObserveCompositeTest",
        "single, several, root, instance, object; active cancellation",
        Cases(&["leshan-composites-device/observe/", "leshan-composite-device/observe/"]),
        Cases(&["leshan-composites-server/observe/", "leshan-composite-server/observe/"]),
    ),
    fact(
        "ObserveCompositeTest",
        "nothing is told of a change elsewhere",
        Cases(&["leshan-composites-device/observe/unrelated-change-is-not-told"]),
        Cases(&["leshan-composites-server/observe/unrelated-change-is-not-told"]),
    ),
    fact(
        "ObserveCompositeTest",
        "passive cancellation",
        Not("our server always says that it observes no longer; a Reset is shown with a single observation"),
        Cases(&["leshan-observe-server/cancelled-by-reset/composite"]),
    ),
    fact(
        "ObserveCompositeTimeStampTest",
        "times, empty values, paths that were not asked for",
        Cases(&["lockstep/observe-composite/"]),
        Not(BY_HAND),
    ),
    fact(
        "ObserveServerOnlyTest",
        "a notification that cannot be understood, and one that says an error",
        Cases(&["lockstep/notification/"]),
        Not(SERVER_ONLY),
    ),
    fact(
        "DynamicIPObserveTest",
        "without security a notification from another address is not accepted",
        Cases(&[
            "lockstep/stranger/notification",
            "leshan-moving-device/refuse/",
            "leshan-moving-device/follow/",
        ]),
        Cases(&["leshan-registration-server/served-after-its-address-changed"]),
    ),
    fact(
        "DynamicIPObserveTest",
        "with PSK, RPK and X.509 it is, by the connection ID",
        Cases(&[
            "leshan-secure-device/moves/psk/notification-is-believed",
            "leshan-secure-device/moves/rpk/notification-is-believed",
            "leshan-secure-device/moves/x509/notification-is-believed",
            "nat/leshan-with-cid/",
        ]),
        Cases(&["leshan-secure-server/moves/notification-is-believed", "nat/with-cid/"]),
    ),
    fact(
        "DynamicIPObserveTest",
        "without a connection ID it takes a handshake",
        Cases(&["leshan-secure-device/moves/without-cid/", "nat/leshan-without-cid/"]),
        Cases(&["leshan-secure-server/moves/without-cid/", "nat/without-cid/"]),
    ),
    fact("DynamicIPObserveTest, DynamicIPSendTest", "with OSCORE it is", Not(OSCORE), Not(OSCORE)),
    fact(
        "SendTest",
        "several values at once, in each format",
        Cases(&["leshan-composite-device/send/"]),
        Cases(&[
            "leshan-send-server/now",
            "leshan-send-server/object-and-instance",
            "leshan-composite-server/send",
        ]),
    ),
    fact(
        "SendTimestampedTest",
        "values of several moments",
        Cases(&["leshan-send-device/several-moments/"]),
        Cases(&["leshan-send-server/several-moments"]),
    ),
    fact(
        "LockStepSendTest",
        "4.00 for what cannot be decoded",
        Cases(&["lockstep/send/undecodable"]),
        Not(BY_HAND),
    ),
    fact(
        "DynamicIPSendTest",
        "without security a Send from another address is not accepted",
        Cases(&["lockstep/stranger/send"]),
        Not(SERVER_ONLY),
    ),
    fact(
        "DynamicIPSendTest",
        "with PSK, RPK and X.509 it is",
        Cases(&[
            "leshan-secure-device/moves/psk/send-is-believed",
            "leshan-secure-device/moves/rpk/send-is-believed",
            "leshan-secure-device/moves/x509/send-is-believed",
        ]),
        Cases(&["leshan-secure-server/moves/send-is-believed"]),
    ),
    fact(
        "(beyond their suite)",
        "Send of a path that is not there",
        Cases(&["leshan-send-device/missing-path/"]),
        Cases(&["leshan-send-server/missing-path"]),
    ),
    fact(
        "LockStepTest",
        "a Register that is none is 4.00; bindings of 1.0 and 1.1 and their misuse",
        Cases(&["lockstep/binding/", "bad-input/139-", "bad-input/140-", "bad-input/141-"]),
        Not(BY_HAND),
    ),
    fact(
        "RegistrationTest",
        "register, update, de-register",
        Cases(&[
            "leshan-device/registers",
            "leshan-device/updates",
            "leshan-device/deregisters",
            "leshan-registration-device/updates-before-its-lifetime-ends",
        ]),
        Cases(&[
            "leshan-server/registers",
            "leshan-server/updates",
            "leshan-server/deregisters",
            "leshan-registration-server/updates-before-its-lifetime-ends",
        ]),
    ),
    fact(
        "RegistrationTest",
        "registering anew, with and without a de-register before",
        Cases(&[
            "leshan-registration-device/de-registers-and-registers-again",
            "leshan-registration-device/registers-anew-without-de-register",
        ]),
        Cases(&[
            "leshan-registration-server/de-registers-and-registers-again",
            "leshan-registration-server/registers-anew-without-de-register",
        ]),
    ),
    fact(
        "RegistrationTest",
        "requests under way end with the registration",
        Cases(&["leshan-registration-device/requests-end-with-the-registration"]),
        Not("what a server does with its own requests"),
    ),
    fact(
        "RegistrationTest",
        "additional parameters are kept",
        Cases(&["leshan-registration-device/additional-parameters-are-kept"]),
        Not("our device sends none"),
    ),
    fact(
        "RegistrationTest",
        "without an endpoint name, without security: refused",
        Cases(&["bad-input/127-"]),
        Not("our device always says its name where nothing else does"),
    ),
    fact(
        "(beyond their suite)",
        "a registration ends with its lifetime",
        Cases(&["leshan-device/expires-after-its-lifetime"]),
        Cases(&["leshan-registration-server/expires-after-its-lifetime"]),
    ),
    fact(
        "(beyond their suite)",
        "Updates by trigger, by a written lifetime, by a new list; Disable; registering again after 4.04",
        Cases(&["leshan-device/write/lifetime-triggers-update"]),
        Cases(&[
            "leshan-registration-server/update-trigger",
            "leshan-registration-server/lifetime-written-is-told",
            "leshan-registration-server/new-objects-are-told",
            "leshan-registration-server/disable",
            "leshan-server/registers-again-after-4.04",
        ]),
    ),
    fact(
        "QueueModeTest",
        "awake and asleep in turn, one awake event in a window",
        Cases(&[
            "leshan-queue-device/falls-asleep-and-wakes",
            "leshan-queue-device/one-awake-event-in-a-window",
        ]),
        Cases(&[
            "leshan-queue-server/1.1/falls-asleep-and-wakes",
            "leshan-queue-server/1.0/falls-asleep-and-wakes",
        ]),
    ),
    fact(
        "QueueModeTest",
        "a request that is not answered: asleep; delivery while awake",
        Cases(&[
            "leshan-queue-device/asleep-when-it-does-not-answer",
            "leshan-queue-device/waited-for-",
            "leshan-queue-device/commands-",
        ]),
        Cases(&[
            "leshan-queue-server/1.1/served-while-awake",
            "leshan-queue-server/1.1/not-asked-while-asleep",
            "sleepy-device/",
        ]),
    ),
    fact(
        "BootstrapTest",
        "plain; TLV only and SenML CBOR only; the format of the configuration",
        Cases(&["leshan-bootstrap-device/plain", "leshan-bootstrap-device/format-"]),
        Cases(&["leshan-bootstrap-server/plain", "leshan-bootstrap-server/format-"]),
    ),
    fact(
        "BootstrapTest",
        "without an endpoint name, without security: refused",
        Not("played by hand: bad-input-bootstrap/285-no-ep; the library is told its name here"),
        Not("our device always says its name where nothing else does"),
    ),
    fact(
        "BootstrapTest",
        "additional parameters",
        Cases(&["leshan-bootstrap-device/additional-parameters"]),
        Not("our device sends none"),
    ),
    fact(
        "BootstrapTest",
        "Discover of the root and of Device first",
        Cases(&["leshan-bootstrap-device/accounts-are-discovered"]),
        Cases(&[
            "leshan-bootstrap-server/discover-root-first",
            "leshan-bootstrap-server/discover-device-first",
            "leshan-bootstrap-server/read-first",
        ]),
    ),
    fact(
        "BootstrapTest",
        "once more: the IDs of the accounts stay",
        Cases(&["leshan-bootstrap-device/again-keeps-the-accounts"]),
        Cases(&["leshan-bootstrap-server/again-with-the-same-account"]),
    ),
    fact(
        "BootstrapTest",
        "two bootstrap accounts are refused; IDs of Security instances by themselves",
        Cases(&["leshan-bootstrap-device/accounts-are-discovered"]),
        Cases(&[
            "leshan-bootstrap-server/two-bootstrap-accounts",
            "leshan-bootstrap-server/instance-ids-by-discover",
        ]),
    ),
    fact(
        "BootstrapTest",
        "deleting some and all; access control",
        Cases(&["leshan-bootstrap-device/delete-", "leshan-bootstrap-device/access-control"]),
        Cases(&["leshan-bootstrap-server/delete-", "leshan-bootstrap-server/access-control"]),
    ),
    fact(
        "WriteAttributeBootstrapTest",
        "a bootstrap that changes the account ends observations",
        Cases(&["leshan-bootstrap-device/again-keeps-the-accounts"]),
        Cases(&["leshan-bootstrap-server/another-account-ends-observations"]),
    ),
    fact(
        "SecureBootstrapTest",
        "PSK, RPK, X.509, and from there to a server with PSK",
        Cases(&[
            "leshan-secure-bootstrap-device/psk",
            "leshan-secure-bootstrap-device/rpk",
            "leshan-secure-bootstrap-device/x509",
        ]),
        Cases(&[
            "leshan-secure-bootstrap-server/psk",
            "leshan-secure-bootstrap-server/rpk",
            "leshan-secure-bootstrap-server/x509",
        ]),
    ),
    fact(
        "SecureBootstrapTest",
        "a wrong key is refused; so is the credential for the other role",
        Cases(&["leshan-secure-bootstrap-device/refused/"]),
        Not("what a server does with it; what our device makes of a refusal is in the rows of PskTest"),
    ),
    fact(
        "SecureBootstrapTest",
        "each without an endpoint name",
        Not("the library is told its name here; our own device without one is tested in crates/server"),
        Not("our device always says its name"),
    ),
    fact(
        "SecureBootstrapTest",
        "SNI",
        Not("the same code as at the server: the row of SniTest"),
        Not("their Bootstrap-Server has one certificate"),
    ),
    fact(
        "PskTest",
        "registers, is read, registers again; each suite that both have",
        Cases(&["leshan-secure-device/psk/", "leshan-secure-device/registers-again"]),
        Cases(&["leshan-secure-server/psk/TLS_", "leshan-secure-server/psk/registers-again"]),
    ),
    fact(
        "PskTest",
        "bad identity, bad key, bad endpoint",
        Cases(&["leshan-secure-device/refused/psk-"]),
        Cases(&["leshan-secure-server/psk/refused/"]),
    ),
    fact(
        "PskTest",
        "without an endpoint name",
        Cases(&["dtls-openssl/client/without-endpoint-name"]),
        Not("our device always says its name"),
    ),
    fact(
        "PskTest",
        "a handshake that the server begins, its time-out, none in Queue Mode",
        Not(NEVER_BEGINS),
        Not(NEVER_BEGINS),
    ),
    fact(
        "PskTest, RpkTest, X509Test",
        "a credential that is removed ends its session",
        Cases(&["leshan-secure-device/credential-removed/"]),
        Cases(&["leshan-secure-server/psk/credential-removed-cuts-the-session"]),
    ),
    fact(
        "(beyond their suite)",
        "resumption by session ID and by ticket, full handshakes in between; connection IDs one way and both",
        Cases(&[
            "leshan-secure-device/resume",
            "leshan-secure-device/handshake",
            "leshan-secure-device/cid=",
            "leshan-secure-device/no-cid",
        ]),
        Cases(&["leshan-secure-server/psk/reconnects-by-resumption"]),
    ),
    fact("(beyond their suite)", "a new address is checked first (RFC 9853)", Not(NO_RRC), Not(NO_RRC)),
    fact(
        "RpkTest",
        "registers, is read; another key on either side is refused",
        Cases(&["leshan-secure-device/rpk", "leshan-secure-device/refused/rpk-unknown-key"]),
        Cases(&["leshan-secure-server/rpk/"]),
    ),
    fact(
        "RpkX509Test",
        "one kind where the other is due",
        Cases(&[
            "leshan-secure-device/refused/rpk-where-x509-is-due",
            "leshan-secure-device/refused/x509-where-rpk-is-due",
        ]),
        Not("which kind a device has is its server's knowledge; ours offers the one of its account"),
    ),
    fact(
        "X509Test",
        "the four usages, with a server's certificate below an authority, below one between, without the one between, \
         signed by itself, of another name; what the device was given right and wrong",
        Cases(&["leshan-secure-device/x509/usage-"]),
        Cases(&[
            "leshan-secure-server/x509/server/",
            "leshan-secure-server/x509/deep+between/",
            "leshan-secure-server/x509/deep/",
            "leshan-secure-server/x509/alone/",
            "leshan-secure-server/x509/other/",
        ]),
    ),
    fact(
        "X509Test",
        "a device's certificate of another name, with another key, by a stranger",
        Cases(&["leshan-secure-device/refused/x509-"]),
        Cases(&["leshan-secure-server/x509/refused/"]),
    ),
    fact(
        "X509Test",
        "the same over TLS and TCP",
        Not("there is one transport yet"),
        Not("there is one transport yet"),
    ),
    fact(
        "SniTest",
        "several names, several certificates",
        Cases(&["leshan-secure-device/sni/"]),
        Not("their server has one certificate here; our device asks for its name in every case with X.509"),
    ),
    fact(
        "SecurityStoreTest",
        "no two devices with one PSK identity; sessions end when it changes",
        Cases(&[
            "leshan-secure-device/refused/psk-identity-given-twice",
            "leshan-secure-device/credential-another-identity/",
            "leshan-secure-device/credential-another-key/",
        ]),
        Not(SERVER_ONLY),
    ),
    fact(
        "ServerOnlySecurityTest",
        "no request to a peer whose identity changed",
        Cases(&["leshan-secure-device/credential-another-identity/"]),
        Not(SERVER_ONLY),
    ),
    fact("OscoreTest, OscoreBootstrapTest", "all of it", Not(OSCORE), Not(OSCORE)),
    fact(
        "MultiEndpointsTest",
        "one device over several transports of a server",
        Not("there is one transport yet"),
        Not("there is one transport yet"),
    ),
    fact(
        "server.redis",
        "the same with Redis behind the server",
        Not("our server has no Redis store; its own store is tested in crates/store"),
        Not("nothing that a device sees"),
    ),
    fact(
        "LockStepTest",
        "no acknowledgement, and none but that: the request times out",
        Cases(&["lockstep/silence/"]),
        Not(BY_HAND),
    ),
    fact(
        "LockStepTest",
        "an Observe that meets a De-register is not sent",
        Cases(&["lockstep/observe/after-de-register"]),
        Not(BY_HAND),
    ),
    fact(
        "LockStepTest",
        "Read and Observe, single and composite, answered with times",
        Cases(&["lockstep/read/timestamped", "lockstep/read-composite/timestamped", "lockstep/observe"]),
        Not(BY_HAND),
    ),
];

/// Checks the table against a whole run, and the page against the table.
pub(crate) fn check(report: &mut Report, page: &Path) {
    if !report.is_whole() {
        return;
    }
    let names = report.passed().to_vec();
    report.case("coverage/every-case-that-the-table-names-passed", || {
        let played = |start: &str| names.iter().any(|name| name.starts_with(start));
        let missing: Vec<&str> = cases().filter(|start| !played(start)).collect();
        holds(missing.is_empty(), || format!("no case passed that begins with {missing:?}"))
    });
    report.case("coverage/the-page-is-what-the-table-says", || is_current(page));
}

fn is_current(page: &Path) -> Check {
    let found = std::fs::read_to_string(page).map_err(|error| format!("{}: {error}", page.display()))?;
    holds(found == shown(), || format!("{} is stale: run with --write-coverage", page.display()))
}

fn cases() -> impl Iterator<Item = &'static str> {
    let of = |played: &'static Played| match played {
        Cases(names) => *names,
        Not(_) => &[],
    };
    FACTS.iter().flat_map(move |fact| of(&fact.their_device).iter().chain(of(&fact.their_server)).copied())
}

/// Writes the page.
pub(crate) fn write(page: &Path) -> Result<(), String> {
    std::fs::write(page, shown()).map_err(|error| format!("{}: {error}", page.display()))
}

fn shown() -> String {
    let mut page = String::from(
        "# What Leshan's own test suite proves, and which cases here play it\n\n\
         Written by `cargo xtask interop --write-coverage` from `src/coverage.rs`. A whole run fails when a case that is \
         named here did not pass. `…` stands for every case whose name begins so; formats, types and levels follow in \
         the names.\n\n\
         | Their class | What it proves | Leshan's device, our server | Our device, Leshan's server |\n|---|---|---|---|\n",
    );
    for fact in FACTS {
        let cell = |played: &Played| match played {
            Cases(names) => {
                let each = names.iter().map(|name| {
                    let more = if name.ends_with(['/', '-']) { "…" } else { "" };
                    format!("`{name}{more}`")
                });
                each.collect::<Vec<_>>().join(" ")
            }
            Not(reason) => format!("— {reason}"),
        };
        let (device, server) = (cell(&fact.their_device), cell(&fact.their_server));
        let _infallible = writeln!(page, "| {} | {} | {device} | {server} |", fact.class, fact.fact);
    }
    page
}
