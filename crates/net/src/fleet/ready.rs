//! Which sockets have something to read.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

#[cfg(target_os = "linux")]
pub(super) use self::linux::Ready;
#[cfg(not(target_os = "linux"))]
pub(super) use self::other::Ready;

/// A socket's number as an index.
pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// By `epoll`, which waits to the microsecond: a fleet that sends at set times would be late by half a millisecond otherwise.
#[cfg(target_os = "linux")]
mod linux {
    use super::{Duration, UdpSocket, io};
    use rustix::event::{Timespec, epoll};
    use std::os::fd::OwnedFd;

    pub(in crate::fleet) struct Ready {
        epoll: OwnedFd,
        /// Those that were told of, the last first.
        told: Vec<u32>,
    }

    impl Ready {
        pub(in crate::fleet) fn new() -> io::Result<Self> {
            Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, told: Vec::new() })
        }

        pub(in crate::fleet) fn add(&mut self, socket: &UdpSocket, number: u32) -> io::Result<()> {
            let data = epoll::EventData::new_u64(number.into());
            Ok(epoll::add(&self.epoll, socket, data, epoll::EventFlags::IN)?)
        }

        pub(in crate::fleet) fn wait(&mut self, limit: Duration) -> io::Result<()> {
            let limit = Timespec {
                tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: limit.subsec_nanos().into(),
            };
            let empty =
                epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };
            let mut events = [empty; EVENTS_LEN];
            let count = match epoll::wait(&self.epoll, &mut events[..], Some(&limit)) {
                Ok(count) => count,
                Err(rustix::io::Errno::INTR) => 0,
                Err(error) => return Err(error.into()),
            };
            self.told.clear();
            let numbers = events.iter().take(count).map(|event| event.data.u64());
            self.told.extend(numbers.filter_map(|number| u32::try_from(number).ok()));
            Ok(())
        }

        pub(in crate::fleet) fn next(&mut self) -> Option<u32> {
            self.told.pop()
        }
    }

    /// Sockets told of at once; the others come next time.
    const EVENTS_LEN: usize = 256;
}

/// By asking every socket.
#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Duration, UdpSocket, io};

    pub(in crate::fleet) struct Ready {
        sockets: u32,
        next: u32,
    }

    impl Ready {
        pub(in crate::fleet) fn new() -> io::Result<Self> {
            Ok(Self { sockets: 0, next: 0 })
        }

        pub(in crate::fleet) fn add(&mut self, _socket: &UdpSocket, number: u32) -> io::Result<()> {
            self.sockets = self.sockets.max(number.saturating_add(1));
            Ok(())
        }

        pub(in crate::fleet) fn wait(&mut self, limit: Duration) -> io::Result<()> {
            self.next = 0;
            std::thread::park_timeout(limit.min(Duration::from_millis(1)));
            Ok(())
        }

        pub(in crate::fleet) fn next(&mut self) -> Option<u32> {
            let number = (self.next < self.sockets).then_some(self.next)?;
            self.next += 1;
            Some(number)
        }
    }
}
