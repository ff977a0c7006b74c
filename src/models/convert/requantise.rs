//! A ggml model as a source of weights, to quantise what was fetched as f16.

use std::path::Path;

use crate::models::convert::{
    ConvertError, Weights,
    ggml::{self, Layout, WhisperShape},
    names::{Role, TensorSpec},
    quantise,
};

pub(super) struct GgmlWeights<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> GgmlWeights<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ConvertError> {
        let layout = ggml::inspect(bytes, Path::new("the model to quantise"))?;
        Ok(Self { bytes, layout })
    }
}

impl Weights for GgmlWeights<'_> {
    fn shape(&self) -> Result<WhisperShape, ConvertError> {
        Ok(self.layout.shape)
    }

    fn check(&mut self, _specs: &[TensorSpec]) -> Result<(), ConvertError> {
        // `inspect` has refused everything that is not exactly these tensors. Quantising twice would add up the errors.
        match self.layout.quantisation {
            quantise::Quantisation::F16 => Ok(()),
            quantise::Quantisation::Q8_0 | quantise::Quantisation::Q5_1 => Err(ConvertError::TensorType {
                name: "decoder.token_embedding.weight".to_owned(),
                found: format!("{} already", self.layout.quantisation),
            }),
        }
    }

    fn read(&mut self, spec: &TensorSpec) -> Result<Vec<f32>, ConvertError> {
        let missing = || ConvertError::MissingTensor { name: spec.name.clone() };
        let (_, range) = self.layout.tensors.iter().find(|(s, _)| s.name == spec.name).ok_or_else(missing)?;
        let data = &self.bytes[range.clone()];
        Ok(match spec.role {
            Role::Single => quantise::decode_f32(data),
            Role::Matrix | Role::Convolution => quantise::decode_f16(data),
        })
    }

    fn tokens(&self, _shape: &WhisperShape) -> Result<Vec<Vec<u8>>, ConvertError> {
        Ok(self.layout.tokens.iter().map(|range| self.bytes[range.clone()].to_vec()).collect())
    }

    fn alignment_heads(&self, _shape: &WhisperShape) -> Result<Vec<[u32; 2]>, ConvertError> {
        Ok(Vec::new())
    }
}
