//! Names in filters that match nothing: tags that no source carries, and variants, variations and steps that their source
//! does not declare. Under `not`, a mistyped name would match everybody.

use crate::{
    app::Rekindle,
    problem::{Fact, Problem},
};
use rekindle_domain::{
    filter::{Filter, Name},
    id::{SourceId, SourceKind},
    source::{Source, Variant},
    words::tag_among,
};
use rekindle_store::StoreError;
use serde::Deserialize;
use std::collections::HashMap;

/// What to do about names in a filter that match nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnknownNames {
    /// Refuse the filter, and say which names are like it.
    #[default]
    Refuse,
    /// Take the filter as it is: the names may match later.
    Allow,
}

/// The most names that an error suggests.
const MAX_NEAREST: usize = 5;

/// The most tags among which an error looks for names to suggest.
const MAX_TAGS_LOOKED_AT: usize = 1_000;

/// A name that is not known.
struct Stranger<'a> {
    path: String,
    name: &'a str,
    code: &'static str,
    /// The sentence that says so.
    detail: String,
}

impl Rekindle {
    /// 422 for the first tag in the filter that no source carries, and the first variant, variation or step that its
    /// source does not declare though it declares others. `path` is the filter's place in the request, `sources` has the
    /// sources that it names.
    pub(super) async fn check_names(
        &self,
        filter: &Filter,
        path: &str,
        sources: &HashMap<SourceId, Source>,
    ) -> Result<(), Problem> {
        let mut names = Vec::new();
        filter.names(path, &mut |path, name| names.push((path, name)));
        for (path, name) in names {
            let (stranger, known) = match name {
                Name::Tag(tag) if sources.values().any(|source| tag_among(&source.tags, tag).is_some()) => {
                    continue;
                }
                Name::Tag(tag) if !self.is_carried(tag).await? => {
                    let detail = format!("no source carries the tag `{tag}`");
                    (Stranger { path, name: tag, code: "unknown_tag", detail }, self.known_tags().await?)
                }
                Name::Variant(id, variant) => {
                    let (code, what) = match id.kind() {
                        SourceKind::Campaign => ("unknown_variant", "variant"),
                        SourceKind::Canvas => ("unknown_variation", "variation"),
                    };
                    let declared = sources.get(id).map_or(&[][..], |source| &source.variants);
                    let Some(known) = undeclared(declared, variant) else { continue };
                    let detail = format!("{id} declares no {what} `{variant}`");
                    (Stranger { path, name: variant, code, detail }, known)
                }
                Name::Step(id, step) => {
                    let declared = sources.get(id).map_or(&[][..], |source| &source.steps);
                    let Some(known) = undeclared(declared, step) else { continue };
                    let detail = format!("{id} declares no step `{step}`");
                    (Stranger { path, name: step, code: "unknown_step", detail }, known)
                }
                Name::Tag(_) | Name::Source(_) | Name::Segment(_) => continue,
            };
            return Err(stranger.refused(known));
        }
        Ok(())
    }

    async fn is_carried(&self, tag: &str) -> Result<bool, StoreError> {
        let catalog = &self.store.catalog;
        Ok(catalog.spelling(tag).await?.is_some() || !catalog.tagged(tag).await?.is_empty())
    }

    async fn known_tags(&self) -> Result<Vec<String>, StoreError> {
        let tags = self.store.catalog.tags(None, MAX_TAGS_LOOKED_AT).await?;
        Ok(tags.items.into_iter().map(|tag| tag.tag).collect())
    }
}

/// The declared names, if there are any and the name is not among them.
fn undeclared(declared: &[Variant], name: &str) -> Option<Vec<String>> {
    let is_known = declared.is_empty() || declared.iter().any(|variant| variant.id == name);
    (!is_known).then(|| declared.iter().map(|variant| variant.id.clone()).collect())
}

impl Stranger<'_> {
    fn refused(self, known: Vec<String>) -> Problem {
        let Self { path, name, code, detail } = self;
        let nearest = nearest(name, known);
        let hint = nearest.first().map_or(String::new(), |first| format!(" (did you mean `{first}`?)"));
        let detail =
            format!("{path}: {detail}{hint}; to name it all the same, send \"unknown_names\":\"allow\"");
        Problem::unprocessable(code, detail)
            .at(path)
            .with(Fact::UnknownNames(vec![name.to_owned()]))
            .with(Fact::Nearest(nearest))
    }
}

/// The known names that are most like a name, without regard to case.
fn nearest(name: &str, known: Vec<String>) -> Vec<String> {
    let name = name.to_lowercase();
    let likeness = |other: &str| strsim::normalized_damerau_levenshtein(&name, &other.to_lowercase());
    let mut known: Vec<(f64, String)> = known.into_iter().map(|known| (likeness(&known), known)).collect();
    known.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    known.into_iter().take(MAX_NEAREST).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_most_alike_come_first_whatever_their_case() {
        let known =
            ["summer", "Promo", "promotion", "spring", "winter", "autumn"].map(str::to_owned).to_vec();
        let found = nearest("pormo", known);
        assert_eq!(found[..2], ["Promo", "promotion"].map(str::to_owned));
        assert_eq!(found.len(), 5);
        assert!(nearest("x", Vec::new()).is_empty());
    }
}
