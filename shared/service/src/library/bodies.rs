//! The bodies of requests about campaigns and Canvases, and the checks of their fields.

use super::names::UnknownNames;
use crate::{
    checks::{MAX_NAME, check_addresses, check_name, check_tags},
    problem::Problem,
};
use rekindle_domain::{
    id::{ID_RULE, SourceKind, is_valid_id},
    source::Variant,
    time::Time,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// The most variants, variations or steps.
const MAX_VARIANTS: usize = 100;

/// What a person says of a campaign. Replaces what was said before.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CampaignInput {
    /// What people call it; its id if left out.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Name>"))]
    pub name: Option<String>,
    /// What it is found by: at most 20.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<rekindle_domain::schema::Id>"))]
    pub tags: Vec<String>,
    /// Its variants, each with an id of its own.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_VARIANTS)))]
    pub variants: Vec<Variant>,
    /// Whom it is sent to.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<rekindle_domain::filter::Filter>"))]
    pub audience: Option<Value>,
    /// Who is mailed about its data.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::schema::MailAddress>", length(max = rekindle_domain::restore::MAX_NOTIFY)))]
    pub notify: Vec<String>,
    /// What to do about tags that no source carries, and variants, variations and steps that their source does not declare.
    #[serde(default)]
    pub unknown_names: UnknownNames,
}

/// What a person says of a Canvas. Replaces what was said before.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CanvasInput {
    /// What people call it; its id if left out.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Name>"))]
    pub name: Option<String>,
    /// What it is found by: at most 20.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<rekindle_domain::schema::Id>"))]
    pub tags: Vec<String>,
    /// Its variations, each with an id of its own.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_VARIANTS)))]
    pub variations: Vec<Variant>,
    /// Its steps, each with an id of its own.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_VARIANTS)))]
    pub steps: Vec<Variant>,
    /// Who enters it.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<rekindle_domain::filter::Filter>"))]
    pub audience: Option<Value>,
    /// Who is mailed about its data.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::schema::MailAddress>", length(max = rekindle_domain::restore::MAX_NOTIFY)))]
    pub notify: Vec<String>,
    /// What to do about tags that no source carries, and variants, variations and steps that their source does not declare.
    #[serde(default)]
    pub unknown_names: UnknownNames,
}

/// The fields of a source of either kind, as a person sets them.
#[derive(Clone, Debug, Default)]
pub struct SourceInput {
    /// The source's name for people; its id if left out.
    pub name: Option<String>,
    /// The tags, by which filters, lists and restores find the source.
    pub tags: Vec<String>,
    /// A campaign's variants, or a Canvas's variations.
    pub variants: Vec<Variant>,
    /// A Canvas's steps.
    pub steps: Vec<Variant>,
    /// The filter of the users that the source is sent to, not parsed yet.
    pub audience: Option<Value>,
    /// The addresses that are mailed about the source's data.
    pub notify: Vec<String>,
    /// What to do about names in the audience that match nothing.
    pub unknown_names: UnknownNames,
}

/// How a source is to be stopped.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StopInput {
    /// As of when, since its start; now, if left out.
    #[serde(default)]
    pub at: Option<Time>,
}

impl From<CampaignInput> for SourceInput {
    fn from(said: CampaignInput) -> Self {
        let CampaignInput { name, tags, variants, audience, notify, unknown_names } = said;
        Self { name, tags, variants, steps: Vec::new(), audience, notify, unknown_names }
    }
}

impl From<CanvasInput> for SourceInput {
    fn from(said: CanvasInput) -> Self {
        let CanvasInput { name, tags, variations, steps, audience, notify, unknown_names } = said;
        Self { name, tags, variants: variations, steps, audience, notify, unknown_names }
    }
}

impl SourceInput {
    /// 422 unless the fields fit a source of this kind. The audience is checked elsewhere, where other sources can be read.
    pub(crate) fn check(&self, kind: SourceKind) -> Result<(), Problem> {
        self.name.as_deref().map_or(Ok(()), check_name)?;
        check_tags(&self.tags)?;
        match kind {
            SourceKind::Campaign => check_variants("variants", "invalid_variants", &self.variants)?,
            SourceKind::Canvas => {
                check_variants("variations", "invalid_variations", &self.variants)?;
                check_variants("steps", "invalid_steps", &self.steps)?;
            }
        }
        check_addresses(&self.notify)
    }
}

fn check_variants(field: &str, code: &'static str, variants: &[Variant]) -> Result<(), Problem> {
    if variants.len() > MAX_VARIANTS {
        return Err(Problem::unprocessable(code, format!("{field} has at most {MAX_VARIANTS} entries")));
    }
    let mut ids = BTreeSet::new();
    for (i, variant) in variants.iter().enumerate() {
        if !is_valid_id(&variant.id) || variant.name.len() > MAX_NAME {
            let detail =
                format!("{field}[{i}] needs an id of {ID_RULE} and a name of at most {MAX_NAME} bytes");
            return Err(Problem::unprocessable(code, detail));
        }
        if !ids.insert(&variant.id) {
            let detail = format!("{field}[{i}]: the id `{}` stands twice", variant.id);
            return Err(Problem::unprocessable(code, detail));
        }
    }
    Ok(())
}
