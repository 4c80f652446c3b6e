//! Checks of tokens, and of what was done by whom.

use std::sync::Arc;

use super::endpoint;
use crate::{AuditOf, AuditRecord, Batch, Fact, Store, StoreError, TokenRecord};

pub(super) async fn tokens_are_kept_by_id<S: Store>(store: &S) {
    store.commit(Batch { facts: vec![token("b", 1), token("a", 2), token("b", 3)] }).await.expect("writes");
    assert_eq!(listed(store).await, [("a".to_owned(), 2), ("b".to_owned(), 3)], "the last one counts");
    let many = Batch { facts: vec![token("c", 4), token("d", 5)] };
    let full = store.commit(many).await;
    assert!(matches!(full, Err(StoreError::Full { what: "tokens", max: 3 })), "{full:?}");
    assert_eq!(listed(store).await.len(), 2, "all or nothing");
    let gone = || Fact::NoToken { id: "a".into() };
    store.commit(Batch { facts: vec![gone(), gone(), token("c", 4), token("d", 5)] }).await.expect("writes");
    assert_eq!(listed(store).await.len(), 3);
}

pub(super) async fn tokens_outlive_the_process<S: Store>(store: S, reopen: &impl Fn(S) -> S) {
    let facts = vec![token("a", 1), token("b", 2), token("c", 3), Fact::NoToken { id: "b".into() }];
    store.commit(Batch { facts }).await.expect("writes");
    let store = reopen(store);
    assert_eq!(listed(&store).await, [("a".to_owned(), 1), ("c".to_owned(), 3)]);
    let full = store.commit(Batch { facts: vec![token("d", 4), token("e", 5)] }).await;
    assert!(matches!(full, Err(StoreError::Full { .. })), "those from before count: {full:?}");
}

pub(super) async fn what_was_done_comes_newest_first<S: Store>(store: &S) {
    let facts = vec![entry(1000, Some("a"), "1"), entry(3000, None, "3"), entry(2000, Some("b"), "2")];
    store.commit(Batch { facts }).await.expect("writes");
    assert_eq!(bodies(store, None).await, ["3", "2", "1"]);
    assert_eq!(bodies(store, Some("a")).await, ["1"]);
    store.commit(Batch { facts: vec![entry(1000, Some("a"), "1, as it went on")] }).await.expect("writes");
    assert_eq!(bodies(store, None).await, ["3", "2", "1, as it went on"], "an entry may be replaced");
    let page = async |which: AuditOf| {
        let page = store.audit(which).await.expect("reads");
        page.iter().map(|record| record.at_ms()).collect::<Vec<_>>()
    };
    assert_eq!(page(AuditOf { from_ms: 2000, to_ms: 3000, ..all() }).await, [2000]);
    assert_eq!(page(AuditOf { before: Some(AuditRecord::first_id(3000)), max: 1, ..all() }).await, [2000]);
    assert_eq!(page(AuditOf { from_ms: 9, to_ms: 1, ..all() }).await, Vec::<i64>::new());
}

pub(super) async fn old_entries_leave<S: Store>(store: &S) {
    for number in 1..=8 {
        let fact = entry(number, (number % 2 == 0).then_some("a"), &number.to_string());
        store.commit(Batch { facts: vec![fact] }).await.expect("writes");
    }
    assert_eq!(bodies(store, None).await, ["8", "7", "6", "5", "4", "3"], "6 are kept");
    assert_eq!(bodies(store, Some("a")).await, ["8", "6", "4"]);
    store.commit(Batch { facts: vec![entry(100_006, None, "late")] }).await.expect("writes");
    assert_eq!(bodies(store, None).await, ["late", "8", "7", "6"], "for 100 seconds");
}

pub(super) async fn what_was_done_outlives_the_process<S: Store>(store: S, reopen: &impl Fn(S) -> S) {
    for number in 1..=6 {
        store.commit(Batch { facts: vec![entry(number, Some("a"), "before")] }).await.expect("writes");
    }
    let store = reopen(store);
    assert_eq!(bodies(&store, Some("a")).await.len(), 6);
    store.commit(Batch { facts: vec![entry(7, None, "after")] }).await.expect("writes");
    let kept = bodies(&store, None).await;
    assert_eq!((kept.len(), kept.first().map(String::as_str)), (6, Some("after")), "those from before count");
}

fn token(id: &str, created_ms: i64) -> Fact {
    Fact::Token(Arc::new(TokenRecord {
        id: id.into(),
        name: "somebody".into(),
        role: "viewer".into(),
        digest: [7; 32],
        created_ms,
        created_by: "another".into(),
        expires_ms: Some(9),
    }))
}

async fn listed<S: Store>(store: &S) -> Vec<(String, i64)> {
    let tokens = store.tokens().await.expect("reads");
    tokens.iter().map(|record| (record.id.to_string(), record.created_ms)).collect()
}

fn entry(at_ms: i64, name: Option<&str>, body: &str) -> Fact {
    let id = AuditRecord::first_id(at_ms);
    Fact::Audited(Arc::new(AuditRecord { id, endpoint: name.map(endpoint), body: body.into() }))
}

fn all() -> AuditOf {
    AuditOf { before: None, endpoint: None, from_ms: 0, to_ms: i64::MAX, max: 100 }
}

async fn bodies<S: Store>(store: &S, name: Option<&str>) -> Vec<String> {
    let page = store.audit(AuditOf { endpoint: name.map(endpoint), ..all() }).await.expect("reads");
    page.iter().map(|record| record.body.to_string()).collect()
}
