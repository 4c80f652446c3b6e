//! Composite operations: known to the contract, not available yet.

use lightship_api::ProblemType;

use super::Refusal;

/// The honest answer.
pub(crate) async fn not_yet() -> Refusal {
    let detail = "composite operations are not available yet";
    std::future::ready(Refusal::new(ProblemType::NotSupported, detail)).await
}
