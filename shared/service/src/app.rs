//! One deployment: the stores and ports that every use case works with.

use crate::{
    caches::{KnownPeople, KnownSources, Marked, OpenedKeys},
    settings::Settings,
};
use rekindle_domain::{
    Ulid,
    time::{Clock, Ids, Time},
};
use rekindle_store::Store;
use std::sync::Arc;

/// One deployment of Rekindle. Cheap to clone.
#[derive(Clone)]
pub struct Rekindle {
    /// The catalog, the ledgers, the archive, the queues and the mail.
    pub store: Store,
    /// The clock that every use case reads.
    pub clock: Arc<dyn Clock>,
    /// The maker of new ids and secrets.
    pub ids: Arc<dyn Ids>,
    /// The deployment's settings.
    pub settings: Settings,
    pub(crate) known: Arc<KnownSources>,
    pub(crate) marked: Arc<Marked>,
    pub(crate) keys: Arc<OpenedKeys>,
    pub(crate) people: Arc<KnownPeople>,
}

impl Rekindle {
    /// A deployment over those stores and ports.
    pub fn new(store: Store, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>, settings: Settings) -> Self {
        Self {
            store,
            clock,
            ids,
            settings,
            known: Arc::default(),
            marked: Arc::default(),
            keys: Arc::default(),
            people: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) fn new_id(&self) -> Ulid {
        self.ids.new_id(self.now())
    }
}
