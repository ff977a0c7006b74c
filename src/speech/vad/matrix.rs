//! A dense matrix, laid out so that plain loops become vector instructions.
//!
//! Rows are cut into tiles of [`LANES`]; within a tile the weights of one input lie side by side. A tile's sums then
//! stay in registers while the inputs stream by, and no sum is ever taken across a register, which is what keeps a
//! compiler without fast-math from vectorising the textbook loop.

/// Rows in a tile: with four columns, eight 4-wide registers of sums on the oldest x86-64.
const LANES: usize = 8;

/// A matrix of `rows` x `inputs`, padded with zero rows to a multiple of [`LANES`].
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    rows: usize,
    inputs: usize,
    tiles: Vec<[f32; LANES]>,
}

impl Matrix {
    /// The matrix whose element in row `r` and column `c` is `weight(r, c)`.
    pub(super) fn from_fn(rows: usize, inputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let mut tiles = vec![[0.0; LANES]; rows.div_ceil(LANES) * inputs];
        for row in 0..rows {
            for input in 0..inputs {
                tiles[row / LANES * inputs + input][row % LANES] = weight(row, input);
            }
        }
        Self { rows, inputs, tiles }
    }

    /// `out[r][t] = bias[r] + sum over c of weight(r, c) * input[c][t]`, for `T` columns at once.
    ///
    /// `input` has as many items as the matrix has inputs, `out` and `bias` as many as it has rows.
    pub(super) fn multiply<const T: usize>(&self, input: &[[f32; T]], bias: &[f32], out: &mut [[f32; T]]) {
        debug_assert!(input.len() == self.inputs && bias.len() == self.rows && out.len() == self.rows);
        let tiles = self.tiles.chunks_exact(self.inputs);
        for ((tile, bias), out) in tiles.zip(bias.chunks(LANES)).zip(out.chunks_mut(LANES)) {
            let sums = tile_sums(tile, input);
            for (lane, (out, bias)) in out.iter_mut().zip(bias).enumerate() {
                for (out, sums) in out.iter_mut().zip(&sums) {
                    *out = sums[lane] + bias;
                }
            }
        }
    }
}

/// The sums of one tile, a column at a time.
#[inline]
fn tile_sums<const T: usize>(tile: &[[f32; LANES]], input: &[[f32; T]]) -> [[f32; LANES]; T] {
    let mut sums = [[0.0; LANES]; T];
    for (weights, input) in tile.iter().zip(input) {
        for (sums, input) in sums.iter_mut().zip(input) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += weight * input;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_what_the_textbook_loop_gives() {
        let weight = |row: usize, input: usize| f32::from(u16::try_from((row * 7 + input * 3) % 11).unwrap()) - 5.0;
        let matrix = Matrix::from_fn(19, 5, weight);
        let input: Vec<[f32; 2]> = (0..5_u8).map(|i| [f32::from(i), 1.0 - f32::from(i)]).collect();
        let bias: Vec<f32> = (0..19_u8).map(f32::from).collect();
        let mut out = vec![[0.0; 2]; 19];
        matrix.multiply(&input, &bias, &mut out);
        for row in 0..19 {
            for t in 0..2 {
                let expected: f32 = bias[row] + (0..5).map(|c| weight(row, c) * input[c][t]).sum::<f32>();
                assert!((out[row][t] - expected).abs() < 1e-4, "row {row}, column {t}");
            }
        }
    }
}
