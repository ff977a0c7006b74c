//! The tensors of a Whisper model: their names in the three forms, their shapes, and how each is stored.
//!
//! ggml names are those of OpenAI's `whisper/model.py`, which whisper.cpp keeps; CTranslate2 names follow its
//! `WhisperSpec`, where the query, key and value projections of an attention are stacked into one matrix; Hugging Face
//! names follow `modeling_whisper.py`. No form transposes anything.

use crate::models::convert::ggml::WhisperShape;

/// How a tensor is stored in a ggml file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A large matrix: f16 or quantised.
    Matrix,
    /// A convolution kernel: f16 in every file.
    Convolution,
    /// A bias, a norm or a positional embedding: f32 in every file.
    Single,
}

/// Where a tensor lies in a CTranslate2 model: part `part` of `of` equal stacks of rows of `variable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ct2Place {
    /// The variable.
    pub variable: String,
    /// Which stack, from 0.
    pub part: usize,
    /// How many stacks the variable holds: 1, 2 or 3.
    pub of: usize,
}

/// One tensor of a Whisper model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in a ggml file.
    pub name: String,
    /// Its dimensions in a ggml file, outermost first (the file has them innermost first).
    pub dims: Vec<usize>,
    /// How it is stored.
    pub role: Role,
    /// Where it lies in a CTranslate2 model.
    pub ct2: Ct2Place,
    /// Its name in a Hugging Face model, without the leading `model.`.
    pub hf: String,
}

impl TensorSpec {
    /// How many values it has. The shape was checked, so the product fits.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    /// Values a row: the innermost dimension.
    #[must_use]
    pub fn row(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    /// Its dimensions in the sources, which store the biases of convolutions in one dimension.
    #[must_use]
    pub fn source_dims(&self) -> Vec<usize> {
        match self.dims.as_slice() {
            [n, 1] => vec![*n],
            dims => dims.to_vec(),
        }
    }
}

/// Every tensor that whisper.cpp asks of a model of this shape, sorted by ggml name: 15 a layer of the encoder, 24 a
/// layer of the decoder, and 11 (245 for Whisper base).
#[must_use]
pub fn tensors(shape: &WhisperShape) -> Vec<TensorSpec> {
    let mut list = List { state: shape.state as usize, specs: Vec::new() };
    list.top(shape);
    for layer in 0..shape.audio_layers {
        list.layer("encoder", layer);
    }
    for layer in 0..shape.text_layers {
        list.layer("decoder", layer);
        list.cross_attention(layer);
    }
    list.specs.sort_by(|a, b| a.name.cmp(&b.name));
    list.specs
}

struct List {
    state: usize,
    specs: Vec<TensorSpec>,
}

impl List {
    fn push(&mut self, name: String, dims: &[usize], role: Role, ct2: (String, usize, usize), hf: String) {
        let (variable, part, of) = ct2;
        self.specs.push(TensorSpec { name, dims: dims.to_vec(), role, ct2: Ct2Place { variable, part, of }, hf });
    }

    fn top(&mut self, shape: &WhisperShape) {
        let n = self.state;
        for (conv, inputs) in [("conv1", shape.mels as usize), ("conv2", n)] {
            let name = format!("encoder.{conv}");
            let ct2 = format!("encoder/{conv}");
            self.push(
                format!("{name}.weight"),
                &[n, inputs, 3],
                Role::Convolution,
                (format!("{ct2}/weight"), 0, 1),
                format!("{name}.weight"),
            );
            self.push(
                format!("{name}.bias"),
                &[n, 1],
                Role::Single,
                (format!("{ct2}/bias"), 0, 1),
                format!("{name}.bias"),
            );
        }
        for (side, context, norm) in
            [("encoder", shape.audio_context, "ln_post"), ("decoder", shape.text_context, "ln")]
        {
            self.push(
                format!("{side}.positional_embedding"),
                &[context as usize, n],
                Role::Single,
                (format!("{side}/position_encodings/encodings"), 0, 1),
                format!("{side}.embed_positions.weight"),
            );
            self.norm(&format!("{side}.{norm}"), &format!("{side}/layer_norm"), &format!("{side}.layer_norm"));
        }
        self.push(
            "decoder.token_embedding.weight".to_owned(),
            &[shape.vocabulary as usize, n],
            Role::Matrix,
            ("decoder/embeddings/weight".to_owned(), 0, 1),
            "decoder.embed_tokens.weight".to_owned(),
        );
    }

