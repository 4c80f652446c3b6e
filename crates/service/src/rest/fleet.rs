//! The fleet: devices by filter, as pages or as a table, and what is known of their values.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path as Parts, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use lightship_api::{KnownValues, Problem, ProblemType, table};
use lightship_lwm2m::{Endpoint, Path};

use super::Refusal;
use super::history::wants_table;
use super::input::{self, Query, parameter};
use super::reply::{Answer, json};
use crate::core::Core;
use crate::filter::Filter;
use crate::fleet::beside;
use crate::fleet::list::{self, Direction, From, Order, Wanted};
use crate::fleet::overview;
use crate::fleet::values::Values;
use crate::queue::unread;

/// GET /endpoints
pub(crate) async fn list(
    State(core): State<Arc<Core>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let query = Query::parse(
        query.as_deref(),
        &["filter", "columns", "sort", "limit", "cursor", "offset", "count", "format"],
    )?;
    if wants_table(&query, &headers)? {
        return table(&core, &query);
    }
    let limit = size(query.number("limit", 1, PAGE_MAX)?).unwrap_or(PAGE);
    let wanted = wanted(&query, limit)?;
    let page = beside(&core, move |core| list::page(core, &wanted)).await?;
    json(StatusCode::OK, &page)
}

fn size(number: Option<u64>) -> Option<usize> {
    number.and_then(|number| usize::try_from(number).ok())
}

fn wanted(query: &Query, limit: usize) -> Result<Wanted, Refusal> {
    let order = match query.text("sort") {
        None | Some("" | "name") => Order::Name,
        Some("updated") => Order::Updated,
        Some("-updated") => Order::Silent,
        Some("registered") => Order::Registered,
        Some("-registered") => Order::Oldest,
        Some(text) => by_value(text)?,
    };
    let offset = size(query.number("offset", 0, OFFSET_MAX)?);
    let from = match (query.text("cursor"), offset) {
        (Some(_), Some(_)) => return Err(parameter("offset", "does not go with the parameter cursor")),
        (Some(cursor), None) => behind(order, cursor)?,
        (None, place) => From::Place(place.unwrap_or(0)),
    };
    Ok(Wanted {
        filter: filter(query.text("filter").unwrap_or_default())?,
        columns: columns(query)?,
        order,
        from,
        limit,
        total: query.flag("count")?,
    })
}

/// Where a page begins that follows another.
fn behind(order: Order, cursor: &str) -> Result<From, Refusal> {
    let from = match order {
        Order::Name => Some(From::Name(cursor.to_owned())),
        Order::Value(..) => list::from_cursor(cursor).map(From::Behind),
        Order::Updated | Order::Silent | Order::Registered | Order::Oldest => {
            cursor.parse().ok().map(From::Place)
        }
    };
    from.ok_or_else(|| parameter("cursor", "is not the `next` of a page before"))
}

/// The order of a Resource's values: its path, with a minus for the largest first.
fn by_value(text: &str) -> Result<Order, Refusal> {
    let (text, direction) =
        text.strip_prefix('-').map_or((text, Direction::Up), |text| (text, Direction::Down));
    let path: Option<Path> = text.parse().ok();
    path.filter(|path| (3..=4).contains(&path.len())).map(|path| Order::Value(path, direction)).ok_or_else(|| {
        parameter("sort", "is name, updated, registered or a Resource such as /3/0/9; with - in front the other way round")
    })
}

/// A filter, or what is wrong with it: the pointer says at which letters.
pub(super) fn filter(text: &str) -> Result<Filter, Refusal> {
    Filter::parse(text).map_err(|mistake| {
        let problem = Problem::new(ProblemType::InvalidParameter, format!("The filter, {mistake}"));
        Refusal(problem.at(format!("filter:{}-{}", mistake.at, mistake.at + mistake.len)))
    })
}

