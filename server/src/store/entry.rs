//! A key with its value and expiry: one allocation and one word that owns it.
//!
//! The word, from the top: 16 bits of the key's hash (the *tag*), 47 bits of address, 1 bit that says whether
//! the key has an expiry. User addresses have at most 48 bits and allocations are aligned to 8, so nothing is
//! lost, and the tag and the expiry mark are read without touching the allocation.
//!
//! The allocation, without padding:
//!
//! ```text
//! small: key length u8 < 128 | value length u8                       keys below 128 B, values below 256 B
//! large: 0x80 u8 | key length u32 LE | value length u32 LE           all others
//! then:  [expiry, Unix ms, u64 LE, where the word says so] key value
//! ```
//!
//! It takes `class_bytes(length)` bytes, so a value is overwritten in place as long as the size class stays.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::num::NonZero;
use std::ptr::{self, NonNull};

use super::prefetch::prefetch;
use super::size_class::class_bytes;

const _: () = assert!(usize::BITS == 64, "tags need 64-bit words");

const TAG_SHIFT: u32 = 48;
const VOLATILE_BIT: usize = 1;
const ADDRESS_MASK: usize = ((1 << TAG_SHIFT) - 1) & !(ALIGN - 1);
const ALIGN: usize = 8;

const LARGE: u8 = 0x80;
const SMALL_HEADER_BYTES: usize = 2;
const LARGE_HEADER_BYTES: usize = 9;
const EXPIRY_BYTES: usize = 8;

/// What is where in an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    key_len: usize,
    value_len: usize,
    volatile: bool,
}

impl Shape {
    fn new(key_len: usize, value_len: usize, volatile: bool) -> Self {
        assert!(key_len <= u32::MAX as usize && value_len <= u32::MAX as usize, "a length fits 32 bits");
        Self { key_len, value_len, volatile }
    }

    fn is_small(self) -> bool {
        self.key_len < LARGE as usize && self.value_len <= u8::MAX as usize
    }

    fn expiry_at(self) -> usize {
        if self.is_small() { SMALL_HEADER_BYTES } else { LARGE_HEADER_BYTES }
    }

    fn key_at(self) -> usize {
        self.expiry_at() + if self.volatile { EXPIRY_BYTES } else { 0 }
    }

    fn value_at(self) -> usize {
        self.key_at() + self.key_len
    }

    fn class(self) -> usize {
        class_bytes(self.value_at() + self.value_len)
    }

    fn layout(self) -> Layout {
        Layout::from_size_align(self.class(), ALIGN).expect("two lengths of 32 bits make a size")
    }
}

/// Owns an entry's allocation.
pub(super) struct Entry(NonNull<u8>);

// SAFETY: an `Entry` is the only owner of its allocation, which holds plain bytes and no thread's state.
unsafe impl Send for Entry {}

impl Entry {
    /// An entry of these; `tag` is what it is sorted by.
    pub(super) fn new(tag: u16, key: &[u8], value: &[u8], expire_at_ms: Option<u64>) -> Self {
        let shape = Shape::new(key.len(), value.len(), expire_at_ms.is_some());
        let base = allocate(shape);
        // SAFETY: `base` has the room that `shape` asks for, and nobody else knows it yet.
        unsafe {
            write_header(base, shape);
            write_expiry(base, shape, expire_at_ms);
            ptr::copy_nonoverlapping(key.as_ptr(), base.as_ptr().add(shape.key_at()), key.len());
            ptr::copy_nonoverlapping(value.as_ptr(), base.as_ptr().add(shape.value_at()), value.len());
        }
        Self(pack(base, tag, shape.volatile))
    }

    /// The 16 bits of the hash that the entry is sorted by.
    #[inline]
    pub(super) fn tag(&self) -> u16 {
        (self.0.addr().get() >> TAG_SHIFT) as u16
    }

    /// Has the entry sorted elsewhere.
    pub(super) fn set_tag(&mut self, tag: u16) {
        let entry = self.as_ref();
        self.0 = pack(entry.base(), tag, entry.is_volatile());
    }

