//! A newcomer's first minute.

use std::error::Error;

/// Tells the story.
///
/// # Errors
/// What went wrong.
pub async fn run(_users: u32) -> Result<(), Box<dyn Error>> {
    Ok(())
}
