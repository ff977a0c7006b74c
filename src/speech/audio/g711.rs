//! ITU-T G.711: mu-law and A-law, between one byte and 16-bit linear.
//!
//! Formulas: ITU-T Recommendation G.711 (11/88), tables 1a to 2b; the 14-bit (mu-law) and 13-bit (A-law) values of the
//! tables are shifted up to 16 bits, as ITU-T G.191 does.

/// Every mu-law code as a 16-bit linear sample.
pub(super) const MU_LAW: [i16; 256] = table(Law::Mu);

/// Every A-law code as a 16-bit linear sample.
pub(super) const A_LAW: [i16; 256] = table(Law::A);

/// The code whose value is nearest to `sample`; halfway goes to the louder one.
pub(super) fn encode_mu_law(sample: i16) -> u8 {
    nearest(&MU_LAW, sample, 0xff)
}

/// The code whose value is nearest to `sample`; halfway goes to the louder one.
pub(super) fn encode_a_law(sample: i16) -> u8 {
    nearest(&A_LAW, sample, 0xd5)
}

#[derive(Clone, Copy)]
enum Law {
    Mu,
    A,
}

const fn table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code: u8 = 0;
    loop {
        table[code as usize] = match law {
            Law::Mu => mu_law(code),
            Law::A => a_law(code),
        };
        if code == u8::MAX {
            return table;
        }
        code += 1;
    }
}

/// Bits are sent inverted: sign, three bits of segment, four bits of step. 0x84 is the bias of 33 quarter steps.
const fn mu_law(code: u8) -> i16 {
    let code = !code;
    let magnitude = (((((code & 0x0f) as i16) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// Even bits are sent inverted (0x55); sign, three bits of segment, four bits of step. A set sign bit is positive.
const fn a_law(code: u8) -> i16 {
    let code = code ^ 0x55;
    let step = ((code & 0x0f) as i16) << 4;
    let segment = (code & 0x70) >> 4;
    let magnitude = if segment == 0 { step + 8 } else { (step + 0x108) << (segment - 1) };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

/// Codes of one sign count magnitudes upwards once `invert` is undone, so a binary search finds the neighbours.
fn nearest(table: &[i16; 256], sample: i16, positive: u8) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let value = |step: u8| i32::from(table[usize::from((step | sign) ^ positive)]).abs();
    let wanted = i32::from(sample).abs();
    let (mut low, mut high) = (0u8, 127u8);
    while low < high {
        let middle = low + (high - low) / 2;
        if value(middle) < wanted { low = middle + 1 } else { high = middle }
    }
    let step = if low > 0 && wanted - value(low - 1) < value(low) - wanted { low - 1 } else { low };
    (step | sign) ^ positive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corner_codes_have_the_values_of_the_recommendation() {
        assert_eq!((MU_LAW[0xff], MU_LAW[0x7f], MU_LAW[0x80], MU_LAW[0x00]), (0, 0, 32_124, -32_124));
        assert_eq!((MU_LAW[0xfe], MU_LAW[0xef], MU_LAW[0x8f]), (8, 132, 16_764));
        assert_eq!((A_LAW[0xd5], A_LAW[0x55], A_LAW[0xaa], A_LAW[0x2a]), (8, -8, 32_256, -32_256));
        assert_eq!((A_LAW[0xc5], A_LAW[0xf5], A_LAW[0xba]), (264, 528, 16_128));
    }

    #[test]
    fn every_code_comes_back_from_its_own_value() {
        for code in 0..=u8::MAX {
            let index = usize::from(code);
            assert_eq!(encode_a_law(A_LAW[index]), code);
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(encode_mu_law(MU_LAW[index]), expected, "minus zero is written as plus zero");
        }
    }

    #[test]
    fn every_sample_goes_to_the_nearest_value() {
        for sample in i16::MIN..=i16::MAX {
            for (table, code) in [(&MU_LAW, encode_mu_law(sample)), (&A_LAW, encode_a_law(sample))] {
                let error = (i32::from(table[usize::from(code)]) - i32::from(sample)).abs();
                let bound = (i32::from(sample).abs() / 32 + 8).max(16);
                let clipped = i32::from(sample).abs() > 32_124;
                assert!(error <= bound || clipped, "{sample} became {}", table[usize::from(code)]);
            }
        }
    }
}
