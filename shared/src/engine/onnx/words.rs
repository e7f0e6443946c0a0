//! What networks for sentences are told beside the words, computed from the words.

use super::OnnxTensor;
use super::tensor::{Attribute, Operand, Operator, Sizes};
use crate::Tensor;
use crate::pipeline::translate::HIDDEN;
use crate::text::PADDING;

/// ONNX's number for f32.
const FLOAT: usize = 1;

impl OnnxTensor {
    fn from(&self, kind: &'static str, operands: Vec<Operand>, dims: impl Into<Vec<usize>>) -> Self {
        Operator { kind, operands, attributes: Vec::new() }.gives(dims, Sizes::Recorded)
    }

    /// Column `index` of `[B, T]`: `[B, 1]`.
    pub fn column(&self, index: usize) -> Self {
        let ends = [("starts", index), ("ends", index + 1), ("axes", 1)];
        let operands = std::iter::once(self.operand()).chain(ends.map(|(role, at)| Operand::Ints(role, vec![at])));
        self.from("Slice", operands.collect(), [self.dims()[0], 1])
    }

    fn unsqueezed(&self, axis: usize) -> Self {
        let mut dims = self.dims().to_vec();
        dims.insert(axis, 1);
        self.from("Unsqueeze", vec![self.operand(), Operand::Ints("axes", vec![axis])], dims)
    }

    /// 1 where this is true, and 0 elsewhere.
    fn counted(&self) -> Self {
        let operator = Operator { kind: "Cast", operands: vec![self.operand()], attributes: vec![("to", Attribute::Int(FLOAT))] };
        operator.gives(self.dims(), Sizes::Recorded)
    }

    /// Very negative where this is true, and 0 elsewhere.
    fn hiding(&self) -> Self {
        let counted = self.counted();
        counted.from("Mul", vec![counted.operand(), Operand::Scalar("hidden", HIDDEN)], self.dims())
    }

    /// Whether `words` `[B, T]` stand behind the end of their sentence.
    fn padding(&self) -> Self {
        self.from("Equal", vec![self.operand(), Operand::Ints("padding", vec![PADDING as usize])], self.dims())
    }

    /// `[B, 1, T]`: very negative where `words` `[B, T]` are behind the end of their sentence.
    pub fn end_mask(&self) -> Self {
        self.padding().hiding().unsqueezed(1)
    }

    /// `[B, 1, features]`: 1 where `words` `[B, 1]` stand, 0 behind the end of their sentence.
    pub fn presence(&self, features: usize) -> Self {
        let padding = self.padding();
        let present = padding.from("Not", vec![padding.operand()], self.dims()).counted().unsqueezed(2);
        let ones = Operand::Floats("ones", vec![1.0; features]);
        present.from("Mul", vec![present.operand(), ones], [self.dims()[0], 1, features])
    }

    /// `[B, T]`: where in their sentence `words` `[B, T]` stand.
    pub fn positions(&self) -> Self {
        // Affine to 1, whatever they are.
        let number = self.counted();
        let nothing = number.from("Mul", vec![number.operand(), Operand::Scalar("scale", 0.0)], self.dims());
        let ones = nothing.from("Add", vec![nothing.operand(), Operand::Scalar("shift", 1.0)], self.dims());
        let operator = Operator {
            kind: "CumSum",
            operands: vec![ones.operand(), Operand::Ints("axis", vec![1])],
            attributes: vec![("exclusive", Attribute::Int(1))],
        };
        operator.gives(self.dims(), Sizes::Recorded)
    }

    /// `[B, T, T]`: very negative where a word of `words` `[B, T]` would see a later one.
    pub fn later_mask(&self) -> Self {
        let [b, t] = [self.dims()[0], self.dims()[1]];
        let positions = self.positions();
        let operands = vec![positions.unsqueezed(1).operand(), positions.unsqueezed(2).operand()];
        positions.from("Greater", operands, [b, t, t]).hiding()
    }
}
