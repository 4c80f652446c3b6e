//! Values: those of many devices at once.
//!
//! A look for one key costs as much as the next dozen of rows. So keys that follow each other are found by going through the
//! rows between them, as long as there are few others.

use std::sync::Arc;

use fjall::{Keyspace, Slice};
use lightship_lwm2m::{Endpoint, Path};

use super::records;
use super::trees::{Tree, Trees, corrupt, failed};
use crate::StoreError;

/// The value of each key; `None` where there is none.
pub(super) fn at(trees: &Trees, keys: &[(Endpoint, Path)]) -> Result<Vec<Option<Arc<[u8]>>>, StoreError> {
    let tree = trees.tree(Tree::Values)?;
    let keys: Vec<Vec<u8>> =
        keys.iter().map(|(endpoint, path)| records::value_key(endpoint, *path)).collect();
    let found = found(&tree, &keys).map_err(|error| failed(trees.path(), error))?;
    let body = |value: Slice| {
        let body = records::value_of(&value).map(Arc::from);
        body.map_err(|message| corrupt(trees.path(), &format!("values: {message}")))
    };
    found.into_iter().map(|value| value.map(body).transpose()).collect()
}

fn found(tree: &Keyspace, keys: &[Vec<u8>]) -> Result<Vec<Option<Slice>>, fjall::Error> {
    let mut found = Vec::with_capacity(keys.len());
    if keys.len() >= TOGETHER_MIN && keys.is_sorted_by(|one, next| one < next) {
        found = passed(tree, keys)?;
    }
    for key in keys.iter().skip(found.len()) {
        found.push(tree.get(key)?);
    }
    Ok(found)
}

/// What is found of ascending keys on the way from the first to the last, until too many others lie between them.
fn passed(tree: &Keyspace, keys: &[Vec<u8>]) -> Result<Vec<Option<Slice>>, fjall::Error> {
    let mut found = Vec::with_capacity(keys.len());
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(found) };
    let mut others = 0;
    for row in tree.range(&first[..]..=&last[..]) {
        let (key, value) = row.into_inner()?;
        while keys.get(found.len()).is_some_and(|wanted| wanted[..] < key[..]) {
            found.push(None);
        }
        if keys.get(found.len()).is_some_and(|wanted| wanted[..] == key[..]) {
            found.push(Some(value));
            continue;
        }
        others += 1;
        if others > (found.len() + TOGETHER_MIN) * OTHERS_MAX {
            return Ok(found);
        }
    }
    found.resize(keys.len(), None);
    Ok(found)
}

/// Keys that are looked for together; of fewer each on its own.
const TOGETHER_MIN: usize = 16;
/// Rows that are passed for each key: what one look costs.
const OTHERS_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use lightship_lwm2m::{Endpoint, Path};

    use crate::{Batch, EmbeddedOptions, EmbeddedStore, Fact, Store};

    #[tokio::test]
    async fn values_are_found_alike_together_and_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = EmbeddedOptions::new(folder.path().to_owned(), 7, std::sync::Arc::new(|| 0));
        let store = EmbeddedStore::open(options).expect("opens");
        let name = |number: usize| Endpoint::new(&format!("d-{number:04}")).expect("a name");
        let path = |number: u16| Path::from_numbers(&[3, 0, number]).expect("a path");
        // Some have one value, some have none, and some have so many that going through them is given up.
        for number in 0..600 {
            let count = if number % 5 == 0 {
                0
            } else if number < 300 {
                2
            } else {
                40
            };
            let facts = (0..count).map(|value| Fact::Value {
                endpoint: name(number),
                path: path(value),
                value: Some(format!("{number}/{value}").into_bytes().into()),
            });
            store.commit(Batch { facts: facts.collect() }).await.expect("writes");
        }
        for wanted in [0, 1, 39, 40] {
            for step in [1, 7, 33] {
                let keys: Vec<_> =
                    (0..620).step_by(step).map(|number| (name(number), path(wanted))).collect();
                let found = store.values_at(&keys).expect("reads");
                assert_eq!(found.len(), keys.len());
                let mut turned = keys.clone();
                turned.reverse();
                let mut alone = store.values_at(&turned).expect("reads");
                alone.reverse();
                assert_eq!(found, alone, "{wanted} of each {step}th");
                assert_eq!(found.iter().any(Option::is_some), wanted < 40);
            }
        }
    }
}
