//! Atoms: the questions that a program asks of the rows of one user in one ledger.

use super::{Bounce, By, Deed, Narrow};
use crate::facet::{Channel, Facet, Kind};

/// The question that a leaf asks of the rows of one user in one ledger: the latest `last_at` among the facets that match.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Atom {
    pub(super) ledger: usize,
    pub(super) kind: Kind,
    pub(super) variant: Option<String>,
    pub(super) step: Option<String>,
    /// The channel, or that none is known; `None` matches any.
    pub(super) channel: Option<Option<Channel>>,
    pub(super) machine: Option<bool>,
    pub(super) alias: Option<String>,
    pub(super) conversion: Option<u8>,
}

impl Atom {
    /// Of a kind, and nothing else.
    pub(super) fn of(ledger: usize, kind: Kind) -> Self {
        Self {
            ledger,
            kind,
            variant: None,
            step: None,
            channel: None,
            machine: None,
            alias: None,
            conversion: None,
        }
    }

    pub(super) fn narrowed(ledger: usize, kind: Kind, narrow: &Narrow) -> Self {
        Self {
            variant: narrow.variant.clone(),
            step: narrow.step.clone(),
            ..Self::of(ledger, kind).on(narrow.channel)
        }
    }

    /// On that channel; on any where none is given.
    pub(super) fn on(self, channel: Option<Channel>) -> Self {
        Self { channel: channel.map(Some), ..self }
    }

    pub(super) fn by(self, by: By) -> Self {
        let machine = match by {
            By::Any => None,
            By::Machine => Some(true),
            By::Human => Some(false),
        };
        Self { machine, ..self }
    }

    /// The atoms of a deed: a user who has any of them did it.
    pub(super) fn of_deed(ledger: usize, deed: &Deed, narrow: &Narrow) -> Vec<Self> {
        let of = |kind| Self::narrowed(ledger, kind, narrow);
        match deed {
            Deed::Delivered => vec![of(Kind::Delivered)],
            Deed::Opened { opens } => vec![of(Kind::Opened).by(*opens)],
            Deed::Clicked { alias, clicks } => {
                vec![Self { alias: alias.clone(), ..of(Kind::Clicked).by(*clicks) }]
            }
            Deed::Dismissed => vec![of(Kind::Dismissed)],
            Deed::Replied => vec![of(Kind::Replied)],
            Deed::Bounced { bounce: Bounce::Hard } => vec![of(Kind::HardBounced)],
            Deed::Bounced { bounce: Bounce::Soft } => vec![of(Kind::SoftBounced)],
            Deed::Bounced { bounce: Bounce::Any } => vec![of(Kind::HardBounced), of(Kind::SoftBounced)],
        }
    }

    pub(super) fn matches(&self, facet: &Facet) -> bool {
        let same =
            |want: &Option<String>, is: &Option<Box<str>>| want.is_none() || want.as_deref() == is.as_deref();
        facet.kind == self.kind
            && self.channel.is_none_or(|c| c == facet.channel)
            && self.machine.is_none_or(|m| m == facet.machine)
            && same(&self.variant, &facet.variant)
            && same(&self.step, &facet.step)
            && same(&self.alias, &facet.alias)
            && self.conversion.is_none_or(|c| c == facet.conversion)
    }
}
