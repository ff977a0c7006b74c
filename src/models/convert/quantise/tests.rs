//! Blocks of quantised rows.

use super::*;
use crate::models::convert::names::Ct2Place;

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
                _ => f16::from_f32(unit * 0.1).to_f32(),
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
fn quantised_values_are_near_those_they_stand_for() {
    let values = values();
    let bytes = encode(ElementType::Q8_0, &spec(values.len()), &values).unwrap();
    for (block, kept) in values.as_chunks::<BLOCK>().0.iter().zip(bytes.as_chunks::<34>().0) {
        let scale = f16::from_le_bytes([kept[0], kept[1]]).to_f32();
        for (value, byte) in block.iter().zip(&kept[2..]) {
            let back = scale * f32::from(i8::from_le_bytes([*byte]));
            assert!((back - value).abs() <= scale * 0.57 + 4e-6, "{value} came back as {back}");
        }
    }
}

#[test]
fn halves_are_rounded_to_the_nearest_even() {
    let bytes = encode(ElementType::F16, &spec(4), &[1.0, 1.000_488_3, 65_504.0, 6e-8]).unwrap();
    assert_eq!(bytes, [0x00, 0x3c, 0x00, 0x3c, 0xff, 0x7b, 0x01, 0x00]);
    assert_eq!(decode_f16(&bytes), [1.0, 1.0, 65_504.0, 5.960_464_5e-8]);
    assert_eq!(decode_bf16(&[0x80, 0x3f]), [1.0]);
    assert_eq!(decode_f32(&1.5_f32.to_le_bytes()), [1.5]);
}

#[test]
fn values_that_do_not_fit_are_refused_with_the_tensors_name() {
    for element in [ElementType::F16, ElementType::Q8_0, ElementType::Q5_1] {
        for bad in [f32::NAN, f32::INFINITY, 1e9] {
            let mut values = vec![0.0; BLOCK];
            values[7] = bad;
            let error = encode(element, &spec(BLOCK), &values).unwrap_err();
            assert!(matches!(&error, ConvertError::NotFinite { name, .. } if name == "matrix"), "{error}");
        }
    }
    assert!(encode(ElementType::F32, &spec(1), &[1e9]).is_ok());
    assert!(matches!(encode(ElementType::Q8_0, &spec(48), &[0.0; 48]), Err(ConvertError::Blocks { row: 48, .. })));
}

#[test]
fn quantisations_are_named_as_in_file_names() {
    for quantisation in Quantisation::ALL {
        assert_eq!(quantisation.to_string().parse::<Quantisation>().unwrap(), quantisation);
    }
    assert!("q4_0".parse::<Quantisation>().is_err());
}
