//! An allocator that counts the memory of some threads: those of the worker, but not those of the embedded AWS next to it.
//!
//! A header in front of each allocation records whether a counted thread made it, so an allocation that another thread frees
//! is counted right. Allocations of C code (zstd's contexts, `SQLite`) are not counted.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

thread_local! {
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// From now on, counts the allocations of this thread, until any thread frees them.
pub fn count_this_thread() {
    IS_COUNTED.set(true);
}

/// How many bytes the counted threads hold.
pub fn held() -> usize {
    HELD.load(Relaxed)
}

/// Measures the peak from now on.
pub fn reset_peak() {
    PEAK.store(held(), Relaxed);
}

/// The most that was held at once since [`reset_peak`], in bytes.
pub fn peak() -> usize {
    PEAK.load(Relaxed)
}

fn grown(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(held, Relaxed);
}

fn shrunk(bytes: usize) {
    HELD.fetch_sub(bytes, Relaxed);
}

/// The system's allocator, with counts.
pub struct Counting;

/// The size of the owner, which is in the last bytes of the header.
const OWNER_BYTES: usize = size_of::<usize>();

/// The size of the header: large enough for the owner, and aligned as the caller's bytes must be.
const fn header(layout: Layout) -> usize {
    if layout.align() > 16 { layout.align() } else { 16 }
}

/// The layout with its header. `None` if it is too large for any allocator.
fn with_header(layout: Layout, size: usize) -> Option<Layout> {
    let header = header(layout);
    Layout::from_size_align(size.checked_add(header)?, layout.align().max(16)).ok()
}

#[expect(unsafe_code, reason = "the interface of allocators is unsafe")]
mod interface {
    use super::*;

    /// Writes the allocation's owner, and returns the start of the caller's bytes.
    ///
    /// # Safety
    /// `base` is null, or an allocation of `layout` with its header.
    unsafe fn hand_out(base: *mut u8, layout: Layout) -> *mut u8 {
        if base.is_null() {
            return base;
        }
        let is_counted = IS_COUNTED.try_with(Cell::get).unwrap_or(false);
        if is_counted {
            grown(layout.size());
        }
        // SAFETY: the header lies within the allocation, and its end is aligned to 16.
        unsafe {
            let bytes = base.add(header(layout));
            bytes.sub(OWNER_BYTES).cast::<usize>().write(usize::from(is_counted));
            bytes
        }
    }

    /// # Safety
    /// `bytes` was handed out and has not been freed since.
    unsafe fn is_counted(bytes: *mut u8) -> bool {
        // SAFETY: `hand_out` wrote it there.
        unsafe { bytes.sub(OWNER_BYTES).cast::<usize>().read() != 0 }
    }

    // SAFETY: all memory comes from the system's allocator, by a layout that is larger by the header.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let Some(whole) = with_header(layout, layout.size()) else { return std::ptr::null_mut() };
            // SAFETY: the layout's size is not zero: it is at least the header's.
            unsafe { hand_out(System.alloc(whole), layout) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            let Some(whole) = with_header(layout, layout.size()) else { return std::ptr::null_mut() };
            // SAFETY: as in `alloc`.
            unsafe { hand_out(System.alloc_zeroed(whole), layout) }
        }

        unsafe fn dealloc(&self, bytes: *mut u8, layout: Layout) {
            let Some(whole) = with_header(layout, layout.size()) else { return };
            // SAFETY: `bytes` was handed out with this layout.
            unsafe {
                if is_counted(bytes) {
                    shrunk(layout.size());
                }
                System.dealloc(bytes.sub(header(layout)), whole);
            }
        }

        unsafe fn realloc(&self, bytes: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            let whole = with_header(layout, layout.size()).zip(with_header(layout, size));
            let Some((whole, wanted)) = whole else { return std::ptr::null_mut() };
            let header = header(layout);
            // SAFETY: `bytes` was handed out with this layout; the header with the owner moves along.
            unsafe {
                let is_counted = is_counted(bytes);
                let base = System.realloc(bytes.sub(header), whole, wanted.size());
                if base.is_null() {
                    return base;
                }
                if is_counted {
                    // Counted as if it were copied, with old and new held at once: the worst case.
                    grown(size);
                    shrunk(layout.size());
                }
                base.add(header)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This is one test because the counters are shared by the process.
    #[test]
    fn what_a_counted_thread_allocates_is_counted_until_anybody_frees_it() {
        let (before, made) = std::thread::spawn(|| {
            count_this_thread();
            let before = held();
            reset_peak();
            let mut bytes = vec![1u8; 1 << 20];
            assert_eq!(held() - before, 1 << 20);
            bytes.extend_from_slice(&[2; 1 << 20]);
            bytes.shrink_to_fit();
            assert_eq!(held() - before, 2 << 20);
            assert!(peak() - before >= 2 << 20);
            assert!(bytes.iter().take(1 << 20).all(|b| *b == 1));
            (before, bytes)
        })
        .join()
        .unwrap();
        let uncounted = vec![0u8; 4 << 20];
        assert!(held() - before < 3 << 20, "another thread's allocations are not counted");
        drop((made, uncounted));
        assert!(held() - before < 1 << 20);
    }
}
