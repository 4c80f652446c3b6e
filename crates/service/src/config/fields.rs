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
        "bootstrap_coap",
        Kind::List,
        "<[\"0.0.0.0:5783\"], left out where it is taken>",
        "Addresses for devices that bootstrap, CoAP over UDP; \"none\" = off.",
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
