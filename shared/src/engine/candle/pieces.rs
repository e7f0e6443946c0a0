//! What many tasks write, piece by piece.
//!
//! # Safety
//! Unsafe because the values are nobody's until their task has cleared them.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// `length` values in pieces of `piece`, the last of which may be shorter. A task gets the number of a piece and the piece, cleared.
///
/// Each task clears its own piece, while that is in its cache: `vec![0.0; length]` does it on one thread, which was a tenth of a
/// step of style transfer.
pub fn pieces<T: Copy + Default + Send>(length: usize, piece: usize, write: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let mut values = Vec::with_capacity(length);
    let spare: &mut [MaybeUninit<T>] = &mut values.spare_capacity_mut()[..length];
    spare.par_chunks_mut(piece.max(1)).enumerate().for_each(|(i, piece)| {
        for value in piece.iter_mut() {
            value.write(T::default());
        }
        // SAFETY: all of it was written just now.
        write(i, unsafe { &mut *(std::ptr::from_mut(piece) as *mut [T]) });
    });
    // SAFETY: the pieces cover `length` values, and every one was written.
    unsafe { values.set_len(length) };
    values
}
