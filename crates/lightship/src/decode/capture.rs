//! Reads packet captures: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), either byte order.
//!
//! What comes out are link-layer frames with their time; `packet` peels the datagrams out of them.

use std::time::Duration;

/// One captured frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Since 1970; `None` where the capture does not say.
    pub(crate) time: Option<Duration>,
    /// The link type (`LINKTYPE_…` number).
    pub(crate) link: u32,
    /// Whether the capture cut bytes off.
    pub(crate) cut: bool,
    /// The captured bytes.
    pub(crate) bytes: &'a [u8],
}

/// Whether these bytes begin like a capture file.
pub(crate) fn is_capture(bytes: &[u8]) -> bool {
    pcap_kind(bytes).is_some() || bytes.starts_with(&PCAPNG_SECTION)
}

const PCAPNG_SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

#[derive(Clone, Copy)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let raw = bytes.get(at..)?.first_chunk::<2>()?;
        Some(match self {
            Self::Big => u16::from_be_bytes(*raw),
            Self::Little => u16::from_le_bytes(*raw),
        })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let raw = bytes.get(at..)?.first_chunk::<4>()?;
        Some(match self {
            Self::Big => u32::from_be_bytes(*raw),
            Self::Little => u32::from_le_bytes(*raw),
        })
    }

    fn length(self, bytes: &[u8], at: usize) -> Option<usize> {
        self.u32(bytes, at).and_then(|length| usize::try_from(length).ok())
    }
}

/// Calls `each` for every frame in the file.
///
/// # Errors
/// Says what is wrong with the file and at which byte; the frames before that place were handed out.
pub(crate) fn read<'a>(bytes: &'a [u8], each: &mut impl FnMut(Frame<'a>)) -> Result<(), String> {
    match pcap_kind(bytes) {
        Some((order, ticks_per_second)) => read_pcap(bytes, order, ticks_per_second, each),
        None if bytes.starts_with(&PCAPNG_SECTION) => read_pcapng(bytes, each),
        None => Err("neither pcap nor pcapng".to_owned()),
    }
}

fn pcap_kind(bytes: &[u8]) -> Option<(Order, u64)> {
    match bytes.first_chunk::<4>()? {
        [0xa1, 0xb2, 0xc3, 0xd4] => Some((Order::Big, 1_000_000)),
        [0xd4, 0xc3, 0xb2, 0xa1] => Some((Order::Little, 1_000_000)),
        [0xa1, 0xb2, 0x3c, 0x4d] => Some((Order::Big, 1_000_000_000)),
        [0x4d, 0x3c, 0xb2, 0xa1] => Some((Order::Little, 1_000_000_000)),
        _ => None,
    }
}

fn time(ticks: u64, ticks_per_second: u64) -> Option<Duration> {
    let seconds = ticks.checked_div(ticks_per_second)?;
    let rest = u128::from(ticks.checked_rem(ticks_per_second)?);
    let nanos = rest * 1_000_000_000 / u128::from(ticks_per_second);
    Some(Duration::new(seconds, u32::try_from(nanos).ok()?))
}

fn read_pcap<'a>(
    bytes: &'a [u8],
    order: Order,
    ticks_per_second: u64,
    each: &mut impl FnMut(Frame<'a>),
) -> Result<(), String> {
    const FILE_HEADER_LEN: usize = 24;
    const RECORD_HEADER_LEN: usize = 16;
    let link = order.u32(bytes, 20).ok_or("the pcap header ends after fewer than 24 bytes")? & 0x0fff_ffff;
    let mut at = FILE_HEADER_LEN;
    while at < bytes.len() {
        let header = (order.u32(bytes, at), order.u32(bytes, at + 4), order.length(bytes, at + 8));
        let ((Some(seconds), Some(fraction), Some(captured)), Some(original)) =
            (header, order.length(bytes, at + 12))
        else {
            return Err(format!("at byte {at}: the capture ends inside a record header"));
        };
        let start = at + RECORD_HEADER_LEN;
        let Some(frame) = start.checked_add(captured).and_then(|end| bytes.get(start..end)) else {
            return Err(format!("at byte {at}: the capture ends inside a record of {captured} bytes"));
        };
        let ticks = u64::from(seconds) * ticks_per_second + u64::from(fraction);
        let cut = captured < original;
        each(Frame { time: time(ticks, ticks_per_second), link, cut, bytes: frame });
        at = start + captured;
    }
    Ok(())
}

struct Interface {
    link: u32,
    ticks_per_second: u64,
}

fn read_pcapng<'a>(bytes: &'a [u8], each: &mut impl FnMut(Frame<'a>)) -> Result<(), String> {
    const SECTION: u32 = 0x0a0d_0d0a;
    const BLOCK_LEN_MIN: usize = 12;
    let mut order = Order::Little;
    let mut interfaces: Vec<Interface> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let inside = || format!("at byte {at}: the capture ends inside a block");
        let kind = order.u32(bytes, at).ok_or_else(inside)?;
        if kind == SECTION {
            order = match bytes.get(at + 8..at + 12) {
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => Order::Big,
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => Order::Little,
                _ => return Err(format!("at byte {}: no byte-order mark in the section header", at + 8)),
            };
            interfaces.clear();
        }
        let length = order.length(bytes, at + 4).ok_or_else(inside)?;
        if length < BLOCK_LEN_MIN || length % 4 != 0 {
            return Err(format!("at byte {at}: a block of {length} bytes is impossible"));
        }
        let block = at.checked_add(length).and_then(|end| bytes.get(at..end)).ok_or_else(inside)?;
        let body = block.get(8..length - 4).unwrap_or_default();
        match kind {
            1 => interfaces.push(interface(order, body).ok_or_else(|| short(at, "interface"))?),
            3 => each(simple_packet(order, body, &interfaces).ok_or_else(|| short(at, "packet"))?),
            6 => each(enhanced_packet(order, body, &interfaces).ok_or_else(|| short(at, "packet"))?),
            _ => {}
        }
        at += length;
    }
    Ok(())
}

