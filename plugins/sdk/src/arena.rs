//! The allocator of a plugin. A call's memory is gone with the call, so what is small lies in one
//! arena that is there from the start: growing a memory costs the host two system calls, more than
//! a small call does in all. What doesn't fit goes to the system's allocator, which gives back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};

/// Enough for a prompt and the JSON it is made of.
const ARENA_BYTES: usize = 256 << 10;

#[repr(align(16))]
struct Arena(UnsafeCell<[u8; ARENA_BYTES]>);

/// The arena first, then the system's.
pub(crate) struct Allocator {
    arena: Arena,
    used: Cell<usize>,
}

// SAFETY: a plugin has one thread: it is compiled for wasm without threads.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// Nothing is used yet.
    pub(crate) const fn new() -> Self {
        Self {
            arena: Arena(UnsafeCell::new([0; ARENA_BYTES])),
            used: Cell::new(0),
        }
    }

    fn base(&self) -> *mut u8 {
        self.arena.0.get().cast()
    }

    /// Where a block is in the arena; none where it isn't.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        let offset = block.addr().checked_sub(self.base().addr())?;
        (offset < ARENA_BYTES).then_some(offset)
    }

    /// The end of a block that would begin at or after `from`.
    fn fit(from: usize, layout: Layout) -> Option<(usize, usize)> {
        let begin = from.checked_next_multiple_of(layout.align())?;
        let end = begin.checked_add(layout.size())?;
        (layout.align() <= 16 && end <= ARENA_BYTES).then_some((begin, end))
    }
}

impl Default for Allocator {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: a block of the arena lies behind `used` as it was, is aligned since the arena is to 16
// and offsets to the layout's, and is never given twice: `used` goes back only over the block that
// is freed or grown, which is the last one. All others are the system's own.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Self::fit(self.used.get(), layout) {
            Some((begin, end)) => {
                self.used.set(end);
                // SAFETY: within the arena.
                unsafe { self.base().add(begin) }
            }
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.offset(block) {
            Some(offset) if offset + layout.size() == self.used.get() => self.used.set(offset),
            Some(_) => {}
            // SAFETY: it isn't the arena's, so it is the system's.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(offset) = self.offset(block) else {
            // SAFETY: it isn't the arena's, so it is the system's.
            return unsafe { System.realloc(block, layout, size) };
        };
        let is_last = offset + layout.size() == self.used.get();
        if size <= layout.size() || (is_last && offset + size <= ARENA_BYTES) {
            if is_last {
                self.used.set(offset + size);
            }
            return block;
        }
        // SAFETY: the caller's promise: `size` fits the layout's alignment.
        let new = unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            self.alloc(wanted)
        };
        if !new.is_null() {
            // SAFETY: both are of at least the old size, and the new one is another block.
            unsafe { block.copy_to_nonoverlapping(new, layout.size()) };
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn small_blocks_are_the_arenas_and_keep_what_is_in_them() {
        let memory = Box::new(Allocator::new());
        // SAFETY: each block is used within its layout, and freed with it.
        unsafe {
            let first = memory.alloc(layout(3, 1));
            first.write_bytes(7, 3);
            let second = memory.alloc(layout(8, 8));
            assert_eq!(
                (memory.offset(first), memory.offset(second)),
                (Some(0), Some(8))
            );
            // The last one grows where it is, another one moves.
            assert_eq!(memory.realloc(second, layout(8, 8), 100), second);
            let moved = memory.realloc(first, layout(3, 1), 50);
            assert_eq!(std::slice::from_raw_parts(moved, 3), [7; 3]);
            assert_eq!(memory.offset(moved), Some(108));
            memory.dealloc(moved, layout(50, 1));
            assert_eq!(memory.offset(memory.alloc(layout(1, 1))), Some(108));
        }
    }

    #[test]
    fn what_does_not_fit_is_the_systems() {
        let memory = Box::new(Allocator::new());
        // SAFETY: as above.
        unsafe {
            let all = memory.alloc(layout(ARENA_BYTES, 16));
            assert_eq!(memory.offset(all), Some(0));
            let more = memory.alloc(layout(16, 16));
            assert_eq!(memory.offset(more), None);
            more.write_bytes(1, 16);
            let moved = memory.realloc(all, layout(ARENA_BYTES, 16), ARENA_BYTES + 1);
            assert_eq!(memory.offset(moved), None);
            memory.dealloc(moved, layout(ARENA_BYTES + 1, 16));
            memory.dealloc(more, layout(16, 16));
            let aligned = memory.alloc(layout(8, 64));
            assert_eq!(memory.offset(aligned), None);
            memory.dealloc(aligned, layout(8, 64));
        }
    }
}