    /// What the entry holds.
    #[inline]
    pub(super) fn as_ref(&self) -> EntryRef<'_> {
        EntryRef { word: self.0, entry: PhantomData }
    }

    /// Starts loading the first two cache lines of the entry: all of most entries.
    #[inline]
    pub(super) fn prefetch(&self) {
        let base = self.as_ref().base().as_ptr();
        prefetch(base);
        prefetch(base.wrapping_add(64));
    }

    /// Bytes taken from the allocator.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.as_ref().shape().class()
    }

    /// Replaces value and expiry, in place where the size class allows.
    #[inline]
    pub(super) fn set(&mut self, value: &[u8], expire_at_ms: Option<u64>) {
        let shape = self.reshape(value.len(), expire_at_ms.is_some(), 0);
        let base = self.as_ref().base();
        // SAFETY: `reshape` made the room that `shape` asks for; `&mut self` is the only way to it, so `value` is
        // elsewhere.
        unsafe {
            write_expiry(base, shape, expire_at_ms);
            ptr::copy_nonoverlapping(value.as_ptr(), base.as_ptr().add(shape.value_at()), value.len());
        }
    }

    /// Replaces the expiry.
    pub(super) fn set_expire(&mut self, expire_at_ms: Option<u64>) {
        let value_len = self.as_ref().shape().value_len;
        let shape = self.reshape(value_len, expire_at_ms.is_some(), value_len);
        // SAFETY: `reshape` made the room that `shape` asks for, and `&mut self` is the only way to it.
        unsafe { write_expiry(self.as_ref().base(), shape, expire_at_ms) }
    }

    /// Writes `bytes` at `offset` of the value, which grows as needed, with zeros where nothing was.
    pub(super) fn patch(&mut self, offset: usize, bytes: &[u8]) {
        let expire_at_ms = self.as_ref().expire_at_ms();
        let old_len = self.as_ref().shape().value_len;
        let new_len = old_len.max(offset.checked_add(bytes.len()).expect("a length fits 32 bits"));
        let shape = self.reshape(new_len, expire_at_ms.is_some(), old_len);
        let base = self.as_ref().base();
        // SAFETY: `reshape` made the room that `shape` asks for and kept the first `old_len` bytes of the value;
        // the gap from there to `offset` and the bytes from `offset` on lie within `new_len`. `&mut self` is the
        // only way to the allocation, so `bytes` is elsewhere.
        unsafe {
            write_expiry(base, shape, expire_at_ms);
            let value = base.as_ptr().add(shape.value_at());
            if offset > old_len {
                ptr::write_bytes(value.add(old_len), 0, offset - old_len);
            }
            ptr::copy_nonoverlapping(bytes.as_ptr(), value.add(offset), bytes.len());
        }
    }

    /// Makes room for another value length or an expiry, and returns the new shape.
    ///
    /// The header is written, the key and the first `keep` bytes of the value (at most either length) are in
    /// their places; the caller writes the expiry and the rest of the value before anything else.
    fn reshape(&mut self, value_len: usize, volatile: bool, keep: usize) -> Shape {
        let old = self.as_ref().shape();
        let new = Shape::new(old.key_len, value_len, volatile);
        let base = self.as_ref().base();
        let body = old.key_len + keep;
        let place = if old.class() == new.class() {
            if old.key_at() != new.key_at() {
                // SAFETY: both shapes fit the allocation, which is as large as either's class, and `body` bytes
                // from `key_at` lie within either; `copy` allows the places to overlap.
                unsafe { ptr::copy(base.as_ptr().add(old.key_at()), base.as_ptr().add(new.key_at()), body) }
            }
            base
        } else {
            let fresh = allocate(new);
            // SAFETY: `fresh` has the room for `new`, `base` has `old`, and they are apart. `base` came from
            // `allocate` with the layout of `old`, and the word that points to it is replaced below; nothing in
            // between panics.
            unsafe {
                let from = base.as_ptr().add(old.key_at());
                ptr::copy_nonoverlapping(from, fresh.as_ptr().add(new.key_at()), body);
                dealloc(base.as_ptr(), old.layout());
            }
            fresh
        };
        // SAFETY: the allocation has room for `new`, and the key has left the place of the new header.
        unsafe { write_header(place, new) };
        self.0 = pack(place, self.tag(), volatile);
        new
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let entry = self.as_ref();
        // SAFETY: the allocation came from `allocate` or `resize` with the layout of its current shape, and this
        // owner is its last.
        unsafe { dealloc(entry.base().as_ptr(), entry.shape().layout()) }
    }
}

/// A key with its value and expiry.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    word: NonNull<u8>,
    entry: PhantomData<&'a Entry>,
}

impl<'a> EntryRef<'a> {
    /// The key.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        let shape = self.shape();
        // SAFETY: an entry's allocation holds what its header says, and is not changed for as long as it is
        // borrowed for 'a.
        unsafe { std::slice::from_raw_parts(self.base().as_ptr().add(shape.key_at()), shape.key_len) }
    }

    /// The value's bytes.
    #[inline]
    pub fn value(&self) -> &'a [u8] {
        let shape = self.shape();
        // SAFETY: as in `key`.
        unsafe { std::slice::from_raw_parts(self.base().as_ptr().add(shape.value_at()), shape.value_len) }
    }

    /// When the key expires, Unix time in milliseconds. Nothing here acts on it.
    #[inline]
    pub fn expire_at_ms(&self) -> Option<u64> {
        if !self.is_volatile() {
            return None;
        }
        let at = self.shape().expiry_at();
        // SAFETY: a volatile entry has 8 bytes of expiry behind its header; as in `key`.
        Some(u64::from_le_bytes(unsafe { self.base().as_ptr().add(at).cast::<[u8; 8]>().read() }))
    }

    /// Whether the key has an expiry; does not touch the entry's memory.
    #[inline]
    pub fn is_volatile(&self) -> bool {
        self.word.addr().get() & VOLATILE_BIT != 0
    }

    #[inline]
    fn base(&self) -> NonNull<u8> {
        self.word.map_addr(|addr| {
            // An address is never zero, so the fallback is never taken.
            NonZero::new(addr.get() & ADDRESS_MASK).unwrap_or(addr)
        })
    }

    #[inline]
    fn shape(&self) -> Shape {
        let base = self.base().as_ptr();
        // SAFETY: every entry begins with a header; a small one has 2 bytes and a large one 9.
        let (key_len, value_len) = unsafe {
            let first = *base;
            if first & LARGE == 0 {
                (usize::from(first), usize::from(*base.add(1)))
            } else {
                let length = |at: usize| u32::from_le_bytes(base.add(at).cast::<[u8; 4]>().read());
                (length(1) as usize, length(5) as usize)
            }
        };
        Shape { key_len, value_len, volatile: self.is_volatile() }
    }
}

