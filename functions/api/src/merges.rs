//! `/v1/users/merge` and `/v1/users/merges`: user ids that belong to one person.

use axum::{
    Router,
    body::Body,
    extract::State,
    response::Response,
    routing::{get, post},
};
use http::{StatusCode, Uri};
use rekindle_runtime::{
    http::{Query, json, json_body},
    problem::HttpProblem,
    scopes::By,
};
use rekindle_service::{
    Problem, Rekindle,
    library::{MergeInput, MergeItem, MergeView, MergesAnswer, MergesInput},
};

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new().route("/v1/users/merge", post(merge)).route("/v1/users/merges", get(list).post(merge_some))
}

async fn merge(State(app): State<Rekindle>, By(by): By, body: Body) -> Result<Response, HttpProblem> {
    let pair: MergeInput = json_body(body).await?;
    let outcomes = app.merge_users(&[pair], &by).await?;
    let merges: Vec<MergeView> = outcomes.into_iter().collect::<Result<_, _>>()?;
    Ok(json(StatusCode::OK, &merges.first()))
}

async fn merge_some(State(app): State<Rekindle>, By(by): By, body: Body) -> Result<Response, HttpProblem> {
    let MergesInput { merges } = json_body(body).await?;
    let outcomes = app.merge_users(&merges, &by).await?;
    let items = merges.into_iter().zip(outcomes).map(|(pair, outcome)| item(pair, outcome)).collect();
    Ok(json(StatusCode::OK, &MergesAnswer { items }))
}

fn item(pair: MergeInput, outcome: Result<MergeView, Problem>) -> MergeItem<HttpProblem> {
    let MergeInput { from, into } = pair;
    match outcome {
        Ok(merge) => MergeItem { from, into, status: 200, merge: Some(merge), problem: None },
        Err(problem) => {
            let problem = HttpProblem::from(problem);
            let status = problem.status.as_u16();
            MergeItem { from, into, status, merge: None, problem: Some(problem) }
        }
    }
}

async fn list(State(app): State<Rekindle>, uri: Uri) -> Result<Response, HttpProblem> {
    let query = Query::parse(&uri, &["after", "limit", "cursor"])?;
    let not_a_number =
        |_| Problem::bad_request("invalid_query", "after must be the number of a merge, such as after=120");
    let after: u64 = query.get("after").map_or(Ok(0), str::parse).map_err(not_a_number)?;
    Ok(json(StatusCode::OK, &app.list_merges(after, query.get("cursor"), query.limit()?).await?))
}
