//! The bodies of requests about campaigns and Canvases, and the checks of their fields.

use super::{edits::Shown, names::UnknownNames};
use crate::{
    checks::{check_addresses, check_name, check_tags},
    problem::{Problem, Remedy},
};
use rekindle_domain::{
    id::{SourceId, SourceKind, id_refusal, is_valid_id},
    source::{Source, Status, Variant},
    time::Time,
    words,
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
    #[cfg_attr(feature = "schema", schemars(with = "Vec<rekindle_domain::schema::Words>"))]
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
    /// The source itself, as `GET` shows it.
    #[serde(default)]
    pub source: Option<SourceId>,
    /// Of a new source draft, unless given, or active. Of another the present one.
    #[serde(default)]
    pub status: Option<Status>,
    /// Shown, and ignored here.
    #[serde(default)]
    pub created_at: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub started_at: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub stopped_at: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub updated_at: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub first_sight: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub interaction_data: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub now_due: Shown,
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
    #[cfg_attr(feature = "schema", schemars(with = "Vec<rekindle_domain::schema::Words>"))]
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
    /// The source itself, as `GET` shows it.
    #[serde(default)]
    pub source: Option<SourceId>,
    /// Of a new source draft, unless given, or active. Of another the present one.
    #[serde(default)]
    pub status: Option<Status>,
    /// Shown, and ignored here.
    #[serde(default)]
    pub created_at: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub started_at: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub stopped_at: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub updated_at: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub first_sight: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub interaction_data: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub now_due: Shown,
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
    /// The source that the caller takes it for.
    pub source: Option<SourceId>,
    /// The status that the caller takes it to have, or wants of a new source.
    pub status: Option<Status>,
    /// What to do about names in the audience that match nothing.
    pub unknown_names: UnknownNames,
}

/// How a source is to be stopped.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StopInput {
    /// The time of the stop, from the year 2000 to now; now, if left out. A time before the start moves the start, too.
    #[serde(default)]
    pub at: Option<Time>,
}

impl From<CampaignInput> for SourceInput {
    fn from(said: CampaignInput) -> Self {
        let CampaignInput { name, tags, variants, audience, notify, unknown_names, source, status, .. } =
            said;
        let (tags, variants) = (tags_of(&tags), named(variants));
        Self { name, tags, variants, steps: Vec::new(), audience, notify, unknown_names, source, status }
    }
}

impl From<CanvasInput> for SourceInput {
    fn from(said: CanvasInput) -> Self {
        let CanvasInput {
            name,
            tags,
            variations,
            steps,
            audience,
            notify,
            unknown_names,
            source,
            status,
            ..
        } = said;
        let (tags, variants, steps) = (tags_of(&tags), named(variations), named(steps));
        Self { name, tags, variants, steps, audience, notify, unknown_names, source, status }
    }
}

/// The tags as they are stored.
fn tags_of(tags: &[String]) -> Vec<String> {
    tags.iter().map(|tag| words::cleaned(tag)).collect()
}

/// The variants with their names as they are stored.
fn named(variants: Vec<Variant>) -> Vec<Variant> {
    variants.into_iter().map(|v| Variant { name: words::cleaned(&v.name), ..v }).collect()
}

impl SourceInput {
    /// 422 unless the fields fit this source; `found` is the source as it is, `None` if it is new. A list that stays as it is
    /// fits: an earlier version took it. The audience is checked elsewhere, where other sources can be read.
    pub(crate) fn check(&self, id: &SourceId, found: Option<&Source>) -> Result<(), Problem> {
        self.check_identity(id, found.map(|found| found.status))?;
        self.name.as_deref().map_or(Ok(()), check_name)?;
        check_tags(&self.tags)?;
        if found.is_none_or(|found| found.variants != self.variants) {
            let (field, code) = match id.kind() {
                SourceKind::Campaign => ("variants", "invalid_variants"),
                SourceKind::Canvas => ("variations", "invalid_variations"),
            };
            check_variants(field, code, &self.variants)?;
        }
        if found.is_none_or(|found| found.steps != self.steps) {
            check_variants("steps", "invalid_steps", &self.steps)?;
        }
        if found.is_none_or(|found| found.notify != self.notify) {
            check_addresses(&self.notify)?;
        }
        Ok(())
    }

    /// 422 unless the source that the fields name is this one, and their status is the source's.
    fn check_identity(&self, id: &SourceId, status: Option<Status>) -> Result<(), Problem> {
        if let Some(other) = self.source.as_ref().filter(|other| *other != id) {
            let detail = format!("source is {other}, and this is {id}; a source keeps its id");
            return Err(Problem::unprocessable("invalid_source", detail).at("source"));
        }
        let detail = match (status, self.status) {
            (None, Some(Status::Stopped)) => format!("{id} is new; status must be draft or active"),
            (Some(now), Some(said)) if now != said => {
                format!("status is {}, and {id} is {}", said.as_str(), now.as_str())
            }
            _ => return Ok(()),
        };
        let problem = Problem::unprocessable("invalid_status", detail).at("status");
        let remedy = status.map(|_| Remedy::StartOrStop(id.clone()));
        Err(Problem { remedy, ..problem })
    }
}

fn check_variants(field: &str, code: &'static str, variants: &[Variant]) -> Result<(), Problem> {
    if variants.len() > MAX_VARIANTS {
        return Err(Problem::unprocessable(code, format!("{field} has at most {MAX_VARIANTS} entries")));
    }
    let mut ids = BTreeSet::new();
    for (i, variant) in variants.iter().enumerate() {
        if !is_valid_id(&variant.id) {
            return Err(Problem::unprocessable(code, format!("{field}[{i}].id {}", id_refusal(&variant.id))));
        }
        if !variant.name.is_empty() && !words::are_valid(&variant.name) {
            let detail = format!("{field}[{i}].name must be {}", words::WORDS_RULE);
            return Err(Problem::unprocessable(code, detail));
        }
        if !ids.insert(&variant.id) {
            let detail = format!("{field}[{i}]: the id `{}` stands twice", variant.id);
            return Err(Problem::unprocessable(code, detail));
        }
    }
    Ok(())
}
