//! The stylesheet and the scripts, built into the program. Their addresses bear a digest of their content, so that browsers keep
//! them for a year and never see an old one.

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use rekindle_domain::rows::fingerprint;
use rekindle_service::Rekindle;
use std::sync::LazyLock;

struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

/// One stylesheet, in parts that are easy to find: what every page has, then what some pages have.
const STYLE: &str = concat!(
    include_str!("assets/css/base.css"),
    include_str!("assets/css/lists.css"),
    include_str!("assets/css/source.css"),
    include_str!("assets/css/audiences.css"),
    include_str!("assets/css/local.css"),
    include_str!("assets/css/plots.css"),
    include_str!("assets/css/users.css"),
);

const ASSETS: [Asset; 4] = [
    Asset { name: "icon.svg", kind: "image/svg+xml", content: include_str!("assets/icon.svg") },
    Asset { name: "console.css", kind: "text/css; charset=utf-8", content: STYLE },
    Asset {
        name: "console.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("assets/console.js"),
    },
    Asset {
        name: "htmx.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("assets/htmx.min.js"),
    },
];

static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let all: String = ASSETS.iter().map(|asset| asset.content).collect();
    format!("{:016x}", fingerprint(all.as_bytes()))
});

/// The address of an asset.
pub(crate) fn address(name: &str) -> String {
    format!("/console/assets/{}-{name}", *DIGEST)
}

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new().route("/console/assets/{name}", get(show))
}

async fn show(Path(name): Path<String>) -> Response {
    let wanted = name.split_once('-').map_or("", |(_, name)| name);
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == wanted) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let keep = "public, max-age=31536000, immutable";
    ([(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, keep)], asset.content).into_response()
}
