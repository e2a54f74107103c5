//! Access: keys, the audit trail of their changes, and the health of a deployment.

mod audit;
mod health;
mod keys;

pub use audit::AuditRequest;
pub use health::Health;
pub use keys::{KeyInput, KeyView, Refusal, RotateInput};
