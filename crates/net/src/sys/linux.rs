//! `recvmmsg` and `sendmmsg`.

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

use socket2::{SockAddr, SockAddrStorage};

use super::{BATCH_LEN, Slot};

/// Receives up to [`BATCH_LEN`] datagrams without waiting and says how many slots it filled. A slot of length 0 holds
/// a datagram that was empty, too long or from no address.
pub(crate) fn receive(socket: &UdpSocket, slots: &mut [Slot]) -> io::Result<usize> {
    let count = slots.len().min(BATCH_LEN);
    let mut names: [SockAddrStorage; BATCH_LEN] = std::array::from_fn(|_| SockAddrStorage::zeroed());
    let mut vectors: [libc::iovec; BATCH_LEN] = [EMPTY_VECTOR; BATCH_LEN];
    // SAFETY: mmsghdr is plain data for which all zeroes is a legal value.
    let mut headers: [libc::mmsghdr; BATCH_LEN] = unsafe { mem::zeroed() };
    let parts = headers.iter_mut().zip(vectors.iter_mut()).zip(names.iter_mut());
    for (((header, vector), name), slot) in parts.zip(slots.iter_mut()).take(count) {
        *vector = libc::iovec { iov_base: slot.bytes.as_mut_ptr().cast(), iov_len: slot.bytes.len() };
        header.msg_hdr.msg_name = ptr::from_mut(name).cast();
        header.msg_hdr.msg_namelen = name.size_of();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the first `count` headers point to one vector, one name and one slot each, all of which outlive the
    // call, are borrowed mutably here and nowhere else, and have the sizes written beside them; no time-out is given.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            length(count),
            libc::MSG_DONTWAIT as _,
            ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for ((header, name), slot) in headers.iter().zip(names).zip(slots.iter_mut()).take(received) {
        // SAFETY: the kernel wrote an address of `msg_namelen` bytes into the storage.
        let address = unsafe { SockAddr::new(name, header.msg_hdr.msg_namelen) }.as_socket();
        let whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
        slot.len = 0;
        if let (Some(address), true) = (address, whole) {
            slot.address = address;
            slot.len = usize::try_from(header.msg_len).unwrap_or(0).min(slot.bytes.len());
        }
    }
    Ok(received)
}

/// Sends up to [`BATCH_LEN`] datagrams without waiting and says how many the kernel took, at least one unless it
/// is an error about the first.
pub(crate) fn send(socket: &UdpSocket, slots: &[Slot]) -> io::Result<usize> {
    let count = slots.len().min(BATCH_LEN);
    let names: Vec<SockAddr> = slots.iter().take(count).map(|slot| SockAddr::from(slot.address)).collect();
    let mut vectors: [libc::iovec; BATCH_LEN] = [EMPTY_VECTOR; BATCH_LEN];
    // SAFETY: mmsghdr is plain data for which all zeroes is a legal value.
    let mut headers: [libc::mmsghdr; BATCH_LEN] = unsafe { mem::zeroed() };
    for (((header, vector), name), slot) in headers.iter_mut().zip(vectors.iter_mut()).zip(&names).zip(slots)
    {
        let data = slot.data();
        *vector = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
        header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = name.len();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the first `count` headers point to one vector, one name and one slot each, which outlive the call and
    // have the sizes written beside them; sendmmsg writes only to the headers' msg_len.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            length(count),
            (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn length(count: usize) -> libc::c_uint {
    libc::c_uint::try_from(count.min(BATCH_LEN)).unwrap_or(0)
}

const EMPTY_VECTOR: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
