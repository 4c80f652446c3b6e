//! Every key of the configuration with its default and its meaning, once; the sample file is printed from it.

/// One key.
pub(super) struct Field {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    /// As it would be written in TOML.
    pub(super) default: &'static str,
    pub(super) about: &'static str,
}

/// How a variable's text is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    List,
    Number,
    Flag,
    /// Several tables, which no variable can hold.
    Tables,
}

const fn field(
    section: &'static str,
    key: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Field {
    Field { section, key, kind, default, about }
}

/// Every key, section by section. A default in angle brackets is words, not a value.
pub(super) const FIELDS: &[Field] = &[
    field(
        "listen",
        "coap",
        Kind::List,
        "[\"0.0.0.0:5683\"]",
        "Addresses for devices, CoAP over UDP; \"none\" = off.",
    ),
    field(
        "listen",
        "coaps",
        Kind::List,
        "<[\"0.0.0.0:5684\"], left out where it is taken>",
        "Addresses for devices, CoAP over DTLS; \"none\" = off.",
    ),
    field(
        "listen",
        "bootstrap_coap",
        Kind::List,
        "<[\"0.0.0.0:5783\"], left out where it is taken>",
        "Addresses for devices that bootstrap, CoAP over UDP; \"none\" = off.",
    ),
    field(
        "listen",
        "bootstrap_coaps",
        Kind::List,
        "<[\"0.0.0.0:5784\"], left out where it is taken>",
        "Addresses for devices that bootstrap, CoAP over DTLS; \"none\" = off.",
    ),
    field(
        "listen",
        "http",
        Kind::List,
        "[\"127.0.0.1:8080\"]",
        "Addresses for REST and web UI; \"none\" = off.",
    ),
    field("listen", "shards", Kind::Number, "<one per core>", "Threads that serve devices, 1 to 64."),
    field(
        "security",
        "allow_nosec",
        Kind::Flag,
        "false",
        "Whether devices without a credential may come without security; true with --dev. One that has a credential never may, unless its mode is nosec.",
    ),
    field(
        "security",
        "seal_key",
        Kind::Text,
        "<none>",
        "Key that seals the credentials in the store, 64 hex digits; better in the environment (also LIGHTSHIP_SEAL_KEY) or in a file.",
    ),
    field(
        "security",
        "seal_key_file",
        Kind::Text,
        "<seal.key in the store's folder, made there>",
        "File that holds the sealing key: 32 bytes, or 64 hex digits.",
    ),
    field(
        "security",
        "key_file",
        Kind::Text,
        "<none; with --dev one is made that ends with the process>",
        "The server's private key (P-256; PEM or DER), for devices with raw public keys or certificates. Without one they cannot come; pre-shared keys need none.",
    ),
    field(
        "security",
        "certificate_file",
        Kind::Text,
        "<none>",
        "The server's certificates in PEM, its own first. Without one devices with certificates cannot come.",
    ),
    field(
        "security",
        "servers",
        Kind::Tables,
        "[]",
        "Further key pairs for other names (SNI): { names = [\"lwm2m.example\"], key_file = \"…\", certificate_file = \"…\" }.",
    ),
    field(
        "security",
        "trust_files",
        Kind::List,
        "[]",
        "Certificates of the authorities that devices' certificates may come from, in PEM; read again on SIGHUP.",
    ),
    field(
        "security",
        "endpoint_rules",
        Kind::List,
        "[\"cn\", \"san-uri\", \"san-dns\"]",
        "Where a certificate says the endpoint's name, in this order: \"cn\", \"san-uri\", \"san-dns\", or a pattern around one such as \"urn:dev:{cn}\". With \"identity\", or a pattern such as \"urn:dev:{identity}\", a PSK identity stands for that name, in place of the one that its credential is kept under. \"any\": whoever is authenticated may use any name.",
    ),
    field(
        "security",
        "accept_trusted",
        Kind::Flag,
        "false",
        "Whether a device with a trusted certificate may come that has no credential here; its name is that of the rules.",
    ),
    field(
        "security",
        "suites",
        Kind::List,
        "<all but those with CBC>",
        "Cipher suites by their IANA names or numbers (\"0xC0A8\"), the preferred first.",
    ),
    field(
        "security",
        "cbc",
        Kind::Flag,
        "false",
        "Whether suites with CBC are accepted, behind all others. Only for old devices that know nothing better.",
    ),
    field(
        "security",
        "cid",
        Kind::Flag,
        "true",
        "Whether devices get a connection ID (RFC 9146), by which their records are known from whatever address they come.",
    ),
    field(
        "security",
        "rrc",
        Kind::Flag,
        "true",
        "Whether a device's new address is checked where the device knows how (RFC 9853).",
    ),
    field(
        "security",
        "require_ems",
        Kind::Flag,
        "false",
        "Whether devices without the extended master secret (RFC 7627) are refused.",
    ),
    field(
        "security",
        "resumption_s",
        Kind::Number,
        "86400",
        "Seconds that a session can be resumed; 0 = never.",
    ),
    field("security", "sessions_max", Kind::Number, "1000000", "Sessions that one shard holds."),
    field("security", "handshakes_max", Kind::Number, "4096", "Handshakes under way at one shard."),
    field(
        "security",
        "handshakes_per_address",
        Kind::Number,
        "1024",
        "Handshakes under way at one shard from one address.",
    ),
    field(
        "security",
        "handshakes_per_network",
        Kind::Number,
        "2048",
        "The same from one network (/24, or /56 of IPv6).",
    ),
    field(
        "security",
        "handshakes_a_minute_per_address",
        Kind::Number,
        "12000",
        "Handshakes begun in a minute at one shard from one address.",
    ),
    field("security", "handshakes_a_minute_per_network", Kind::Number, "60000", "The same from one network."),
    field(
        "security",
        "handshakes_a_minute_per_identity",
        Kind::Number,
        "60",
        "Handshakes in a minute at one shard in which the same identity was proven, where it stands for one endpoint; 0 = no limit.",
    ),
    field(
        "security",
        "verdicts_max",
        Kind::Number,
        "4096",
        "Certificate chains whose good verdict is kept, some 300 bytes each, so that a device that comes again costs no check of authorities' signatures; dates, credentials and the device's own signature are checked each time. 0 = every chain is judged anew.",
    ),
    field(
        "security",
        "hand_over_s",
        Kind::Number,
        "600",
        "Seconds within which a server that was stopped in order may be started again and go on with its sessions; they wait in the store's folder, sealed. 0 = never.",
    ),
    field(
        "security",
        "key_log_file",
        Kind::Text,
        "<none>",
        "File that secrets of sessions are written to, for Wireshark. Whoever reads it can read everything: for debugging only.",
    ),
    field("registration", "grace_s", Kind::Number, "0", "Seconds that a registration outlives its lifetime."),
    field(
        "registration",
        "rebinding",
        Kind::Text,
        "\"refuse\"",
        "An Update without security from a new address: \"refuse\" = the device registers anew, as the standard wants; \"follow\" = the registration moves there, which whoever learns a location can do.",
    ),
    field(
        "queue",
        "awake_window_s",
        Kind::Number,
        "93",
        "Seconds that a Queue Mode device stays awake after it was heard.",
    ),
    field(
        "transmission",
        "ack_timeout_ms",
        Kind::Number,
        "2000",
        "Milliseconds after which a request to a device is repeated at the earliest (ACK_TIMEOUT of RFC 7252).",
    ),
    field(
        "transmission",
        "ack_random_percent",
        Kind::Number,
        "150",
        "The first wait is chosen between 100 and this many percent of it (ACK_RANDOM_FACTOR).",
    ),
    field(
        "transmission",
        "max_retransmit",
        Kind::Number,
        "4",
        "How often a request is repeated, each time after twice the wait (MAX_RETRANSMIT).",
    ),
    field(
        "transmission",
        "devices",
        Kind::Tables,
        "[]",
        "Other ones for devices with these names, the first that fits, for instance over NB-IoT, where answers take 4 to 15 seconds: { endpoints = [\"nb-*\"], ack_timeout_ms = 15000, max_retransmit = 2 }. Such a request may need longer than limits.request_timeout_s.",
    ),
    field(
        "bootstrap",
        "packs",
        Kind::Flag,
        "true",
        "Whether devices of LwM2M 1.2 may have their whole configuration in one Bootstrap-Pack.",
    ),
    field(
        "bootstrap",
        "tolerate_unknown_format",
        Kind::Flag,
        "false",
        "Whether a device that prefers an unknown format is written in TLV; else it gets 4.15.",
    ),
    field(
        "bootstrap",
        "session_timeout_s",
        Kind::Number,
        "900",
        "Seconds that a bootstrap session may take.",
    ),
    field(
        "bootstrap",
        "key_file",
        Kind::Text,
        "<none; with --dev one is made that ends with the process>",
        "The Bootstrap-Server's private key (P-256; PEM or DER): another than the server's.",
    ),
    field(
        "bootstrap",
        "certificate_file",
        Kind::Text,
        "<none>",
        "The Bootstrap-Server's certificates in PEM, its own first.",
    ),
    field(
        "bootstrap",
        "trust_files",
        Kind::List,
        "<those of the server>",
        "Certificates of the authorities that certificates of devices that bootstrap may come from, in PEM.",
    ),
    field(
        "api",
        "token",
        Kind::Text,
        "<none>",
        "Bearer token, at least 16 characters; better in the environment or in a file.",
    ),
    field("api", "token_file", Kind::Text, "<none>", "File that holds the bearer token."),
    field(
        "api",
        "hosts",
        Kind::List,
        "[]",
        "Names, besides addresses and localhost, that the Host header may carry.",
    ),
    field("limits", "body_bytes_max", Kind::Number, "4194304", "Bytes of a request body."),
    field(
        "limits",
        "device_body_bytes_max",
        Kind::Number,
        "4194304",
        "Bytes of one body that a device sends, in one message or in blocks.",
    ),
    field("limits", "connections_max", Kind::Number, "1024", "HTTP connections at once."),
    field(
        "limits",
        "request_timeout_s",
        Kind::Number,
        "10",
        "Seconds for the head of a request to arrive, and again for its body.",
    ),
    field("limits", "event_readers_max", Kind::Number, "256", "Readers of the event stream at once."),
    field("limits", "events_kept", Kind::Number, "10000", "Events kept for readers that come back."),
    field(
        "limits",
        "registrations_per_shard_max",
        Kind::Number,
        "1000000",
        "Registrations that one shard holds.",
    ),
    field(
        "limits",
        "registers_a_minute_per_device",
        Kind::Number,
        "60",
        "Registers of one device in a minute at one shard; as many may come at once, then it gets 4.29 and the time to wait. 0 = no limit.",
    ),
    field(
        "limits",
        "registers_a_minute_per_address",
        Kind::Number,
        "12000",
        "Registers from one address in a minute at one shard, then 5.03 and the time to wait; those from loopback are not counted. 0 = no limit.",
    ),
    field(
        "limits",
        "registers_a_minute_per_network",
        Kind::Number,
        "60000",
        "The same from one network (/24, or /56 of IPv6).",
    ),
    field("limits", "inbox_len", Kind::Number, "1024", "Commands that may wait before one shard."),
    field(
        "limits",
        "wait_max_s",
        Kind::Number,
        "3600",
        "The longest wait= that a caller may ask for, in seconds.",
    ),
    field("store", "folder", Kind::Text, "<memory only>", "Folder for what must survive a restart."),
    field(
        "store",
        "durability",
        Kind::Text,
        r#""always""#,
        "\"always\": devices and callers hear that something is kept when it is on the disk. \"relaxed\": when the system has it, which is faster; a loss of power takes what came last.",
    ),
    field(
        "store",
        "relaxed_ms",
        Kind::Number,
        "100",
        "With \"relaxed\": it is on the disk so many milliseconds later at most, 1 to 60000.",
    ),
    field("store", "events_max_age_s", Kind::Number, "604800", "Seconds that events are kept in the folder."),
    field(
        "store",
        "events_max_mb",
        Kind::Number,
        "1024",
        "Megabytes of events that are kept there, at least 16.",
    ),
    field(
        "store",
        "gone_values_max_age_s",
        Kind::Number,
        "2592000",
        "Seconds that the last known values of a device are kept that is not registered any more.",
    ),
    field(
        "store",
        "free_min_mb",
        Kind::Number,
        "128",
        "With fewer megabytes free on the folder's file system nothing new is taken, until there is space again.",
    ),
    field(
        "store",
        "cache_mb",
        Kind::Number,
        "16",
        "Megabytes of memory for what was read from the folder, at least 1.",
    ),
    field(
        "events",
        "unchanged_updates_per_second",
        Kind::Number,
        "1000",
        "Updates that say nothing new and are told as events all the same, in a second; the rest is only counted.",
    ),
    field(
        "trace",
        "memory_mb",
        Kind::Number,
        "16",
        "Megabytes for the last messages of all devices, up to 1024; 0 = none are recorded. What may hold a key is never shown.",
    ),
    field(
        "audit",
        "max_age_s",
        Kind::Number,
        "7776000",
        "Seconds that entries about who changed what are kept.",
    ),
    field(
        "audit",
        "max_entries",
        Kind::Number,
        "100000",
        "How many of them; the oldest leave. Without a folder at most 10000.",
    ),
    field(
        "models",
        "folder",
        Kind::Text,
        "<none>",
        "Folder of further object definitions (OMA XML), read at the start.",
    ),
];

/// A configuration file with every key, its default and its meaning; everything is commented out.
#[must_use]
pub fn sample() -> String {
    let mut out = String::from(
        "# Lightship server. Every key with its default; a flag outranks the environment, which outranks this file.\n\
         # The variable of a key is LIGHTSHIP_SECTION__KEY, such as LIGHTSHIP_LISTEN__COAP=0.0.0.0:5683,[::]:5683\n",
    );
    let mut section = "";
    for field in FIELDS {
        if field.section != section {
            section = field.section;
            out.push_str(&format!("\n[{section}]\n"));
        }
        out.push_str(&format!("# {}\n# {} = {}\n", field.about, field.key, field.default));
    }
    out
}
