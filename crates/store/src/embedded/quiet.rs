//! When what was written lately is to leave memory: once little more comes.
//!
//! A tree keeps in memory what was written last until that is enough for a table. After many devices have come that room would
//! be kept for ever, full of what nobody reads.

use super::trees::Tree;

/// What the trees have in memory, about, and whether more comes.
pub(crate) struct Quiet {
    /// Bytes written to each tree since it was told to make a table of them.
    in_memory: [(Tree, u64); 14],
    /// Bytes written to all since the last look.
    lately: u64,
    looked_ms: i64,
}

impl Quiet {
    pub(crate) fn new(now_ms: i64) -> Quiet {
        Quiet { in_memory: TREES.map(|tree| (tree, 0)), lately: 0, looked_ms: now_ms }
    }

    pub(crate) fn wrote(&mut self, tree: Tree, bytes: u64) {
        self.lately += bytes;
        if let Some((_, all)) = self.in_memory.iter_mut().find(|(one, _)| *one == tree) {
            *all += bytes;
        }
    }

    /// The trees whose content should leave memory now; to be asked often.
    pub(crate) fn look(&mut self, now_ms: i64) -> Vec<Tree> {
        if now_ms.abs_diff(self.looked_ms) < SPAN_MS {
            return Vec::new();
        }
        self.looked_ms = now_ms;
        let lately = std::mem::take(&mut self.lately);
        let much = self.in_memory.iter_mut().filter(|(_, bytes)| *bytes >= BYTES_MIN && lately < BYTES_MIN);
        let much = much.map(|(tree, bytes)| {
            *bytes = 0;
            *tree
        });
        much.collect()
    }
}

const TREES: [Tree; 14] = [
    // The ones that are written most come first.
    Tree::Events,
    Tree::Found,
    Tree::Registrations,
    Tree::Values,
    Tree::Wanted,
    Tree::Meta,
    Tree::Commands,
    Tree::Documents,
    Tree::Credentials,
    Tree::Principals,
    Tree::Notes,
    Tree::Tokens,
    Tree::Audit,
    Tree::Audited,
];
/// It is quiet when less than [`BYTES_MIN`] were written in this time, ms.
const SPAN_MS: u64 = 60_000;
/// Less of a tree than this may stay.
const BYTES_MIN: u64 = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_leaves_memory_once_little_more_comes() {
        let mut quiet = Quiet::new(0);
        quiet.wrote(Tree::Registrations, 4 << 20);
        quiet.wrote(Tree::Meta, 100);
        assert_eq!(quiet.look(59_000), [], "not yet");
        assert_eq!(quiet.look(60_000), [], "it has just come");
        quiet.wrote(Tree::Events, 1000);
        assert_eq!(quiet.look(120_000), [Tree::Registrations]);
        assert_eq!(quiet.look(180_000), [], "once");
    }
}
