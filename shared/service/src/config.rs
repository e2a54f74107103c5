//! Configuration: read once at cold start, through a look-up, so that tests touch no process environment. Required
//! means required: a missing variable is never replaced by something else.

use crate::{Settings, UnknownSources};
use rekindle_domain::time::Period;
use rekindle_store::Names;
use std::fmt;

/// What is wrong with the configuration, all of it.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not complete: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// What every function is configured with.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the resources are called.
    pub names: Names,
    /// How it behaves.
    pub settings: Settings,
}

impl Config {
    /// Reads `CATALOG_TABLE`, `LEDGER_TABLE`, `ARCHIVE_BUCKET`, `RESTORES_QUEUE_URL`, `NOTICES_QUEUE_URL`,
    /// `MAIL_SENDER`, and if given `RETENTION` (`P3M`) and `UNKNOWN_SOURCES` (`register` or `reject`).
    ///
    /// # Errors
    /// Every variable that is missing or out of shape, by name.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut wrong = Vec::new();
        let mut required = |name: &str| {
            lookup(name).filter(|v| !v.is_empty()).unwrap_or_else(|| {
                wrong.push(format!("{name} is not set"));
                String::new()
            })
        };
        let names = Names {
            catalog: required("CATALOG_TABLE"),
            ledger: required("LEDGER_TABLE"),
            archive: required("ARCHIVE_BUCKET"),
            restores: required("RESTORES_QUEUE_URL"),
            notices: required("NOTICES_QUEUE_URL"),
            sender: required("MAIL_SENDER"),
        };
        let retention = match Period::parse(&lookup("RETENTION").unwrap_or_else(|| "P3M".to_owned())) {
            Ok(period) => Some(period),
            Err(why) => {
                wrong.push(format!("RETENTION: {why}"));
                None
            }
        };
        let unknown_sources = match lookup("UNKNOWN_SOURCES").as_deref() {
            None | Some("register") => UnknownSources::Register,
            Some("reject") => UnknownSources::Reject,
            Some(other) => {
                wrong.push(format!("UNKNOWN_SOURCES: `{other}` must be register or reject"));
                UnknownSources::Register
            }
        };
        match retention {
            Some(retention) if wrong.is_empty() => Ok(Self {
                names,
                settings: Settings { unknown_sources, ..Settings::with_retention(retention) },
            }),
            _ => Err(ConfigError(wrong)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_variable_is_named() {
        let error = Config::from_lookup(|name| (name == "RETENTION").then(|| "soon".to_owned())).unwrap_err();
        assert_eq!(error.0.len(), 7);
        assert!(
            error.to_string().contains("LEDGER_TABLE is not set") && error.to_string().contains("`soon`")
        );
    }
}
