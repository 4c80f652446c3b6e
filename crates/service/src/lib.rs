//! The LwM2M server process: shards, store, REST, events, web UI.
