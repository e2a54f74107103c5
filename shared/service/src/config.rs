//! Configuration, read once at cold start. It is read through a look-up, so that tests touch no process environment.
//! A required variable has no default: without it the function does not start.

use crate::{
    checks::check_addresses,
    settings::{Settings, UnknownSources},
};
use rekindle_domain::time::Period;
use rekindle_store::Names;
use std::fmt;

/// Every fault of the configuration, one sentence each.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not complete: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// The configuration of every function.
#[derive(Clone, Debug)]
pub struct Config {
    /// The names of the AWS resources.
    pub names: Names,
    /// The deployment's settings.
    pub settings: Settings,
    /// The CloudWatch namespace of the metrics.
    pub metrics_namespace: String,
}

impl Config {
    /// Reads `CATALOG_TABLE`, `LEDGER_TABLE`, `ARCHIVE_BUCKET`, `RESTORES_QUEUE_URL`, `NOTICES_QUEUE_URL`,
    /// `MAIL_SENDER` and `METRICS_NAMESPACE`, which are required. Optional are `RETENTION` (default `P3M`), `WARN_BEFORE`
    /// (default `P7D`), `NOTICE_PERIOD` (default `P1D`; `PT0S` for none), `NOTIFY` (addresses between commas),
    /// `UNKNOWN_SOURCES` (`register`, the default, or `reject`) and `AUTO_STOP_AFTER` (a period; if it is empty or left out,
    /// idle sources are not stopped).
    ///
    /// # Errors
    /// Names every variable that is missing or malformed.
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
        let metrics_namespace = required("METRICS_NAMESPACE");
        let mut period = |name: &str, default: &str| {
            let text = lookup(name).unwrap_or_else(|| default.to_owned());
            let is_none = name == "NOTICE_PERIOD" && text == "PT0S";
            let period = if is_none { Ok(Period::zero()) } else { Period::parse(&text) };
            period.map_err(|why| wrong.push(format!("{name}: {why}"))).ok()
        };
        let (retention, warn_before) = (period("RETENTION", "P3M"), period("WARN_BEFORE", "P7D"));
        let notice_period = period("NOTICE_PERIOD", "P1D");
        let notify = addresses(&lookup("NOTIFY").unwrap_or_default()).unwrap_or_else(|why| {
            wrong.push(format!("NOTIFY: {why}"));
            Vec::new()
        });
        let unknown_sources = match lookup("UNKNOWN_SOURCES").as_deref() {
            None | Some("register") => UnknownSources::Register,
            Some("reject") => UnknownSources::Reject,
            Some(other) => {
                wrong.push(format!("UNKNOWN_SOURCES: `{other}` must be register or reject"));
                UnknownSources::Register
            }
        };
        let auto_stop_after = lookup("AUTO_STOP_AFTER").filter(|v| !v.is_empty()).and_then(|text| {
            Period::parse(&text).map_err(|why| wrong.push(format!("AUTO_STOP_AFTER: {why}"))).ok()
        });
        match (retention, warn_before, notice_period) {
            (Some(retention), Some(warn_before), Some(notice_period)) if wrong.is_empty() => Ok(Self {
                names,
                metrics_namespace,
                settings: Settings {
                    warn_before,
                    notice_period,
                    notify,
                    unknown_sources,
                    auto_stop_after,
                    ..Settings::with_retention(retention)
                },
            }),
            _ => Err(ConfigError(wrong)),
        }
    }
}

/// The most addresses that a deployment names. Together with a source's addresses they fit into one transaction.
const MAX_STACK_NOTIFY: usize = 40;

/// Reads mail addresses between commas.
///
/// # Errors
/// A sentence for people. It names the first part that is no address.
pub fn addresses(text: &str) -> Result<Vec<String>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let addresses: Vec<String> = parts.map(str::to_owned).collect();
    if addresses.len() > MAX_STACK_NOTIFY {
        return Err(format!("at most {MAX_STACK_NOTIFY} addresses"));
    }
    check_addresses(&addresses).map_err(|problem| problem.detail)?;
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_stopped_only_where_a_period_says_so() {
        let read = |period: Option<&str>| {
            let lookup = |name: &str| match name {
                "AUTO_STOP_AFTER" => period.map(str::to_owned),
                "RETENTION" | "UNKNOWN_SOURCES" | "WARN_BEFORE" | "NOTICE_PERIOD" | "NOTIFY" => None,
                required => Some(required.to_lowercase()),
            };
            Config::from_lookup(lookup).map(|c| c.settings.auto_stop_after.map(|p| p.to_string()))
        };
        assert_eq!(read(None), Ok(None));
        assert_eq!(read(Some("")), Ok(None));
        assert_eq!(read(Some("P90D")), Ok(Some("P90D".to_owned())));
        let error = read(Some("soon")).unwrap_err().to_string();
        assert!(error.contains("AUTO_STOP_AFTER: `soon`"), "{error}");
    }

    #[test]
    fn every_missing_variable_is_named() {
        let error = Config::from_lookup(|name| (name == "RETENTION").then(|| "soon".to_owned())).unwrap_err();
        assert_eq!(error.0.len(), 8);
        assert!(
            error.to_string().contains("LEDGER_TABLE is not set") && error.to_string().contains("`soon`")
        );
    }

    #[test]
    fn who_is_warned_and_when_is_read() {
        let config = |notify: &str, warn_before: &str| {
            Config::from_lookup(|name| match name {
                "NOTIFY" => Some(notify.to_owned()),
                "WARN_BEFORE" => Some(warn_before.to_owned()),
                "RETENTION" | "UNKNOWN_SOURCES" | "AUTO_STOP_AFTER" | "NOTICE_PERIOD" => None,
                _ => Some("x".to_owned()),
            })
        };
        let settings = config(" a@example.com,, b@example.com ", "PT12H").unwrap().settings;
        assert_eq!(settings.notify, ["a@example.com", "b@example.com"]);
        assert_eq!(settings.warn_before.to_string(), "PT12H");
        assert_eq!(config("", "P7D").unwrap().settings.notify, Vec::<String>::new());
        assert_eq!(config("not an address", "P1").unwrap_err().0.len(), 2);
    }
}
