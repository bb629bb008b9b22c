//! Arrays whose capacity fills the allocator's size classes: they grow geometrically, and what they take is known
//! exactly.

use super::size_class::class_bytes;

/// Bytes taken from the allocator.
pub(super) fn array_bytes<T>(array: &Vec<T>) -> usize {
    match array.capacity() {
        0 => 0,
        capacity => class_bytes(capacity * size_of::<T>()),
    }
}

/// Makes room, up to the end of a size class.
fn reserve_fitting<T>(array: &mut Vec<T>, additional: usize) {
    let len = array.len() + additional;
    if len > array.capacity() {
        let capacity = class_bytes(len * size_of::<T>()) / size_of::<T>();
        array.reserve_exact(capacity - array.len());
    }
}

/// [`Vec::insert`].
pub(super) fn insert_fitting<T>(array: &mut Vec<T>, at: usize, item: T) {
    reserve_fitting(array, 1);
    array.insert(at, item);
}

/// [`Vec::append`].
pub(super) fn append_fitting<T>(array: &mut Vec<T>, mut items: Vec<T>) {
    reserve_fitting(array, items.len());
    array.append(&mut items);
}

/// [`Vec::split_off`]; both parts fit what they hold.
pub(super) fn split_off_fitting<T>(array: &mut Vec<T>, at: usize) -> Vec<T> {
    let mut tail = Vec::new();
    reserve_fitting(&mut tail, array.len() - at);
    tail.extend(array.drain(at..));
    fit_if_sparse(array);
    tail
}

/// Gives memory back where less than half of it is used; leaves room for an eighth more.
pub(super) fn fit_if_sparse<T>(array: &mut Vec<T>) {
    let len = array.len();
    if len <= array.capacity() / 2 {
        let wanted = class_bytes((len + len / 8) * size_of::<T>()) / size_of::<T>();
        array.shrink_to(if len == 0 { 0 } else { wanted });
    }
}
