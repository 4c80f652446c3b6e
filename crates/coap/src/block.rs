//! The value of a Block1 or Block2 option (RFC 7959 §2.2).

/// One block of a body: its number, whether more follow, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    num: u32,
    more: bool,
    szx: BlockSize,
}

/// A block size: 16 to 1024 bytes, written as an exponent `SZX` of 0 to 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockSize(u8);

impl BlockSize {
    /// 16 bytes, the smallest.
    pub const MIN: Self = Self(0);
    /// 1024 bytes, the largest over UDP.
    pub const MAX: Self = Self(6);

    /// The size with this exponent; `None` for 7, which is reserved over UDP, and above.
    #[must_use]
    pub const fn from_szx(szx: u8) -> Option<Self> {
        if szx <= 6 { Some(Self(szx)) } else { None }
    }

    /// The largest size of at most `bytes`; never less than 16.
    #[must_use]
    pub fn at_most(bytes: usize) -> Self {
        (0..=6).rev().map(Self).find(|size| size.bytes() <= bytes).unwrap_or(Self::MIN)
    }

    /// The exponent, 0 to 6.
    #[must_use]
    pub const fn szx(self) -> u8 {
        self.0
    }

    /// The size in bytes: 16, 32, 64, 128, 256, 512 or 1024.
    #[must_use]
    pub const fn bytes(self) -> usize {
        16 << self.0
    }
}

impl Default for BlockSize {
    fn default() -> Self {
        Self::MAX
    }
}

impl Block {
    /// The largest block number, 2^20 - 1.
    pub const NUM_MAX: u32 = (1 << 20) - 1;

    /// Block `num` (0 to 2^20 - 1) of a body cut into `size`; `None` when `num` is too large.
    #[must_use]
    pub const fn new(num: u32, more: bool, size: BlockSize) -> Option<Self> {
        if num <= Self::NUM_MAX { Some(Self { num, more, szx: size }) } else { None }
    }

    /// The block that begins at byte `offset` of a body of `len` bytes; `None` when `offset` is no
    /// multiple of the size, or beyond what a block number can say.
    #[must_use]
    pub fn at(offset: usize, len: usize, size: BlockSize) -> Option<Self> {
        if !offset.is_multiple_of(size.bytes()) {
            return None;
        }
        let num = u32::try_from(offset / size.bytes()).ok()?;
        Self::new(num, len.saturating_sub(offset) > size.bytes(), size)
    }

    /// Reads an option value that was already read as a number; `None` for the reserved size 7
    /// and for numbers of more than 24 bits.
    #[must_use]
    pub fn from_uint(value: u32) -> Option<Self> {
        let szx = u8::try_from(value & 7).ok()?;
        Self::new(value >> 4, value & 8 != 0, BlockSize::from_szx(szx)?)
    }

    /// The option value as a number, to be written with as few bytes as it needs.
    #[must_use]
    pub fn to_uint(self) -> u32 {
        self.num << 4 | u32::from(self.more) << 3 | u32::from(self.szx.0)
    }

    /// The block's number.
    #[must_use]
    pub const fn num(self) -> u32 {
        self.num
    }

    /// Whether more blocks follow.
    #[must_use]
    pub const fn more(self) -> bool {
        self.more
    }

    /// The block's size.
    #[must_use]
    pub const fn size(self) -> BlockSize {
        self.szx
    }

    /// The position of the block's first byte in the body.
    #[must_use]
    pub fn offset(self) -> usize {
        // At most 2^20 * 1024: fits where usize has 32 bits.
        usize::try_from(self.num).unwrap_or(usize::MAX).saturating_mul(self.szx.bytes())
    }

    /// Whether a payload of `len` bytes fits the block: exactly its size when more follow, at
    /// most its size otherwise.
    #[must_use]
    pub const fn fits(self, len: usize) -> bool {
        if self.more { len == self.szx.bytes() } else { len <= self.szx.bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_at_its_edges() {
        let size = BlockSize::MIN;
        assert_eq!(Block::at(0, 16, size), Block::new(0, false, size));
        assert_eq!(Block::at(0, 17, size), Block::new(0, true, size));
        assert_eq!(Block::at(16, 17, size), Block::new(1, false, size));
        assert_eq!(Block::at(8, 17, size), None);
        assert_eq!(Block::at(usize::MAX - 15, usize::MAX, size), None);
    }

    #[test]
    fn the_largest_size_that_fits_is_found() {
        assert_eq!(BlockSize::at_most(0), BlockSize::MIN);
        assert_eq!(BlockSize::at_most(1023).bytes(), 512);
        assert_eq!(BlockSize::at_most(1024), BlockSize::MAX);
        assert_eq!(BlockSize::at_most(usize::MAX), BlockSize::MAX);
        assert_eq!(BlockSize::from_szx(7), None);
    }

    #[test]
    fn a_block_with_successors_is_full() {
        let more = Block::new(0, true, BlockSize::MIN).unwrap();
        let last = Block::new(0, false, BlockSize::MIN).unwrap();
        assert!(more.fits(16) && !more.fits(15) && !more.fits(17));
        assert!(last.fits(0) && last.fits(16) && !last.fits(17));
    }
}
