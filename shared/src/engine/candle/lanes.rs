//! The few SIMD operations that the convolution kernels need, for each instruction set.
//!
//! # Safety
//! Everything here is called from inside a function with the matching `target_feature`, and only with pointers that are valid
//! for the lanes read or written. That is why this file, `direct.rs` and `winograd.rs` may be unsafe.
#![allow(unsafe_code, clippy::missing_safety_doc)]

/// A vector of `N` f32.
pub trait Lanes {
    type V: Copy;
    const N: usize;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, fused where the machine can.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Sum of all lanes.
    unsafe fn sum(v: Self::V) -> f32;
    /// Every fourth of `4 * N` elements, from the first, the second, the third and the fourth on.
    unsafe fn load_fours(from: *const f32) -> [Self::V; 4];
    /// The reverse.
    unsafe fn store_fours(to: *mut f32, v: [Self::V; 4]);
}

/// The instruction set, and with it the register tile.
#[derive(Debug, Clone, Copy)]
pub enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "wasm32")]
    Simd128,
    Portable,
}

/// What is computed in register tiles of `CO` output channels x `PX` vectors.
pub trait Tiled {
    /// # Safety
    /// `L`'s instruction set is there.
    unsafe fn run<L: Lanes, const CO: usize, const PX: usize>(self);
}

impl Level {
    /// All that this machine has, the widest first.
    pub fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let found = [
            is_x86_feature_detected!("avx512f").then_some(Self::Avx512),
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self::Avx2),
            Some(Self::Portable),
        ];
        #[cfg(target_arch = "wasm32")]
        let found = [Some(Self::Simd128)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "wasm32")))]
        let found = [Some(Self::Portable)];
        found.into_iter().flatten()
    }

    /// The widest that this machine has.
    pub fn best() -> Self {
        Self::all().next().unwrap_or(Self::Portable)
    }

    /// Output channels and positions of the register tile that computes the fewest that are not there. With AVX-512, 24 of 32
    /// registers hold sums: 12 channels x 2 vectors, 8 x 3 or 4 x 6. With AVX2 12 of 16 do, as 6 x 2. On wasm a tile of 4 x 3 would fit in
    /// 16 registers too, but V8 spills it: 28 GFLOP/s instead of 51. Relaxed SIMD's fused product gave 53 with its best tile,
    /// 3 x 3, not enough for a second build of the page.
    pub fn tile(self, outputs: usize, positions: usize) -> (usize, usize) {
        let tiles: &[_] = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => &[(12, 32), (8, 48), (4, 96)],
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => &[(6, 16)],
            _ => &[(4, 8)],
        };
        let computed =
            |&&(channels, width): &&(usize, usize)| outputs.next_multiple_of(channels) * positions.next_multiple_of(width);
        *tiles.iter().min_by_key(computed).unwrap_or(&(4, 8))
    }

    /// Does work in register tiles of `channels`.
    ///
    /// # Safety
    /// This machine has the instruction set; `channels` are those of a tile of this level.
    pub unsafe fn run(self, channels: usize, work: impl Tiled) {
        // SAFETY: the caller's.
        unsafe {
            match (self, channels) {
                #[cfg(target_arch = "x86_64")]
                (Self::Avx512, 12) => x86::run_avx512::<12, 2>(work),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx512, 4) => x86::run_avx512::<4, 6>(work),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx512, _) => x86::run_avx512::<8, 3>(work),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx2, _) => x86::run_avx2(work),
                #[cfg(target_arch = "wasm32")]
                (Self::Simd128, _) => work.run::<Simd128, 4, 2>(),
                (Self::Portable, _) => work.run::<Portable, 4, 2>(),
            }
        }
    }
}

/// Any machine: arrays that the compiler vectorises as it can.
pub struct Portable;

