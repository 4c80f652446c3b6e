//! What the contract knows and this version cannot do yet.

use axum::http::Uri;
use lightship_api::ProblemType;

use super::Refusal;

/// The honest answer.
pub(crate) async fn not_yet(uri: Uri) -> Refusal {
    let part = NOT_YET.iter().find(|(part, _)| uri.path().contains(part));
    let what = part.map_or("this", |(_, what)| *what);
    std::future::ready(Refusal::new(ProblemType::NotSupported, format!("{what} are not available yet"))).await
}

const NOT_YET: [(&str, &str); 1] = [("/credentials/", "credentials")];
