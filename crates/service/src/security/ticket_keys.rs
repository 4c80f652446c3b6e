//! Keys of session tickets over a restart: a device resumes with the ticket that it was given before, also after a crash.
//!
//! ```text
//! kept, sealed:  secret of the oldest key that is still good ─▶ the keys after it, up to that of now
//! a period on:   secret of the next one, in place of it
//! ```
//! Record numbers count, so that nothing of a session may go on after a crash (see `hand_over`). The nonce of a ticket is random: with
//! a key that goes on none comes twice. Whoever has the data folder and its sealing key can open tickets of the last two periods, and
//! none that are older.

use std::sync::Arc;
use std::time::Duration;

use lightship_net::Clock;
use lightship_platform::crypto::{Crypto, Secret};
use lightship_platform::{Instant, UnixTime};
use lightship_server::TicketRotation;
use lightship_store::{AnyStore, Store};

use super::{Keeper, Setup};
use crate::core::{Core, stopped};

/// What is kept: of the server, of the Bootstrap-Server.
pub(crate) type Kept = [TicketRotation; 2];

/// Makes both servers go on with the keys of the process before, if there are any that are still good, and says what is to be kept;
/// `None` where no session is resumed.
pub(crate) async fn go_on(
    store: &AnyStore,
    keeper: &Keeper,
    crypto: &dyn Crypto,
    clock: Clock,
    setup: &mut Setup,
) -> Option<Kept> {
    let before = match store.ticket_keys().await {
        Ok(sealed) => sealed.filter(|sealed| !sealed.is_empty()),
        Err(error) => {
            tracing::error!(%error, "keys of session tickets of before the restart cannot be read");
            None
        }
    };
    let own = [&mut setup.server.tickets, &mut setup.bootstrap.tickets];
    let [Some(server), Some(bootstrap)] = own else {
        if before.is_some() {
            write(store, Box::default()).await;
        }
        return None;
    };
    let opened = before.map(|sealed| keeper.open_ticket_keys(&sealed));
    if matches!(opened, Some(None)) {
        tracing::warn!(
            "sessions of before the restart are not resumed: the keys of their tickets were sealed with another key"
        );
    }
    if let Some(found) = opened.flatten().and_then(|bytes| decode(bytes.bytes(), clock)) {
        let [mine, its] = found;
        *server = usable(mine, clock.now(), server).unwrap_or_else(|| server.clone());
        *bootstrap = usable(its, clock.now(), bootstrap).unwrap_or_else(|| bootstrap.clone());
    }
    let mut kept = [server.clone(), bootstrap.clone()];
    for rotation in &mut kept {
        outdate(rotation, clock.now(), crypto);
    }
    keep_now(store, keeper, clock, &kept).await;
    Some(kept)
}

/// Replaces what is kept whenever a key is good no longer, until the server stops.
pub(crate) async fn keep(core: Arc<Core>, mut kept: Kept) {
    let mut stopping = core.stopping.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stopped(&mut stopping) => return,
        }
        let mut is_outdated = false;
        for rotation in &mut kept {
            is_outdated |= outdate(rotation, core.clock.now(), &*core.crypto);
        }
        if is_outdated {
            keep_now(&core.store, &core.keeper, core.clock, &kept).await;
        }
    }
}

/// Moves on to the oldest key that can still be good: that of now, or the one before.
fn outdate(rotation: &mut TicketRotation, now: Instant, crypto: &dyn Crypto) -> bool {
    let mut is_outdated = false;
    while now.saturating_duration_since(rotation.since) >= rotation.period() * 2 {
        *rotation = rotation.next(crypto);
        is_outdated = true;
    }
    is_outdated
}

/// What was kept, if the configuration still wants such keys, and one of them is still good.
fn usable(found: Found, now: Instant, wanted: &TicketRotation) -> Option<TicketRotation> {
    let Found { secret, since, period } = found;
    let age = now.saturating_duration_since(since);
    let is_usable = since <= now && period == wanted.period() && age < period * 3;
    is_usable.then(|| TicketRotation { secret, since, ..*wanted })
}

async fn keep_now(store: &AnyStore, keeper: &Keeper, clock: Clock, kept: &Kept) {
    match keeper.seal_ticket_keys(encode(kept, clock).bytes()) {
        Ok(sealed) => write(store, sealed).await,
        Err(error) => tracing::error!(%error, "keys of session tickets end with this process"),
    }
}

async fn write(store: &AnyStore, sealed: Box<[u8]>) {
    if let Err(error) = store.keep_ticket_keys(sealed).await {
        tracing::error!(%error, "keys of session tickets end with this process");
    }
}

/// What was kept of one server.
struct Found {
    secret: Secret,
    since: Instant,
    period: Duration,
}

