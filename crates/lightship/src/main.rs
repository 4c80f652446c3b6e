//! The Lightship program: demo, serve, device, ctl, decode.

fn main() {}
