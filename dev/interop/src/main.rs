//! Runs Lightship against foreign LwM2M and CoAP peers.

fn main() {}
