//! Reading forms and queries. A field that was left empty counts as left out.

use axum::body::Body;
use rekindle_domain::id::SourceId;
use rekindle_runtime::http::read_body;
use rekindle_service::Problem;
use std::collections::BTreeSet;

/// The most bytes of a form.
const MAX_FORM: usize = 1 << 20;

/// The fields of a form or of a query, in order; a field may stand several times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) async fn of_body(body: Body) -> Result<Self, Problem> {
        Ok(Self::of(&read_body(body, MAX_FORM).await?))
    }

    pub(crate) fn of(encoded: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(encoded).into_owned();
        Self(
            pairs
                .map(|(name, value)| (name, value.trim().to_owned()))
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// Every field with its value.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// The fields whose names begin with a prefix, without it.
    pub(crate) fn below(&self, prefix: &str) -> Self {
        let named = self.pairs().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)));
        Self(named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The sources that were ticked, each once.
    pub(crate) fn sources(&self) -> Result<Vec<SourceId>, Problem> {
        let id = |text: &str| {
            let invalid =
                |_| Problem::bad_request("invalid_source", format!("{text} is no campaign and no Canvas"));
            text.parse().map_err(invalid)
        };
        let sources: BTreeSet<SourceId> = self.all("source").map(id).collect::<Result<_, _>>()?;
        if sources.is_empty() {
            let detail = "nothing is ticked; go back and tick the campaigns and Canvases that you mean";
            return Err(Problem::bad_request("nothing_ticked", detail));
        }
        Ok(sources.into_iter().collect())
    }

    /// These fields with others in place of those of the same names, as a query.
    pub(crate) fn with(&self, others: &[(&str, Option<&str>)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.0.iter().filter(|(name, _)| others.iter().all(|(other, _)| other != name)) {
            query.append_pair(name, value);
        }
        for (name, value) in others.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
            query.append_pair(name, value);
        }
        query.finish()
    }
}
