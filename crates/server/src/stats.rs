//! What the shard counts: plain numbers, added up by the host.

use lightship_coap::peer::Dropped;

use crate::SecurityStats;

/// Counters since the shard was made, and three gauges.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Gauge: devices registered now.
    pub registrations: u64,
    /// Gauge: observations kept now, running or to be started.
    pub observations: u64,
    /// Gauge: requests to devices that wait or are under way now.
    pub requests_live: u64,
    /// Gauge: addresses for which CoAP state is kept now.
    pub peers: u64,
    /// Datagrams handed in.
    pub datagrams_in: u64,
    /// Datagrams given out.
    pub datagrams_out: u64,
    /// Datagrams not sent because the address has not proven to be its sender's, and got enough.
    pub withheld: u64,
    /// Datagrams that were no CoAP message.
    pub malformed: u64,
    /// CoAP messages whose type and code do not go together, or whose code is reserved.
    pub unusable: u64,
    /// Responses and acknowledgements that nobody waits for any more, or ever did: late and repeated ones too.
    pub unmatched: u64,
    /// Requests that the CoAP layer refused by itself: an option not understood, a flawed or too large body.
    pub refused_requests: u64,
    /// Well-formed messages from unregistered addresses that were dropped or refused without keeping state.
    pub refused_strangers: u64,
    /// Unregistered addresses that lost their state to a newer one ([`Limits::strangers`](crate::Limits)).
    pub evicted_strangers: u64,
    /// Registers accepted.
    pub registers: u64,
    /// Registers refused, by us or by the host.
    pub registers_refused: u64,
    /// Of these, Registers refused because their device, address or network had too many.
    pub registers_metered: u64,
    /// Updates accepted.
    pub updates: u64,
    /// Updates and De-registers refused.
    pub updates_refused: u64,
    /// De-registers accepted.
    pub deregisters: u64,
    /// Registrations that ended because no Update came in time.
    pub expired: u64,
    /// Sends accepted.
    pub sends: u64,
    /// Sends refused, by us or by the host.
    pub sends_refused: u64,
    /// Values of observations given to the host.
    pub notifications: u64,
    /// Notifications that the host did not take, and that were not acknowledged.
    pub notifications_refused: u64,
    /// Notifications that were older than the last one.
    pub notifications_stale: u64,
    /// Notifications that nobody waits for, answered with a Reset.
    pub notifications_unknown: u64,
    /// Downlink requests taken.
    pub requests: u64,
    /// Downlink requests that ended without an answer.
    pub requests_timed_out: u64,
    /// Times that a device in Queue Mode woke up or registered.
    pub awakenings: u64,
    /// Questions that the host did not answer in time.
    pub asks_unanswered: u64,
    /// Messages answered 5.03 because there is no room for another registration, or the address gave way meanwhile.
    pub busy_room: u64,
    /// Messages answered 5.03, or not acknowledged, because too many questions wait for the host ([`Limits::asks`](crate::Limits)).
    pub busy_asks: u64,
    /// Updates and De-registers answered 5.03 because the host has not answered what the one before changes.
    pub busy_changing: u64,
    /// Messages answered 5.03, or not acknowledged, because the host said so.
    pub busy_host: u64,
    /// What is counted of secured sessions.
    pub security: SecurityStats,
}

impl Stats {
    /// Counts a datagram of a known address that came to nothing.
    pub(crate) fn dropped(&mut self, why: Dropped) {
        let counter = match why {
            Dropped::Malformed(_) => &mut self.malformed,
            Dropped::Unusable => &mut self.unusable,
            Dropped::Unmatched => &mut self.unmatched,
            Dropped::Refused(_) => &mut self.refused_requests,
        };
        *counter += 1;
    }

    /// Counts a Register for which there is no room.
    pub(crate) fn refused_for_room(&mut self) {
        self.registers_refused += 1;
        self.busy_room += 1;
    }
}
