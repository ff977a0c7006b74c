//! The product's quantised blocks beside those of ggml itself.
#![cfg(feature = "whisper")]

use vivavoce::models::convert::{
    names::{Ct2Place, Role, TensorSpec},
    quantise::{ElementType, encode},
};
use whisper_rs::whisper_rs_sys as sys;

/// Values of a block.
const BLOCK: usize = 32;

fn spec(row: usize) -> TensorSpec {
    let ct2 = Ct2Place { variable: String::new(), part: 0, of: 1 };
    TensorSpec { name: "matrix".to_owned(), dims: vec![1, row], role: Role::Matrix, ct2, hf: String::new() }
}

/// Values like those of weights, with runs of zeros, a constant block, tiny and large ones; a fixed linear congruence.
fn values() -> Vec<f32> {
    let mut state = 1_u32;
    let mut values: Vec<f32> = (0..64 * BLOCK)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let unit = f32::from(u16::try_from(state >> 16).unwrap()) / 65_536.0 - 0.5;
            match i / BLOCK % 6 {
                0 => unit,
                1 => unit * 1e-3,
                2 => unit * 3_000.0,
                3 => unit * 1e-7,
                4 => unit.abs(),
                _ => half::f16::from_f32(unit * 0.1).to_f32(),
            }
        })
        .collect();
    values[..BLOCK].fill(0.0);
    values[BLOCK] = -0.0;
    values[BLOCK..2 * BLOCK].fill(0.25);
    values[3 * BLOCK..4 * BLOCK].fill(1e-30);
    values[4 * BLOCK..5 * BLOCK].fill(0.0);
    values[4 * BLOCK + 3] = -0.0;
    values
}

#[test]
fn blocks_are_ggmls_to_the_bit() {
    let values = values();
    for (element, id) in
        [(ElementType::Q8_0, sys::ggml_type_GGML_TYPE_Q8_0), (ElementType::Q5_1, sys::ggml_type_GGML_TYPE_Q5_1)]
    {
        let ours = encode(element, &spec(values.len()), &values).unwrap();
        let mut theirs = vec![0_u8; ours.len()];
        let row = i64::try_from(values.len()).unwrap();
        #[expect(unsafe_code, reason = "the reference is a C function")]
        // SAFETY: the source holds `row` floats, the target the bytes of one quantised row, checked by the size returned.
        let written = unsafe {
            assert_eq!(sys::ggml_row_size(id, row), theirs.len());
            sys::ggml_quantize_chunk(id, values.as_ptr(), theirs.as_mut_ptr().cast(), 0, 1, row, std::ptr::null())
        };
        assert_eq!(written, ours.len());
        let differing: Vec<usize> = (0..ours.len()).filter(|i| ours[*i] != theirs[*i]).collect();
        assert!(differing.is_empty(), "{element:?} differs at {differing:?}");
    }
}
