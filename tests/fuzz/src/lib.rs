//! What all targets share. Each says `use forethought_fuzz as _`.

use std::alloc::{GlobalAlloc, Layout, System};

/// The most that one allocation may take, in bytes. libFuzzer's `-malloc_limit_mb` needs a sanitizer.
const LIMIT: usize = 256 << 20;

struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fn check(size: usize) {
    if size > LIMIT {
        // Without unwinding, which may allocate; libFuzzer keeps the input when the process aborts.
        std::process::abort();
    }
}

// SAFETY: all calls go to the system's allocator.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}
