//! Keeps a LwM2M server's state and event log.
