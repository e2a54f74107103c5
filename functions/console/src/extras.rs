//! What the program around the console adds to it: in Lambda nothing, in the local runner a few pages of its own.

use crate::pages::Viewer;
use axum::extract::Request;
use maud::{Markup, html};
use rekindle_domain::key::Scope;
use rekindle_runtime::scopes::Route;

/// A page that the navigation leads to: its address, its name, and the scope that a reader must have to see it.
pub type Section = (&'static str, &'static str, Scope);

/// What the program around the console adds to it.
#[derive(Clone, Copy, Debug)]
pub struct Extras {
    /// The routes of its own pages, below `/console`, with the scopes that they take.
    pub routes: &'static [Route],
    /// Those of its pages that stand in the navigation, behind the console's own.
    pub sections: &'static [Section],
    /// The page that fills an empty system with sample data. It takes a form that is empty, from a reader with the scope `admin`.
    pub sample: Option<&'static str>,
}

impl Extras {
    /// Nothing.
    pub const NONE: Self = Self { routes: &[], sections: &[], sample: None };
}

/// Those of the program around the console that a request came to.
pub(crate) fn of(request: &Request) -> &'static Extras {
    request.extensions().get::<&'static Extras>().copied().unwrap_or(&Extras::NONE)
}

/// A button that fills an empty system, for a list that has nothing; nothing where there is no such page, or the reader may
/// not.
pub(crate) fn offer_sample(viewer: &Viewer) -> Markup {
    let address = viewer.extras.sample.filter(|_| viewer.may(Scope::Admin));
    html! {
        @if let Some(address) = address {
            form .offer method="post" action=(address) {
                button .primary { "Load sample data" }
                p .hint { "Some forty campaigns and Canvases with the interactions of eight months, to look around in. It takes some seconds." }
            }
        }
    }
}
