//! The parts that all edits share: the fields as a person gives them, the conditions, and the fields that nobody sets.

use crate::problem::{Problem, ProblemKind};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

/// The fields of a thing as a person gives them.
pub enum Said<Input, View> {
    /// All fields. One that is left out takes its default.
    All(Input),
    /// Some fields. The function merges them into the thing as the API shows it.
    Change(Change<Input, View>),
}

/// Makes all fields of a thing from the thing as the API shows it.
pub type Change<Input, View> = Box<dyn Fn(&View) -> Result<Input, Problem> + Send + Sync>;

impl<Input: Clone, View> Said<Input, View> {
    /// All fields. `shown` is the thing as it is now.
    ///
    /// # Errors
    /// `unknown`, if a thing is to change that does not exist; 400 where the change does not fit.
    pub(super) fn whole(
        &self,
        shown: Option<View>,
        unknown: impl FnOnce() -> Problem,
    ) -> Result<Input, Problem> {
        match self {
            Self::All(input) => Ok(input.clone()),
            Self::Change(change) => change(&shown.ok_or_else(unknown)?),
        }
    }
}

/// How an edit is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Edit {
    /// Only if the thing has this version.
    pub if_match: Option<u64>,
    /// Only if the thing does not exist yet.
    pub is_new: bool,
    /// Answer as if it were done, and write nothing.
    pub is_dry_run: bool,
}

impl Edit {
    /// 412 unless the thing has the version that the caller read, or does not exist where it is to be made. `found` is `None`
    /// for a thing that does not exist.
    pub(super) fn check(&self, thing: &str, found: Option<u64>) -> Result<(), Problem> {
        if self.is_new && found.is_some() {
            let detail = format!("{thing} exists already; choose another id, or edit it");
            return Err(Problem::new(ProblemKind::PreconditionFailed, "precondition_failed", detail));
        }
        if self.if_match.is_none() || self.if_match == found {
            return Ok(());
        }
        let detail = format!("{thing} does not have the version in If-Match; GET it, and decide again");
        Err(Problem::new(ProblemKind::PreconditionFailed, "precondition_failed", detail))
    }
}

/// A field that the API shows and that no caller sets. Any value is taken and ignored, so that an answer can be sent back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline, with = "serde_json::Value"))]
pub struct Shown;

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(d).map(|_| Self)
    }
}
