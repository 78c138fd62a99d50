//! A node that fails an assertion of its own is a finding with its place, never a crash of the command.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// A node's handler runs on this thread.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    /// What the failed assertion said, and where it stands.
    static FAILED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a handler of a node. An assertion that fails inside is an error with its message and place, and says nothing
/// on the standard error; one that fails anywhere else goes to the hook that was there before.
pub(super) fn guarded<R>(handler: impl FnOnce() -> R) -> Result<R, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if GUARDED.get() {
                FAILED.set(Some(sentence(info)));
            } else {
                before(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(handler));
    GUARDED.set(outer);
    result.map_err(|_| FAILED.take().unwrap_or_else(|| "an assertion failed".to_string()))
}

fn sentence(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = text.unwrap_or("an assertion failed");
    match info.location() {
        Some(place) => format!("{message} (at {}:{})", place_in_source(place.file()), place.line()),
        None => message.to_string(),
    }
}

/// A path of the source as the repository or the crate has it: the same wherever it was built.
fn place_in_source(file: &str) -> String {
    let file = file.replace('\\', "/");
    if !file.starts_with('/') && !file.contains(':') {
        return file;
    }
    let Some(src) = file.rfind("/src/") else { return file.rsplit('/').next().unwrap_or_default().to_string() };
    let crate_start = file[..src].rfind('/').map_or(0, |slash| slash + 1);
    file[crate_start..].to_string()
}

#[cfg(test)]
mod tests {
    use super::{guarded, place_in_source};

    #[test]
    fn an_assertion_comes_back_with_its_place() {
        let numbers = [1, 2];
        let failed = guarded(|| assert_eq!(numbers[0], numbers[1], "of {}", numbers.len())).expect_err("it fails");
        assert!(failed.starts_with("assertion `left == right` failed: of 2"), "{failed}");
        assert!(failed.contains("src/world/assertion.rs:"), "{failed}");
        assert_eq!(guarded(|| 7), Ok(7));
    }

    #[test]
    fn a_place_names_no_machine() {
        assert_eq!(place_in_source("src/broker/fetch.rs"), "src/broker/fetch.rs");
        assert_eq!(
            place_in_source("/home/a/.cargo/registry/src/x-1/bytes-1.10.0/src/buf.rs"),
            "bytes-1.10.0/src/buf.rs"
        );
        assert_eq!(place_in_source("C:\\a\\bytes-1.10.0\\src\\buf.rs"), "bytes-1.10.0/src/buf.rs");
    }
}