/// `version(1)`, then twice `secret(32)  since, date in ms(8)  period in s(8)`.
fn encode(kept: &Kept, clock: Clock) -> Secret {
    let look = clock.look();
    // Reserved at once, so that no copy is left behind when it grows.
    let mut out = Vec::with_capacity(1 + 2 * ROW_LEN);
    out.push(VERSION);
    for rotation in kept {
        out.extend_from_slice(rotation.secret.bytes());
        out.extend_from_slice(&look.date_of(rotation.since).as_millis().to_be_bytes());
        out.extend_from_slice(&rotation.period().as_secs().to_be_bytes());
    }
    let secret = Secret::new(&out);
    out.fill(0);
    secret
}

fn decode(bytes: &[u8], clock: Clock) -> Option<[Found; 2]> {
    let (&VERSION, rows) = bytes.split_first()? else { return None };
    let row = |row: &[u8]| {
        let (secret, row) = row.split_first_chunk::<SECRET_LEN>()?;
        let (since, row) = row.split_first_chunk()?;
        let since = moment_of(UnixTime::from_millis(i64::from_be_bytes(*since)), clock)?;
        let period = Duration::from_secs(u64::from_be_bytes(*row.first_chunk()?));
        Some(Found { secret: Secret::new(secret), since, period })
    };
    let (first, second) = rows.split_at_checked(ROW_LEN)?;
    (second.len() == ROW_LEN).then(|| Some([row(first)?, row(second)?]))?
}

/// A moment of the past; `None` if it lies in the future, as after a change of the date, or before the clock began.
fn moment_of(date: UnixTime, clock: Clock) -> Option<Instant> {
    let age_ms = u64::try_from(clock.date().as_millis().checked_sub(date.as_millis())?).ok()?;
    let since = clock.now() - Duration::from_millis(age_ms);
    (since > Instant::ZERO).then_some(since)
}

const VERSION: u8 = 1;
const SECRET_LEN: usize = 32;
const ROW_LEN: usize = SECRET_LEN + 8 + 8;
/// A key lasts a day, so that a minute more matters to nobody.
const LOOK_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use lightship_platform::crypto::FastCrypto;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn rotation(secret: u8, since: Instant) -> TicketRotation {
        TicketRotation { secret: Secret::new(&[secret; 32]), since, period: DAY, lifetime: DAY / 2 }
    }

    #[test]
    fn what_is_kept_is_found_again_and_anything_else_is_not() {
        let clock = Clock::start();
        let kept = [rotation(1, clock.now() - DAY), rotation(2, clock.now() - Duration::from_secs(5))];
        let bytes = encode(&kept, clock);
        let found = decode(bytes.bytes(), clock).unwrap();
        for (found, kept) in found.iter().zip(&kept) {
            assert_eq!((&found.secret, found.period), (&kept.secret, DAY));
            let between = [found.since, kept.since];
            let [early, late] = [between.iter().min().unwrap(), between.iter().max().unwrap()];
            assert!(late.saturating_duration_since(*early) < Duration::from_secs(60));
        }
        for end in 0..bytes.bytes().len() {
            assert!(decode(&bytes.bytes()[..end], clock).is_none(), "cut at {end}");
        }
        let future = [rotation(1, clock.now() + DAY), rotation(2, clock.now())];
        assert!(decode(encode(&future, clock).bytes(), clock).is_none(), "the date was set back");
    }

    #[test]
    fn only_the_key_of_now_and_the_one_before_can_be_made_of_what_is_kept() {
        let start = Instant::from_secs(1_000_000_000);
        let first = rotation(1, start);
        let mut kept = first.clone();
        assert!(!outdate(&mut kept, start + DAY * 2 - Duration::from_secs(1), &FastCrypto));
        assert_eq!(kept.secret, first.secret);
        assert!(outdate(&mut kept, start + DAY * 2, &FastCrypto));
        assert_eq!((&kept.secret, kept.since), (&first.next(&FastCrypto).secret, start + DAY));
        assert!(outdate(&mut kept, start + DAY * 7 + DAY / 2, &FastCrypto));
        assert_eq!(kept.since, start + DAY * 6);
    }

    #[test]
    fn keys_that_are_too_old_or_of_another_configuration_are_not_used() {
        let start = Instant::from_secs(1_000_000_000);
        let wanted = rotation(9, start);
        let found = |period: Duration| Found { secret: Secret::new(&[1; 32]), since: start, period };
        let used =
            |now: Instant, period: Duration| usable(found(period), now, &wanted).map(|used| used.secret);
        assert_eq!(used(start + DAY, DAY), Some(Secret::new(&[1; 32])));
        assert_eq!(used(start + DAY * 3, DAY), None);
        assert_eq!(used(start + DAY, DAY * 2), None);
        assert_eq!(used(start - DAY, DAY), None);
    }
}
