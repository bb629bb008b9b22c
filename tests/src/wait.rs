//! Waiting for what happens by itself, never for time to pass.

use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

/// How long anything may take that is expected at once. Far more than it takes: the machine may be busy.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `look` has a result, and returns it.
///
/// # Panics
/// If that takes longer than [`LIMIT`]; says `what` was awaited and what was seen last.
pub async fn eventually<T, E: Display>(what: impl Display, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + LIMIT;
    let mut seen = String::from("no answer");
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        match tokio::time::timeout(left, look()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(why)) => seen = why.to_string(),
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("not within {} s: {what}; seen last: {seen}", LIMIT.as_secs());
}

/// Waits for something that ends by itself.
///
/// # Panics
/// If that takes longer than [`LIMIT`].
pub async fn within<T>(what: impl Display, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(value) => value,
        Err(_) => panic!("not within {} s: {what}", LIMIT.as_secs()),
    }
}

/// For conditions in [`eventually`]: `Ok` if `seen` is as `wanted`, else what was seen.
pub fn same<T: PartialEq + Debug>(seen: T, wanted: T) -> Result<(), String> {
    if seen == wanted { Ok(()) } else { Err(format!("{seen:?}, not yet {wanted:?}")) }
}
