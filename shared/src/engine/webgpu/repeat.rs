//! A plan that is run step after step on the GPU.

use std::sync::Arc;

use super::{Context, GpuTensor, Plan};
use crate::{Error, Result};

/// What the next step gets from the one before.
#[derive(Debug, Clone, Copy)]
pub struct Carry {
    /// The number of the output.
    pub output: usize,
    /// The first element of it that is carried on; as many follow as the input has.
    pub from: usize,
    /// The number of the input.
    pub input: usize,
}

/// Runs a plan many times in one submission: outputs become inputs without leaving the GPU, and only what is noted of every
/// step is read back, of all steps at once.
pub struct Repeat {
    plan: Plan,
    carried: Vec<Carry>,
    noted: Vec<usize>,
}

impl Repeat {
    /// Prepares to compute `outputs` from `inputs` again and again; the outputs of the numbers `noted` are read back.
    ///
    /// # Errors
    /// As [`Plan::of`]; [`Error::Shape`] when something is carried that is not there.
    pub fn new(
        context: &Arc<Context>,
        inputs: &[&GpuTensor],
        outputs: &[&GpuTensor],
        carried: Vec<Carry>,
        noted: Vec<usize>,
    ) -> Result<Self> {
        let plan = Plan::of(context, inputs, outputs)?;
        for &Carry { output, from, input } in &carried {
            let (has, takes) = (plan.outputs.get(output).map(|o| o.elements), plan.inputs.get(input).map(|i| i.elements));
            if takes.and_then(|takes| takes.checked_add(from)).is_none_or(|end| has.is_none_or(|has| end > has)) {
                return Err(Error::shape("repeat", format!("output {output} from {from} does not fill input {input}")));
            }
        }
        if noted.iter().any(|&output| output >= plan.outputs.len()) {
            return Err(Error::shape("repeat", format!("{noted:?} are noted of {} outputs", plan.outputs.len())));
        }
        Ok(Self { plan, carried, noted })
    }

    /// Gives the next step an input.
    ///
    /// # Errors
    /// As [`Plan::give`].
    pub fn give(&self, input: usize, values: &[f32]) -> Result<()> {
        self.plan.give(input, values)
    }

    /// Runs `from` and gives the next step what it puts out, output `i` as input `first + i`. Where the input is larger, e.g. for
    /// a batch of the same, the output is repeated.
    ///
    /// # Errors
    /// [`Error::Shape`] when an output does not divide the input that it is for.
    pub fn give_by(&self, first: usize, from: &Plan) -> Result<()> {
        let pairs: Vec<_> = from.outputs.iter().zip(self.plan.inputs.iter().skip(first)).collect();
        if pairs.len() < from.outputs.len() || pairs.iter().any(|(o, i)| o.elements == 0 || i.elements % o.elements != 0) {
            return Err(Error::shape("repeat", "the outputs of another plan do not fill the inputs"));
        }
        from.submit(|encoder| {
            for (output, input) in pairs {
                for copy in 0..(input.elements / output.elements) as u64 {
                    encoder.copy_buffer_to_buffer(&output.buffer, 0, &input.buffer, copy * output.bytes(), output.bytes());
                }
            }
        });
        Ok(())
    }

    /// Runs so many steps; gives, for every step, the outputs that are noted.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub async fn advance(&self, steps: usize) -> Result<Vec<Vec<Vec<f32>>>> {
        let noted: Vec<_> = self.noted.iter().filter_map(|&output| self.plan.outputs.get(output)).collect();
        let size: u64 = noted.iter().map(|output| output.bytes()).sum();
        let Context { device, queue, .. } = &**self.plan.context();
        let values = self.plan.read(size * steps as u64, |staging| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let mut at = 0;
            for _ in 0..steps {
                self.plan.encode_all(&mut encoder);
                for output in &noted {
                    encoder.copy_buffer_to_buffer(&output.buffer, 0, staging, at, output.bytes());
                    at += output.bytes();
                }
                for &Carry { output, from, input } in &self.carried {
                    let (output, input) = (&self.plan.outputs[output], &self.plan.inputs[input]);
                    let from = (from * size_of::<f32>()) as u64;
                    encoder.copy_buffer_to_buffer(&output.buffer, from, &input.buffer, 0, input.bytes());
                }
            }
            queue.submit([encoder.finish()]);
        });
        let values = values.await?;
        let mut rest = &values[..];
        let mut take = |elements: usize| {
            let (now, after) = rest.split_at(elements.min(rest.len()));
            rest = after;
            now.to_vec()
        };
        Ok((0..steps).map(|_| noted.iter().map(|output| take(output.elements)).collect()).collect())
    }
}
