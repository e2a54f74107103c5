//! Whether a deployment answers.

use crate::{app::Rekindle, boxed, problem::Problem};
use rekindle_domain::{
    Ulid,
    id::{KeyId, LedgerId},
};
use rekindle_store::StoreError;
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
    /// Reads one item of the catalog, to see that the store answers.
    ///
    /// # Errors
    /// 503 if the store does not answer.
    #[boxed]
    pub async fn health(&self) -> Result<Health, Problem> {
        self.store.catalog.manifest(&LedgerId::Users).await?;
        Ok(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
    }

    /// Opens the connection to the catalog, by reading a key that does not exist: every function that answers HTTP may read
    /// keys.
    ///
    /// # Errors
    /// If the catalog does not answer.
    #[boxed]
    pub async fn warm_up(&self) -> Result<(), StoreError> {
        self.store.catalog.access_key(KeyId(Ulid::nil())).await?;
        Ok(())
    }
}