#[inline]
fn pack(base: NonNull<u8>, tag: u16, volatile: bool) -> NonNull<u8> {
    let marks = usize::from(tag) << TAG_SHIFT | if volatile { VOLATILE_BIT } else { 0 };
    base.map_addr(|addr| addr | marks)
}

/// Memory for an entry of that shape, not initialised.
fn allocate(shape: Shape) -> NonNull<u8> {
    let layout = shape.layout();
    // SAFETY: a class is never empty.
    let base = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
    assert_eq!(base.addr().get() & !ADDRESS_MASK, 0, "a user address has 48 bits and is aligned");
    base
}

/// # Safety
/// `base` has the room that `shape` asks for.
#[inline]
unsafe fn write_header(base: NonNull<u8>, shape: Shape) {
    let base = base.as_ptr();
    // SAFETY: the caller's promise: a small header is 2 bytes and a large one 9.
    unsafe {
        if shape.is_small() {
            *base = shape.key_len as u8;
            *base.add(1) = shape.value_len as u8;
        } else {
            *base = LARGE;
            base.add(1).cast::<[u8; 4]>().write((shape.key_len as u32).to_le_bytes());
            base.add(5).cast::<[u8; 4]>().write((shape.value_len as u32).to_le_bytes());
        }
    }
}

/// # Safety
/// `base` has the room that `shape` asks for, and `shape` is volatile exactly where there is an expiry.
#[inline]
unsafe fn write_expiry(base: NonNull<u8>, shape: Shape, expire_at_ms: Option<u64>) {
    if let Some(ms) = expire_at_ms {
        // SAFETY: the caller's promise: a volatile shape has 8 bytes there.
        unsafe { base.as_ptr().add(shape.expiry_at()).cast::<[u8; 8]>().write(ms.to_le_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entry: &Entry, tag: u16, key: &[u8], value: &[u8], expire_at_ms: Option<u64>) {
        let held = entry.as_ref();
        assert_eq!(entry.tag(), tag);
        assert_eq!((held.key(), held.value(), held.expire_at_ms()), (key, value, expire_at_ms));
        let header = if key.len() < 128 && value.len() < 256 { 2 } else { 9 };
        let expiry = if expire_at_ms.is_some() { 8 } else { 0 };
        assert_eq!(entry.heap_bytes(), class_bytes(header + expiry + key.len() + value.len()));
    }

    #[test]
    fn every_change_between_shapes_keeps_key_value_and_tag() {
        let lengths = [0, 1, 5, 6, 7, 13, 14, 22, 100, 127, 128, 245, 255, 256, 257, 300, 5000];
        let bytes = |len: usize, salt: usize| (0..len).map(|i| (i * 7 + salt) as u8).collect::<Vec<_>>();
        for key_len in [0, 1, 14, 126, 127, 128, 300] {
            let key = bytes(key_len, 3);
            for from in lengths {
                for to in lengths {
                    for (was, is) in
                        [(None, None), (None, Some(9)), (Some(8), None), (Some(u64::MAX), Some(1))]
                    {
                        let (old, new) = (bytes(from, 1), bytes(to, 2));
                        let mut entry = Entry::new(0xffff, &key, &old, was);
                        check(&entry, 0xffff, &key, &old, was);
                        entry.set_tag(0x8001);
                        entry.set_expire(is);
                        check(&entry, 0x8001, &key, &old, is);
                        entry.set(&new, was);
                        check(&entry, 0x8001, &key, &new, was);
                        entry.patch(from, &old);
                        let mut patched = new.clone();
                        patched.resize(to.max(2 * from), 0);
                        patched[from..2 * from].copy_from_slice(&old);
                        check(&entry, 0x8001, &key, &patched, was);
                    }
                }
            }
        }
    }

    #[test]
    fn a_value_of_the_same_size_class_stays_in_place() {
        let mut entry = Entry::new(1, b"fourteen bytes", b"12345678", None);
        let place = entry.as_ref().base();
        entry.set(b"1234567890123456", None);
        entry.set_expire(Some(5));
        entry.set(b"12", Some(5));
        assert_eq!(entry.as_ref().base(), place);
        entry.set(&[0; 100], None);
        assert_ne!(entry.as_ref().base(), place);
    }
}
