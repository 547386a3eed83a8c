//! Panics: the host learns where, never what.

use std::sync::Once;

/// Makes a panic write its place to standard error, and only that: the message may quote what a user wrote.
pub fn install_hook_once() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            use std::io::Write;
            let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
            // Nothing can be done about a standard error that cannot be written.
            let _ = writeln!(std::io::stderr(), "panicked at {}", place.as_deref().unwrap_or("an unknown place"));
        }));
    });
}