fn short(at: usize, what: &str) -> String {
    format!("at byte {at}: the {what} block is too short or names an interface that was not described")
}

fn interface(order: Order, body: &[u8]) -> Option<Interface> {
    const OPTION_TIME_RESOLUTION: u16 = 9;
    let link = u32::from(order.u16(body, 0)?);
    let mut ticks_per_second: u64 = 1_000_000;
    let mut at = 8;
    while let (Some(option), Some(length)) = (order.u16(body, at), order.u16(body, at + 2)) {
        let length = usize::from(length);
        if option == 0 {
            break;
        }
        if option == OPTION_TIME_RESOLUTION {
            let resolution = *body.get(at + 4)?;
            let exponent = u32::from(resolution & 0x7f);
            let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
            ticks_per_second = base.checked_pow(exponent)?;
        }
        at += 4 + length.next_multiple_of(4);
    }
    Some(Interface { link, ticks_per_second })
}

fn enhanced_packet<'a>(order: Order, body: &'a [u8], interfaces: &[Interface]) -> Option<Frame<'a>> {
    let interface = interfaces.get(order.length(body, 0)?)?;
    let ticks = u64::from(order.u32(body, 4)?) << 32 | u64::from(order.u32(body, 8)?);
    let captured = order.length(body, 12)?;
    let original = order.length(body, 16)?;
    let bytes = body.get(20..20_usize.checked_add(captured)?)?;
    let time = time(ticks, interface.ticks_per_second);
    Some(Frame { time, link: interface.link, cut: captured < original, bytes })
}

fn simple_packet<'a>(order: Order, body: &'a [u8], interfaces: &[Interface]) -> Option<Frame<'a>> {
    let interface = interfaces.first()?;
    let original = order.length(body, 0)?;
    let rest = body.get(4..)?;
    let bytes = rest.get(..original).unwrap_or(rest);
    Some(Frame { time: None, link: interface.link, cut: bytes.len() < original, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcap(records: &[&[u8]]) -> Vec<u8> {
        let mut file =
            vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 101, 0, 0, 0];
        for record in records {
            let length = u32::try_from(record.len()).unwrap().to_le_bytes();
            file.extend_from_slice(&7u32.to_le_bytes());
            file.extend_from_slice(&500_000u32.to_le_bytes());
            file.extend_from_slice(&length);
            file.extend_from_slice(&length);
            file.extend_from_slice(record);
        }
        file
    }

    fn frames(bytes: &[u8]) -> (Vec<Frame<'_>>, Result<(), String>) {
        let mut frames = Vec::new();
        let result = read(bytes, &mut |frame| frames.push(frame));
        (frames, result)
    }

    #[test]
    fn pcap_records_come_out_with_time() {
        let file = pcap(&[b"abc", b"d"]);
        assert!(is_capture(&file));
        let (frames, result) = frames(&file);
        assert_eq!(result, Ok(()));
        let time = Some(Duration::from_millis(7500));
        assert_eq!(
            frames,
            [
                Frame { time, link: 101, cut: false, bytes: b"abc" },
                Frame { time, link: 101, cut: false, bytes: b"d" }
            ]
        );
    }

    #[test]
    fn pcap_cut_anywhere_is_an_error_or_fewer_frames() {
        let file = pcap(&[b"abcdef"]);
        for length in 4..file.len() {
            let (found, result) = frames(&file[..length]);
            assert!(found.is_empty());
            assert_eq!(result.is_ok(), length == 24, "{length}");
        }
    }

    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = u32::try_from(body.len() + 12).unwrap().to_be_bytes();
        [&kind.to_be_bytes()[..], &length, &body, &length].concat()
    }

    #[test]
    fn pcapng_reads_resolution_and_both_packet_blocks() {
        let section =
            block(0x0a0d_0d0a, &[0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
        let interface = block(1, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0]);
        let enhanced =
            block(6, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 220, 0, 0, 0, 3, 0, 0, 0, 9, b'x', b'y', b'z']);
        let unknown = block(0x0bad, &[1, 2, 3, 4]);
        let simple = block(3, &[0, 0, 0, 2, b'h', b'i']);
        let file = [section, interface, enhanced, unknown, simple].concat();
        let (found, result) = frames(&file);
        assert_eq!(result, Ok(()));
        assert_eq!(
            found,
            [
                Frame { time: Some(Duration::from_millis(1500)), link: 1, cut: true, bytes: b"xyz" },
                Frame { time: None, link: 1, cut: false, bytes: b"hi" },
            ]
        );
        for length in 4..file.len() {
            let _ = frames(&file[..length]);
        }
    }
}
