//! Ctrl-C and SIGTERM: the first ends the command cleanly with what is known so far, the second at once.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Begins to listen.
pub fn listen() {
    let listening = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    if let Err(error) = listening {
        // Without it Ctrl-C still ends the command, only not cleanly.
        eprintln!("warning: cannot listen for Ctrl-C: {error}");
    }
}

/// Was the command interrupted?
pub fn happened() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
