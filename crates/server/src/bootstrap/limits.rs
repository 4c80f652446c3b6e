//! Every bound of a Bootstrap-Server, by name.

/// Bounds that an operator may set; the defaults serve a fleet that is being rolled out.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions under way; beyond it a request gets 5.03.
    pub sessions: usize,
    /// Addresses without a session whose CoAP state is kept for repetitions; the oldest gives way to a new one.
    pub strangers: usize,
    /// Questions that wait for the host's answer; beyond it 5.03.
    pub asks: usize,
    /// Commands of one session, those that repair a refused configuration included.
    pub steps: u16,
    /// Bytes of one answer of a device: the list of its instances, what it reads out.
    pub body: usize,
    /// Bytes of one command's content, or of a pack: certificates are the longest.
    pub request_body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 4096,
            strangers: 4096,
            asks: 4096,
            steps: 256,
            body: 64 << 10,
            request_body: 256 << 10,
        }
    }
}
