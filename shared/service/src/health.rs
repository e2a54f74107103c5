//! Whether a deployment answers.

use crate::{Problem, Rekindle};
use rekindle_domain::id::LedgerId;
use serde::Serialize;

/// It does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// `ok`.
    pub status: &'static str,
    /// The software's version.
    pub version: &'static str,
}

impl Rekindle {
    /// Reads the smallest thing there is.
    ///
    /// # Errors
    /// 503 if the store does not answer.
    pub async fn health(&self) -> Result<Health, Problem> {
        self.store.catalog.manifest(&LedgerId::Users).await?;
        Ok(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
    }
}