fn columns(query: &Query) -> Result<Vec<Path>, Refusal> {
    let texts = query.text("columns").unwrap_or_default().split(',').filter(|text| !text.is_empty());
    let path = |text: &str| {
        let path: Option<Path> = text.parse().ok();
        path.filter(|path| (3..=4).contains(&path.len()))
            .ok_or_else(|| parameter("columns", "are Resources such as /3/0/3, separated by commas"))
    };
    let columns: Vec<Path> = texts.map(path).collect::<Result<_, _>>()?;
    if columns.len() > COLUMNS_MAX {
        return Err(parameter("columns", &format!("are {COLUMNS_MAX} at most")));
    }
    Ok(columns)
}

/// All devices that are wanted, page behind page.
fn table(core: &Arc<Core>, query: &Query) -> Answer {
    let left = size(query.number("limit", 1, OFFSET_MAX)?).unwrap_or(usize::MAX);
    let wanted = Wanted { total: false, ..wanted(query, TABLE_PAGE)? };
    let columns: Vec<String> = wanted.columns.iter().map(ToString::to_string).collect();
    let first = Bytes::from(table::head(&columns));
    let state = (core.clone(), Some((wanted, left)), Some(first), columns);
    let stream = futures_util::stream::unfold(state, |(core, mut rest, first, columns)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (core, rest, None, columns)));
        }
        let (wanted, left) = rest.take()?;
        let now = Wanted { limit: wanted.limit.min(left), ..wanted.clone() };
        let page = match beside(&core, move |core| list::page(core, &now)).await {
            Ok(page) => page,
            // The head has gone: all that can be done is to break off, so that nobody takes it for whole.
            Err(refusal) => {
                return Some((
                    Err(std::io::Error::other(refusal.0.title.to_string())),
                    (core, None, None, columns),
                ));
            }
        };
        let mut rows = String::new();
        table::write_rows(&mut rows, &page.items, &columns);
        let left = left.saturating_sub(page.items.len());
        if let Some(next) = page.next.filter(|_| left > 0)
            && let Ok(from) = behind(wanted.order, &next)
        {
            rest = Some((Wanted { from, ..wanted }, left));
        }
        Some((Ok(Bytes::from(rows)), (core, rest, None, columns)))
    });
    let head = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"devices.csv\""),
    ];
    Ok((StatusCode::OK, head, Body::from_stream(stream)).into_response())
}

/// GET /fleet
pub(crate) async fn overview(State(core): State<Arc<Core>>) -> Answer {
    json(StatusCode::OK, &overview::fleet(&core).await?)
}

/// GET /fleet/rates
pub(crate) async fn rates(State(core): State<Arc<Core>>, RawQuery(query): RawQuery) -> Answer {
    let minutes = Query::parse(query.as_deref(), &["minutes"])?.number("minutes", 1, MINUTES_MAX)?;
    let rates = core.fleet.rates.shape(minutes.unwrap_or(60), core.now());
    std::future::ready(json(StatusCode::OK, &rates)).await
}

/// GET /endpoints/{endpoint}/values
pub(crate) async fn values(
    State(core): State<Arc<Core>>,
    Parts(endpoint): Parts<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["path"])?;
    let below = query.text("path").unwrap_or("/");
    let below: Path = below.parse().map_err(|_| parameter("path", "is a path such as /3/0"))?;
    let unregistered =
        || Refusal::new(ProblemType::EndpointNotRegistered, format!("{endpoint:?} is not registered"));
    let name = Endpoint::new(&endpoint).map_err(|_| unregistered())?;
    let items =
        beside(&core, move |core| Values::of(core, &name, below).map_err(|error| unread(&error))).await?;
    if items.is_empty() {
        input::device(&core, &endpoint).await?;
    }
    json(StatusCode::OK, &KnownValues { endpoint, items })
}

const PAGE: usize = 100;
const PAGE_MAX: u64 = 1000;
/// Devices of a table that are made together.
const TABLE_PAGE: usize = 1000;
const OFFSET_MAX: u64 = 10_000_000;
const COLUMNS_MAX: usize = 20;
/// A week.
const MINUTES_MAX: u64 = 7 * 24 * 60;