impl Lanes for Portable {
    type V = [f32; 4];
    const N: usize = 4;
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        unsafe { to.cast::<Self::V>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        [a[0] * b[0] + c[0], a[1] * b[1] + c[1], a[2] * b[2] + c[2], a[3] * b[3] + c[3]]
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        (v[0] + v[2]) + (v[1] + v[3])
    }
    #[inline(always)]
    unsafe fn load_fours(from: *const f32) -> [Self::V; 4] {
        let v = unsafe { from.cast::<[Self::V; 4]>().read_unaligned() };
        std::array::from_fn(|i| v.map(|v| v[i]))
    }
    #[inline(always)]
    unsafe fn store_fours(to: *mut f32, v: [Self::V; 4]) {
        let fours: [Self::V; 4] = std::array::from_fn(|i| v.map(|v| v[i]));
        unsafe { to.cast::<[Self::V; 4]>().write_unaligned(fours) }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, Tiled};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    pub unsafe fn run_avx512<const CO: usize, const PX: usize>(work: impl Tiled) {
        unsafe { work.run::<Avx512, CO, PX>() }
    }

    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn run_avx2(work: impl Tiled) {
        unsafe { work.run::<Avx2, 6, 2>() }
    }

    pub struct Avx512;

    /// Which two quarters of each of two vectors.
    const LOW: i32 = 0b01_00_01_00;
    const HIGH: i32 = 0b11_10_11_10;
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;

    impl Lanes for Avx512 {
        type V = __m512;
        const N: usize = 16;
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: __m512) {
            unsafe { _mm512_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> __m512 {
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn sum(v: __m512) -> f32 {
            unsafe { _mm512_reduce_add_ps(v) }
        }
        #[inline(always)]
        unsafe fn load_fours(from: *const f32) -> [__m512; 4] {
            unsafe {
                let v: [__m512; 4] = std::array::from_fn(|i| Self::load(from.add(i * Self::N)));
                // Of two vectors, what the first and second (third and fourth) result have of them, then the halves together.
                let order = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
                let third = _mm512_add_epi32(order, _mm512_set1_epi32(2));
                let (a, b) = (_mm512_permutex2var_ps(v[0], order, v[1]), _mm512_permutex2var_ps(v[2], order, v[3]));
                let (c, d) = (_mm512_permutex2var_ps(v[0], third, v[1]), _mm512_permutex2var_ps(v[2], third, v[3]));
                [
                    _mm512_shuffle_f32x4::<LOW>(a, b),
                    _mm512_shuffle_f32x4::<HIGH>(a, b),
                    _mm512_shuffle_f32x4::<LOW>(c, d),
                    _mm512_shuffle_f32x4::<HIGH>(c, d),
                ]
            }
        }
        #[inline(always)]
        unsafe fn store_fours(to: *mut f32, v: [__m512; 4]) {
            unsafe {
                let pairs = |a, b| [_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)];
                let ([a, b], [c, d]) = (pairs(v[0], v[2]), pairs(v[1], v[3]));
                // `a` has the quadruples 0, 4, 8 and 12, `b` those behind them, and so on.
                let ([a, b], [c, d]) = (pairs(a, c), pairs(b, d));
                let (ab, cd) = (_mm512_shuffle_f32x4::<LOW>(a, b), _mm512_shuffle_f32x4::<LOW>(c, d));
                let (ab_high, cd_high) = (_mm512_shuffle_f32x4::<HIGH>(a, b), _mm512_shuffle_f32x4::<HIGH>(c, d));
                let vectors = [
                    _mm512_shuffle_f32x4::<EVEN>(ab, cd),
                    _mm512_shuffle_f32x4::<ODD>(ab, cd),
                    _mm512_shuffle_f32x4::<EVEN>(ab_high, cd_high),
                    _mm512_shuffle_f32x4::<ODD>(ab_high, cd_high),
                ];
                for (i, v) in vectors.into_iter().enumerate() {
                    Self::store(to.add(i * Self::N), v);
                }
            }
        }
    }

    /// 4x4 elements transposed, in each half.
    #[inline(always)]
    unsafe fn transposed(v: [__m256; 4]) -> [__m256; 4] {
        unsafe {
            let pairs = |a, b| [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)];
            let ([a, b], [c, d]) = (pairs(v[0], v[2]), pairs(v[1], v[3]));
            let ([a, b], [c, d]) = (pairs(a, c), pairs(b, d));
            [a, b, c, d]
        }
    }

