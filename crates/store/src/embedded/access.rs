//! Entries about who did what, read from the disk.

use std::sync::Arc;

use super::trees::{Tree, Trees, failed};
use super::{decoded, records};
use crate::StoreError;
use crate::access::{AuditOf, AuditRecord};

/// The newest first.
pub(crate) fn page(trees: &Trees, which: &AuditOf) -> Result<Vec<Arc<AuditRecord>>, StoreError> {
    let (from, to) = which.places();
    if from >= to {
        return Ok(Vec::new());
    }
    let entries = trees.tree(Tree::Audit)?;
    let Some(endpoint) = &which.endpoint else {
        let rows = entries.range(records::number_key(from)..records::number_key(to)).rev().take(which.max);
        return rows.map(|row| decoded(trees, row, records::read_audit).map(Arc::new)).collect();
    };
    let places = records::index_key(endpoint, from)..records::index_key(endpoint, to);
    let mut found = Vec::new();
    for row in trees.tree(Tree::Audited)?.range(places).rev().take(which.max) {
        let key = row.key().map_err(|error| failed(trees.path(), error))?;
        let (_, id) = records::read_index(&key).map_err(|message| super::corrupt(trees.path(), &message))?;
        let key = records::number_key(id);
        // It may just have left.
        if let Some(value) = trees.get(Tree::Audit, &key)? {
            let read = records::read_audit(&key, &value);
            found.push(Arc::new(read.map_err(|message| super::corrupt(trees.path(), &message))?));
        }
    }
    Ok(found)
}
