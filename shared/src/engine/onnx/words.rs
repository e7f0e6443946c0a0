//! What networks for sentences are told beside the words, computed from the words.

use super::OnnxTensor;
use super::tensor::{Attribute, Operand, Operator, Sizes};
use crate::pipeline::translate::HIDDEN;
use crate::text::PADDING;
use crate::{Result, Tensor};

/// ONNX's number for f32.
const FLOAT: usize = 1;

impl OnnxTensor {
    /// Column `index` of `[B, T]`: `[B, 1]`.
    pub fn column(&self, index: usize) -> Self {
        let ends = [("starts", index), ("ends", index + 1), ("axes", 1)];
        self.moved("Slice", vec![], ends.map(|(role, at)| Operand::Ints(role, vec![at])), [self.dims()[0], 1])
    }

    fn unsqueezed(&self, axis: usize) -> Self {
        let mut dims = self.dims().to_vec();
        dims.insert(axis, 1);
        self.moved("Unsqueeze", vec![], [Operand::Ints("axes", vec![axis])], dims)
    }

    /// As floats: 1 where this is true, and 0 elsewhere.
    fn counted(&self) -> Self {
        self.map(Operator::new("Cast", [self.operand()]).with("to", Attribute::Int(FLOAT)))
    }

    /// Whether `words` `[B, T]` stand behind the end of their sentence.
    fn padding(&self) -> Self {
        self.map(Operator::new("Equal", [self.operand(), Operand::Ints("padding", vec![PADDING as usize])]))
    }

    /// `[B, 1, T]`: very negative where `words` `[B, T]` are behind the end of their sentence.
    ///
    /// # Errors
    /// Those of [`Tensor::affine`].
    pub fn end_mask(&self) -> Result<Self> {
        Ok(self.padding().counted().affine(HIDDEN, 0.0)?.unsqueezed(1))
    }

    /// `[B, 1, features]`: 1 where `words` `[B, 1]` stand, 0 behind the end of their sentence.
    pub fn presence(&self, features: usize) -> Self {
        let padding = self.padding();
        let present = padding.map(Operator::new("Not", [padding.operand()])).counted().unsqueezed(2);
        let ones = Operand::Floats("ones", vec![1.0; features]);
        Operator::new("Mul", [present.operand(), ones]).gives([self.dims()[0], 1, features], Sizes::Recorded)
    }

    /// `[B, T]`: where in their sentence `words` `[B, T]` stand.
    ///
    /// # Errors
    /// As [`OnnxTensor::end_mask`].
    pub fn positions(&self) -> Result<Self> {
        let ones = self.counted().affine(0.0, 1.0)?;
        let sum = Operator::new("CumSum", [ones.operand(), Operand::Ints("axis", vec![1])]);
        Ok(ones.map(sum.with("exclusive", Attribute::Int(1))))
    }

    /// `[B, T, T]`: very negative where a word of `words` `[B, T]` would see a later one.
    ///
    /// # Errors
    /// As [`OnnxTensor::end_mask`].
    pub fn later_mask(&self) -> Result<Self> {
        let [b, t] = [self.dims()[0], self.dims()[1]];
        let positions = self.positions()?;
        let operands = [1, 2].map(|axis| positions.unsqueezed(axis).operand());
        Operator::new("Greater", operands).gives([b, t, t], Sizes::Recorded).counted().affine(HIDDEN, 0.0)
    }
}
