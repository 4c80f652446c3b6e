//! Derives an LwM2M object from a plain struct, checked against the registry.
