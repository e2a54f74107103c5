//! Who may call, and who did: keys, the audit trail, and whether a deployment answers.

mod audit;
mod health;
mod keys;

pub use audit::AuditRequest;
pub use health::Health;
pub use keys::{KeyInput, KeyView, Refusal, RotateInput};
