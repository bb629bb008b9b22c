//! A key with its value and expiry: one allocation and one word that owns it.
//!
//! The word, from the top: 16 bits of the key's hash (the *tag*), 45 bits of address, 2 bits that say what the value
//! is (its *form*), 1 bit that says whether the key has an expiry. User addresses have at most 48 bits and
//! allocations are aligned to 8, so nothing is lost, and tag, form and expiry mark are read without touching the
//! allocation.
//!
//! The allocation, without padding:
//!
//! ```text
//! small: key length u8 < 128 | value length u8                       keys below 128 B, values below 256 B
//! large: 0x80 u8 | key length u32 LE | value length u32 LE           all others
//! then:  [expiry, Unix ms, u64 LE, where the word says so] key value
//! ```
//!
//! The value is a string's bytes, a small collection's (see `collection`), or the address of a big one, which the entry
//! owns.
//!
//! An allocation takes `class_bytes(length)` bytes, so a value is overwritten in place as long as the size class stays.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::num::NonZero;
use std::ops::Range;
use std::ptr::{self, NonNull};

use super::collection::{Big, Value};
use super::prefetch::prefetch;
use super::size_class::class_bytes;

const _: () = assert!(usize::BITS == 64, "tags need 64-bit words");

const TAG_SHIFT: u32 = 48;
const VOLATILE_BIT: usize = 1;
const FORM_SHIFT: u32 = 1;
const FORM_MASK: usize = 0b11 << FORM_SHIFT;
const ADDRESS_MASK: usize = ((1 << TAG_SHIFT) - 1) & !(ALIGN - 1);
const ALIGN: usize = 8;

const LARGE: u8 = 0x80;
const SMALL_HEADER_BYTES: usize = 2;
const LARGE_HEADER_BYTES: usize = 9;
const EXPIRY_BYTES: usize = 8;

/// How the bytes of a value are to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(super) enum Form {
    /// They are a string.
    String = 0,
    /// They are a small collection.
    Packed = 1,
    /// They are the address of a [`Big`] that the entry owns.
    Big = 2,
}

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

