//! One shard of a LwM2M Server, without sockets or clock.
