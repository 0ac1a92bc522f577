//! Panics: caught on the side where they happen, and turned into errors that name message and place.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};

use forethought_api::{Error, error::Code};

thread_local! {
    /// What the hook saw last on this thread; unlike the payload, it includes the place.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Passes every panic of this image, with its place, to `report` instead of printing it. For plugin images, whose
/// standard error belongs to the program.
pub fn hook(report: fn(&str)) {
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
        let text = format!("panicked{place}: {}", words(info.payload()));
        report(&text);
        LAST.with_borrow_mut(|last| *last = Some(text));
    }));
}

/// Calls `work`; a panic becomes an error of [`Code::Panic`].
///
/// # Errors
/// If `work` panics.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    LAST.with_borrow_mut(|last| *last = None);
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let seen = LAST.with_borrow_mut(Option::take);
        let text = seen.unwrap_or_else(|| format!("panicked: {}", words(&*payload)));
        forget(payload);
        Error::new(Code::Panic, text)
    })
}

/// Drops a panic's payload, which may panic in turn; that second payload is leaked.
fn forget(payload: Box<dyn Any + Send>) {
    if let Err(again) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

fn words(payload: &(dyn Any + Send)) -> &str {
    match payload.downcast_ref::<String>() {
        Some(text) => text,
        None => payload.downcast_ref::<&str>().copied().unwrap_or("a panic without a message"),
    }
}