    fn layer(&mut self, side: &str, layer: u32) {
        let n = self.state;
        let (g, c, h) = places(side, layer);
        let attention = (format!("{g}.attn"), format!("{c}/self_attention"), format!("{h}.self_attn"));
        let stacked = format!("{}/linear_0", attention.1);
        self.linear(&format!("{}.query", attention.0), (&stacked, 0, 3), &format!("{}.q_proj", attention.2), [n, n]);
        self.weight(&format!("{}.key", attention.0), (&stacked, 1, 3), &format!("{}.k_proj", attention.2), [n, n]);
        self.linear(&format!("{}.value", attention.0), (&stacked, 2, 3), &format!("{}.v_proj", attention.2), [n, n]);
        let out = format!("{}/linear_1", attention.1);
        self.linear(&format!("{}.out", attention.0), (&out, 0, 1), &format!("{}.out_proj", attention.2), [n, n]);
        self.norm(
            &format!("{g}.attn_ln"),
            &format!("{}/layer_norm", attention.1),
            &format!("{h}.self_attn_layer_norm"),
        );
        self.linear(&format!("{g}.mlp.0"), (&format!("{c}/ffn/linear_0"), 0, 1), &format!("{h}.fc1"), [4 * n, n]);
        self.linear(&format!("{g}.mlp.2"), (&format!("{c}/ffn/linear_1"), 0, 1), &format!("{h}.fc2"), [n, 4 * n]);
        self.norm(&format!("{g}.mlp_ln"), &format!("{c}/ffn/layer_norm"), &format!("{h}.final_layer_norm"));
    }

    fn cross_attention(&mut self, layer: u32) {
        let n = self.state;
        let (g, c, h) = places("decoder", layer);
        let (g, c, h) = (format!("{g}.cross_attn"), format!("{c}/attention"), format!("{h}.encoder_attn"));
        self.linear(&format!("{g}.query"), (&format!("{c}/linear_0"), 0, 1), &format!("{h}.q_proj"), [n, n]);
        let stacked = format!("{c}/linear_1");
        self.weight(&format!("{g}.key"), (&stacked, 0, 2), &format!("{h}.k_proj"), [n, n]);
        self.linear(&format!("{g}.value"), (&stacked, 1, 2), &format!("{h}.v_proj"), [n, n]);
        self.linear(&format!("{g}.out"), (&format!("{c}/linear_2"), 0, 1), &format!("{h}.out_proj"), [n, n]);
        self.norm(&format!("{g}_ln"), &format!("{c}/layer_norm"), &format!("{h}_layer_norm"));
    }

    fn weight(&mut self, name: &str, ct2: (&str, usize, usize), hf: &str, dims: [usize; 2]) {
        let place = (format!("{}/weight", ct2.0), ct2.1, ct2.2);
        self.push(format!("{name}.weight"), &dims, Role::Matrix, place, format!("{hf}.weight"));
    }

    fn linear(&mut self, name: &str, ct2: (&str, usize, usize), hf: &str, dims: [usize; 2]) {
        self.weight(name, ct2, hf, dims);
        let place = (format!("{}/bias", ct2.0), ct2.1, ct2.2);
        self.push(format!("{name}.bias"), &dims[..1], Role::Single, place, format!("{hf}.bias"));
    }

    fn norm(&mut self, name: &str, ct2: &str, hf: &str) {
        let n = self.state;
        for (end, greek) in [("weight", "gamma"), ("bias", "beta")] {
            let place = (format!("{ct2}/{greek}"), 0, 1);
            self.push(format!("{name}.{end}"), &[n], Role::Single, place, format!("{hf}.{end}"));
        }
    }
}

/// The prefixes of one layer in the three forms.
fn places(side: &str, layer: u32) -> (String, String, String) {
    (format!("{side}.blocks.{layer}"), format!("{side}/layer_{layer}"), format!("{side}.layers.{layer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_has_245_tensors_with_names_of_their_own_in_every_form() {
        let specs = tensors(&WhisperShape::BASE);
        assert_eq!(specs.len(), 245);
        let unique = |f: &dyn Fn(&TensorSpec) -> String| {
            let mut all: Vec<String> = specs.iter().map(f).collect();
            all.sort();
            all.dedup();
            all.len()
        };
        assert_eq!(unique(&|s| s.name.clone()), 245);
        assert_eq!(unique(&|s| s.hf.clone()), 245);
        assert_eq!(unique(&|s| format!("{}{}", s.ct2.variable, s.ct2.part)), 245);
    }

    #[test]
    fn names_in_the_three_forms_belong_together() {
        let specs = tensors(&WhisperShape::BASE);
        let find = |name: &str| specs.iter().find(|s| s.name == name).unwrap();
        let key = find("decoder.blocks.5.cross_attn.key.weight");
        assert_eq!(key.hf, "decoder.layers.5.encoder_attn.k_proj.weight");
        assert_eq!(
            key.ct2,
            Ct2Place { variable: "decoder/layer_5/attention/linear_1/weight".to_owned(), part: 0, of: 2 }
        );
        let norm = find("decoder.blocks.0.cross_attn_ln.bias");
        assert_eq!(norm.hf, "decoder.layers.0.encoder_attn_layer_norm.bias");
        assert_eq!(find("encoder.conv1.weight").dims, [512, 80, 3]);
        assert_eq!(find("encoder.conv1.bias").source_dims(), [512]);
        assert!(!specs.iter().any(|s| s.name.ends_with("key.bias")));
    }
}