    pub struct Avx2;

    impl Lanes for Avx2 {
        type V = __m256;
        const N: usize = 8;
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: __m256) {
            unsafe { _mm256_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> __m256 {
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn sum(v: __m256) -> f32 {
            let mut lanes = [0.0; 8];
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), v) };
            lanes.iter().sum()
        }
        #[inline(always)]
        unsafe fn load_fours(from: *const f32) -> [__m256; 4] {
            unsafe {
                // Vector `i` gets the elements of the lanes `i` and `4 + i`, and a transposition within the halves does the rest.
                let half = |i: usize| _mm_loadu_ps(from.add(4 * i));
                transposed(std::array::from_fn(|i| _mm256_set_m128(half(4 + i), half(i))))
            }
        }
        #[inline(always)]
        unsafe fn store_fours(to: *mut f32, v: [__m256; 4]) {
            unsafe {
                for (i, v) in transposed(v).into_iter().enumerate() {
                    _mm_storeu_ps(to.add(4 * i), _mm256_castps256_ps128(v));
                    _mm_storeu_ps(to.add(4 * (4 + i)), _mm256_extractf128_ps::<1>(v));
                }
            }
        }
    }
}

#[cfg(target_arch = "wasm32")]
pub use wasm::Simd128;

#[cfg(target_arch = "wasm32")]
mod wasm {
    use super::Lanes;
    use std::arch::wasm32::*;

    /// 4x4 elements transposed.
    #[inline(always)]
    fn transposed(v: [v128; 4]) -> [v128; 4] {
        let pairs = |a, b| [i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b)];
        let ([a, b], [c, d]) = (pairs(v[0], v[2]), pairs(v[1], v[3]));
        let ([a, b], [c, d]) = (pairs(a, c), pairs(b, d));
        [a, b, c, d]
    }

    pub struct Simd128;

    impl Lanes for Simd128 {
        type V = v128;
        const N: usize = 4;
        #[inline(always)]
        unsafe fn load(from: *const f32) -> v128 {
            unsafe { v128_load(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: v128) {
            unsafe { v128_store(to.cast(), v) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> v128 {
            f32x4_splat(x)
        }
        #[inline(always)]
        unsafe fn add(a: v128, b: v128) -> v128 {
            f32x4_add(a, b)
        }
        #[inline(always)]
        unsafe fn sub(a: v128, b: v128) -> v128 {
            f32x4_sub(a, b)
        }
        #[inline(always)]
        unsafe fn mul(a: v128, b: v128) -> v128 {
            f32x4_mul(a, b)
        }
        #[inline(always)]
        unsafe fn mul_add(a: v128, b: v128, c: v128) -> v128 {
            f32x4_add(f32x4_mul(a, b), c)
        }
        #[inline(always)]
        unsafe fn sum(v: v128) -> f32 {
            (f32x4_extract_lane::<0>(v) + f32x4_extract_lane::<2>(v)) + (f32x4_extract_lane::<1>(v) + f32x4_extract_lane::<3>(v))
        }
        #[inline(always)]
        unsafe fn load_fours(from: *const f32) -> [v128; 4] {
            unsafe { transposed(std::array::from_fn(|i| Self::load(from.add(4 * i)))) }
        }
        #[inline(always)]
        unsafe fn store_fours(to: *mut f32, v: [v128; 4]) {
            for (i, v) in transposed(v).into_iter().enumerate() {
                unsafe { Self::store(to.add(4 * i), v) };
            }
        }
    }
}