/// A value that is written as bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewValue<'a> {
    /// A string.
    String(&'a [u8]),
    /// A small collection, whole: what [`super::check_packed`] takes.
    Packed(&'a [u8]),
}

impl<'a> NewValue<'a> {
    fn parts(self) -> (Form, &'a [u8]) {
        match self {
            Self::String(bytes) => (Form::String, bytes),
            Self::Packed(bytes) => (Form::Packed, bytes),
        }
    }
}

/// Owns an entry's allocation.
pub(super) struct Entry(NonNull<u8>);

// SAFETY: an `Entry` is the only owner of its allocation, which holds plain bytes and no thread's state.
unsafe impl Send for Entry {}

impl Entry {
    /// An entry of a string, or of a small collection; `tag` is what it is sorted by.
    pub(super) fn new(tag: u16, key: &[u8], value: NewValue<'_>, expire_at_ms: Option<u64>) -> Self {
        let (form, value) = value.parts();
        let shape = Shape::new(key.len(), value.len(), expire_at_ms.is_some());
        let base = allocate(shape);
        // SAFETY: `base` has the room that `shape` asks for, and nobody else knows it yet.
        unsafe {
            write_header(base, shape);
            write_expiry(base, shape, expire_at_ms);
            ptr::copy_nonoverlapping(key.as_ptr(), base.as_ptr().add(shape.key_at()), key.len());
            ptr::copy_nonoverlapping(value.as_ptr(), base.as_ptr().add(shape.value_at()), value.len());
        }
        Self(pack(base, tag, shape.volatile, form))
    }

    /// The 16 bits of the hash that the entry is sorted by.
    #[inline]
    pub(super) fn tag(&self) -> u16 {
        (self.0.addr().get() >> TAG_SHIFT) as u16
    }

    /// Has the entry sorted elsewhere.
    pub(super) fn set_tag(&mut self, tag: u16) {
        let entry = self.as_ref();
        self.0 = pack(entry.base(), tag, entry.is_volatile(), entry.form());
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

    /// Bytes taken from the allocator, a big value's included.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.own_bytes() + self.as_ref().big().map_or(0, Big::heap_bytes)
    }

    /// Bytes of the entry's own allocation.
    #[inline]
    pub(super) fn own_bytes(&self) -> usize {
        self.as_ref().shape().class()
    }

    /// Replaces value and expiry, in place where the size class allows.
    #[inline]
    pub(super) fn set(&mut self, value: NewValue<'_>, expire_at_ms: Option<u64>) {
        let old = self.take_big();
        let (form, value) = value.parts();
        let shape = self.reshape(form, value.len(), expire_at_ms.is_some(), 0);
        let base = self.as_ref().base();
        // SAFETY: `reshape` made the room that `shape` asks for; `&mut self` is the only way to it, so `value` is
        // elsewhere.
        unsafe {
            write_expiry(base, shape, expire_at_ms);
            ptr::copy_nonoverlapping(value.as_ptr(), base.as_ptr().add(shape.value_at()), value.len());
        }
        drop(old);
    }

    /// Replaces the value by a big one; the expiry stays.
    pub(super) fn set_big(&mut self, value: Box<Big>) {
        let expire_at_ms = self.as_ref().expire_at_ms();
        let old = self.take_big();
        let shape = self.reshape(Form::Packed, size_of::<NonNull<Big>>(), expire_at_ms.is_some(), 0);
        let base = self.as_ref().base();
        // SAFETY: `reshape` made the room that `shape` asks for, an address at the place of the value included, and
        // `&mut self` is the only way to it.
        unsafe {
            write_expiry(base, shape, expire_at_ms);
            base.as_ptr().add(shape.value_at()).cast::<*mut Big>().write_unaligned(Box::into_raw(value));
        }
        // Only now: the address is there, and this entry owns what it points to.
        self.0 = pack(base, self.tag(), shape.volatile, Form::Big);
        drop(old);
    }

    /// The big value, to be changed.
    pub(super) fn big_mut(&mut self) -> Option<&mut Big> {
        let place = self.as_ref().big_place()?;
        // SAFETY: an entry of this form has the address of a `Big` that it owns there (`set_big`); `&mut self` is
        // the only way to it.
        Some(unsafe { &mut *place.read_unaligned() })
    }

    /// Takes a big value out; what the entry holds then is to be replaced by the caller.
    fn take_big(&mut self) -> Option<Box<Big>> {
        let entry = self.as_ref();
        let place = entry.big_place()?;
        let (base, tag, volatile) = (entry.base(), self.tag(), entry.is_volatile());
        // The address is only bytes from here on, so that nobody frees it twice.
        self.0 = pack(base, tag, volatile, Form::Packed);
        // SAFETY: as in `big_mut`; it came from `Box::into_raw`, and nobody else has it any more.
        Some(unsafe { Box::from_raw(place.read_unaligned()) })
    }

    /// Replaces the expiry.
    pub(super) fn set_expire(&mut self, expire_at_ms: Option<u64>) {
        let value_len = self.as_ref().shape().value_len;
        let shape = self.reshape(self.as_ref().form(), value_len, expire_at_ms.is_some(), value_len);
        // SAFETY: `reshape` made the room that `shape` asks for, and `&mut self` is the only way to it.
        unsafe { write_expiry(self.as_ref().base(), shape, expire_at_ms) }
    }

    /// Writes `bytes` at `offset` of a string, which grows as needed, with zeros where nothing was.
    pub(super) fn patch(&mut self, offset: usize, bytes: &[u8]) {
        let old_len = self.as_ref().shape().value_len;
        let end = offset.checked_add(bytes.len()).expect("a length fits 32 bits");
        if offset < old_len {
            let overwritten = offset..end.min(old_len);
            let (over, beyond) = bytes.split_at(overwritten.len());
            self.splice(overwritten, over);
            self.splice(old_len..old_len, beyond);
        } else {
            if offset > old_len {
                self.resize(offset, old_len, |_| {}); // with zeros
            }
            self.splice(offset..offset, bytes);
        }
    }

    /// Puts `bytes` in the place of a range of the value's bytes; what is behind it moves.
    pub(super) fn splice(&mut self, range: Range<usize>, bytes: &[u8]) {
        let old_len = self.as_ref().shape().value_len;
        assert!(range.start <= range.end && range.end <= old_len, "a range of the value");
        let new_len = old_len - range.len() + bytes.len();
        let (from, to) = (range.end, range.start + bytes.len());
        if new_len < old_len {
            // Before the room behind it is given up.
            self.value_mut().copy_within(from.., to);
        }
        self.resize(new_len, old_len.min(new_len), |value| {
            if new_len > old_len {
                value.copy_within(from..old_len, to);
            }
            value[range.start..to].copy_from_slice(bytes);
        });
    }

    /// Gives the value another length, of which the first `keep` bytes are as they were and the others zero before
    /// `fill` sees them.
    fn resize(&mut self, len: usize, keep: usize, fill: impl FnOnce(&mut [u8])) {
        let expire_at_ms = self.as_ref().expire_at_ms();
        let form = self.as_ref().form();
        assert!(form != Form::Big, "only bytes are changed in place");
        let shape = self.reshape(form, len, expire_at_ms.is_some(), keep);
        // SAFETY: `reshape` made the room that `shape` asks for, and `&mut self` is the only way to it.
        unsafe {
            let base = self.as_ref().base();
            write_expiry(base, shape, expire_at_ms);
            ptr::write_bytes(base.as_ptr().add(shape.value_at() + keep), 0, len - keep);
        }
        fill(self.value_mut());
    }

    /// The value's bytes, to be overwritten.
    pub(super) fn value_mut(&mut self) -> &mut [u8] {
        let entry = self.as_ref();
        let shape = entry.shape();
        // SAFETY: an entry's allocation holds what its header says, all of it written; `&mut self` is the only way
        // to it.
        unsafe {
            std::slice::from_raw_parts_mut(entry.base().as_ptr().add(shape.value_at()), shape.value_len)
        }
    }

    /// Makes room for another value length or an expiry, and returns the new shape.
    ///
    /// The header is written, the key and the first `keep` bytes of the value (at most either length) are in
    /// their places; the caller writes the expiry and the rest of the value before anything else.
    fn reshape(&mut self, form: Form, value_len: usize, volatile: bool, keep: usize) -> Shape {
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
        self.0 = pack(place, self.tag(), volatile, form);
        new
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        drop(self.take_big());
        let entry = self.as_ref();
        // SAFETY: the allocation came from `allocate` with the layout of its current shape, and this
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

    /// The value.
    #[inline]
    pub fn value(&self) -> Value<'a> {
        match self.form() {
            Form::String => Value::String(self.bytes()),
            Form::Packed => Value::packed(self.bytes()),
            Form::Big => self.big().expect("of that form").view(),
        }
    }

    /// A string's bytes; `None` where the key holds something else.
    #[inline]
    pub fn string(&self) -> Option<&'a [u8]> {
        (self.form() == Form::String).then(|| self.bytes())
    }

    /// A string's bytes, or a packed collection's as it lies in memory.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
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

    /// Bytes that the key takes from the allocator with its value and expiry, and its word in the table.
    pub fn used_bytes(&self) -> usize {
        size_of::<Entry>() + self.shape().class() + self.big().map_or(0, Big::heap_bytes)
    }

    /// How the value's bytes are to be read; does not touch the entry's memory.
    #[inline]
    pub(super) fn form(&self) -> Form {
        match (self.word.addr().get() & FORM_MASK) >> FORM_SHIFT {
            0 => Form::String,
            1 => Form::Packed,
            _ => Form::Big,
        }
    }

    /// The big value.
    pub(super) fn big(&self) -> Option<&'a Big> {
        let place = self.big_place()?;
        // SAFETY: an entry of this form has the address of a `Big` that it owns there (`Entry::set_big`), and is not
        // changed for as long as it is borrowed for 'a.
        Some(unsafe { &*place.read_unaligned() })
    }

    /// Where the address of a big value is.
    fn big_place(&self) -> Option<*mut *mut Big> {
        // SAFETY: the value lies within the allocation.
        (self.form() == Form::Big)
            .then(|| unsafe { self.base().as_ptr().add(self.shape().value_at()) }.cast::<*mut Big>())
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

/// The key of an entry that another structure points to: one word that neither owns nor borrows.
///
/// The entry's word may move and get another tag meanwhile; its allocation stays where it is for as long as neither
/// the length of its value nor whether it has an expiry changes.
#[derive(Clone, Copy)]
pub(super) struct KeyHandle(NonNull<u8>);

// SAFETY: a handle is an address; using it is unsafe, and its user promises that the entry is there.
unsafe impl Send for KeyHandle {}

impl KeyHandle {
    /// A handle of the entry's key.
    ///
    /// # Panics
    /// For an entry with an expiry: where its key begins could change without the allocation moving.
    pub(super) fn new(entry: EntryRef<'_>) -> Self {
        assert!(!entry.is_volatile(), "a handle's entry has no expiry");
        Self(entry.base())
    }

    /// The key.
    ///
    /// # Safety
    /// For all of 'a the entry is not removed, its value keeps its length and it gets no expiry.
    #[inline]
    pub(super) unsafe fn key<'a>(self) -> &'a [u8] {
        // The bare address is the word of an entry with tag 0 and without an expiry, which this one is but for its
        // tag. By the caller's promise the allocation is still there and as it was.
        EntryRef { word: self.0, entry: PhantomData }.key()
    }
}

#[inline]
fn pack(base: NonNull<u8>, tag: u16, volatile: bool, form: Form) -> NonNull<u8> {
    let marks = usize::from(tag) << TAG_SHIFT
        | (form as usize) << FORM_SHIFT
        | if volatile { VOLATILE_BIT } else { 0 };
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
        assert_eq!((held.key(), held.bytes(), held.expire_at_ms()), (key, value, expire_at_ms));
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
                        let mut entry = Entry::new(0xffff, &key, NewValue::String(&old), was);
                        check(&entry, 0xffff, &key, &old, was);
                        entry.set_tag(0x8001);
                        entry.set_expire(is);
                        check(&entry, 0x8001, &key, &old, is);
                        entry.set(NewValue::String(&new), was);
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
    fn a_handle_reads_the_key_while_tag_and_value_change() {
        for key in [&b""[..], b"member", &[7; 300]] {
            let mut entry = Entry::new(0xffff, key, NewValue::String(b"12345678"), None);
            let handle = KeyHandle::new(entry.as_ref());
            entry.set(NewValue::String(b"abcdefgh"), None);
            entry.set_tag(0x1234);
            // SAFETY: the entry is there, its value still has 8 bytes, and it has no expiry.
            assert_eq!(unsafe { handle.key() }, key);
        }
    }

    #[test]
    fn a_value_of_the_same_size_class_stays_in_place() {
        let mut entry = Entry::new(1, b"fourteen bytes", NewValue::String(b"12345678"), None);
        let place = entry.as_ref().base();
        entry.set(NewValue::String(b"1234567890123456"), None);
        entry.set_expire(Some(5));
        entry.set(NewValue::String(b"12"), Some(5));
        assert_eq!(entry.as_ref().base(), place);
        entry.set(NewValue::String(&[0; 100]), None);
        assert_ne!(entry.as_ref().base(), place);
    }
}
