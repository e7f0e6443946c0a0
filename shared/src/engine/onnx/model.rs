//! From a recording to a file.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::OnnxTensor;
use super::proto::{
    AttributeProto, AttributeType, Axis, Dimension, ElementType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorType, TypeProto, ValueInfoProto,
};
use super::tensor::{Attribute, Op, Operand, Operator, Sizes};
use crate::{Error, Result, Tensor};

/// The version of ONNX's operators that models use: old enough for every runtime in use, and nothing here needs more.
pub const OPSET: i64 = 17;

/// The version of the file format that came with [`OPSET`].
const IR_VERSION: i64 = 8;

/// Protobuf's limit for a file, 2 GiB.
const LARGEST: usize = i32::MAX as usize;

const INPUT: &str = "input";
const OUTPUT: &str = "output";

/// A model as ONNX describes it, with parameters under their own names.
///
/// One of pictures goes from `input` to `output`. The axes N, H and W are named `batch`, `height` and `width` in the input and
/// `batch`, `output_height` and `output_width` in the output, and take any size. Where [`Model::takes_any_size`] is false they are numbers, as are axes of other ranks.
pub struct Model {
    proto: ModelProto,
    parameters: usize,
    takes_any_size: bool,
}

/// What goes in or comes out: its name, and names of its axes that take any size; one without a name has the recorded one.
pub struct Port<'a> {
    /// As callers know it.
    pub name: &'a str,
    /// What it is.
    pub tensor: &'a OnnxTensor,
    /// One for every axis.
    pub axes: &'a [&'a str],
}

impl Model {
    /// The model `name` that computes `output` from `input`.
    ///
    /// # Errors
    /// [`Error::Onnx`] when `output` needs another input, or two different values have one name.
    pub fn new(name: &str, input: &OnnxTensor, output: &OnnxTensor) -> Result<Self> {
        let takes_any_size = output.0.sizes == Sizes::Every;
        let free = takes_any_size && input.dims().len() == 4;
        let axes = |axes| if free { axes } else { [""; 4] };
        let (inside, outside) = (axes(["batch", "", "height", "width"]), axes(["batch", "", "output_height", "output_width"]));
        let input = Port { name: INPUT, tensor: input, axes: &inside };
        let model = Self::of(name, &[input], &Port { name: OUTPUT, tensor: output, axes: &outside })?;
        Ok(Self { takes_any_size, ..model })
    }

    /// The model `name` of any inputs; which axes take any size is up to who says so.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn of(name: &str, inputs: &[Port], output: &Port) -> Result<Self> {
        let mut graph = Graph { proto: GraphProto { name: name.to_owned(), ..Default::default() }, ..Default::default() };
        for input in inputs {
            graph.claim(input.name)?;
            graph.values.insert(input.tensor.0.id, input.name.to_owned());
            graph.proto.input.push(value(input)?);
        }
        for tensor in &needed(output.tensor) {
            graph.add(tensor, output)?;
        }
        if !matches!(output.tensor.0.op, Op::Operator(_)) {
            // An output must be computed by something.
            let operands = vec![Operand::Tensor(output.tensor.clone())];
            graph.node(&Operator { kind: "Identity", operands, attributes: Vec::new() }, output.name)?;
        }
        graph.proto.output.push(value(output)?);
        let proto = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "atelier".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph.proto),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            metadata_props: Vec::new(),
        };
        Ok(Self { proto, parameters: graph.parameters, takes_any_size: false })
    }

    /// With a fact that readers find among the model's metadata.
    pub fn with_metadata(mut self, key: &str, value: String) -> Self {
        self.proto.metadata_props.push(StringStringEntryProto { key: key.to_owned(), value });
        self
    }

    /// Whether the model is right for every batch, height and width, and not only for the recorded ones.
    pub fn takes_any_size(&self) -> bool {
        self.takes_any_size
    }

    /// How many operators it takes.
    pub fn nodes(&self) -> usize {
        self.proto.graph.as_ref().map_or(0, |graph| graph.node.len())
    }

    /// How many numbers its parameters are.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// The file's content, the same bytes for the same recording.
    ///
    /// # Errors
    /// [`Error::Onnx`] when it is too large for the format.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let length = self.proto.encoded_len();
        if length > LARGEST {
            return Err(Error::Onnx(format!("the model takes {length} bytes; a file holds at most {LARGEST}")));
        }
        Ok(self.proto.encode_to_vec())
    }
}

/// `output` and all that it needs, operands first.
fn needed(output: &OnnxTensor) -> Vec<OnnxTensor> {
    let mut found = HashMap::new();
    let mut open = vec![output.clone()];
    while let Some(tensor) = open.pop() {
        if let Op::Operator(operator) = &tensor.0.op
            && !found.contains_key(&tensor.0.id)
        {
            open.extend(operator.operands.iter().filter_map(|o| if let Operand::Tensor(t) = o { Some(t.clone()) } else { None }));
        }
        found.insert(tensor.0.id, tensor);
    }
    let mut all: Vec<_> = found.into_values().collect();
    all.sort_by_key(|tensor| tensor.0.id);
    all
}

/// A graph in the making.
#[derive(Default)]
struct Graph {
    proto: GraphProto,
    /// The names of the values of recorded tensors.
    values: HashMap<u64, String>,
    /// All names in use.
    names: HashSet<String>,
    /// Parameters by name: a network may read one twice.
    stored: HashMap<String, OnnxTensor>,
    parameters: usize,
}

impl Graph {
    /// Adds a tensor whose operands have been added.
    fn add(&mut self, tensor: &OnnxTensor, output: &Port) -> Result<()> {
        let name = match &tensor.0.op {
            Op::Input { .. } if self.values.contains_key(&tensor.0.id) => return Ok(()),
            Op::Input { .. } => return Err(Error::Onnx("the result needs another input than the model's".into())),
            Op::Parameter { name, values } => {
                self.parameter(name, values, tensor)?;
                name.clone()
            }
            Op::Operator(operator) => {
                let name = if tensor.0.id == output.tensor.0.id {
                    output.name.to_owned()
                } else {
                    format!("{}_{}", operator.kind, self.proto.node.len())
                };
                self.node(operator, &name)?;
                name
            }
        };
        self.values.insert(tensor.0.id, name);
        Ok(())
    }

    fn parameter(&mut self, name: &str, values: &[f32], tensor: &OnnxTensor) -> Result<()> {
        if let Some(known) = self.stored.get(name) {
            let same = known.dims() == tensor.dims() && matches!(&known.0.op, Op::Parameter { values: v, .. } if v == values);
            return if same { Ok(()) } else { Err(Error::Onnx(format!("two parameters are called `{name}`"))) };
        }
        self.stored.insert(name.to_owned(), tensor.clone());
        self.parameters += values.len();
        self.initializer(name, ElementType::Float, tensor.dims(), floats(values))
    }

    fn initializer(&mut self, name: &str, kind: ElementType, dims: &[usize], raw_data: Vec<u8>) -> Result<()> {
        self.claim(name)?;
        let dims = ints(dims)?;
        self.proto.initializer.push(TensorProto { dims, data_type: kind.into(), name: name.to_owned(), raw_data });
        Ok(())
    }

    /// The node that computes the value `name`, and carries its name.
    fn node(&mut self, operator: &Operator, name: &str) -> Result<()> {
        self.claim(name)?;
        let mut input = Vec::with_capacity(operator.operands.len());
        for operand in &operator.operands {
            input.push(self.operand(operand, name)?);
        }
        let attribute = operator.attributes.iter().map(|(name, value)| attribute(name, value)).collect::<Result<_>>()?;
        let (name, output) = (name.to_owned(), vec![name.to_owned()]);
        self.proto.node.push(NodeProto { input, output, name, op_type: operator.kind.to_owned(), attribute });
        Ok(())
    }

    /// The name of what the node `reader` reads.
    fn operand(&mut self, operand: &Operand, reader: &str) -> Result<String> {
        let named = |role: &str| format!("{reader}.{role}");
        Ok(match operand {
            Operand::Absent => String::new(),
            Operand::Tensor(tensor) => self.values.get(&tensor.0.id).cloned().unwrap_or_default(),
            Operand::Scalar(role, value) => {
                self.initializer(&named(role), ElementType::Float, &[], floats(&[*value]))?;
                named(role)
            }
            Operand::Floats(role, values) => {
                self.initializer(&named(role), ElementType::Float, &[values.len()], floats(values))?;
                named(role)
            }
            Operand::Ints(role, values) => {
                let bytes = ints(values)?.iter().flat_map(|v| v.to_le_bytes()).collect();
                self.initializer(&named(role), ElementType::Int64, &[values.len()], bytes)?;
                named(role)
            }
        })
    }

    /// Takes a name that nothing else may have.
    fn claim(&mut self, name: &str) -> Result<()> {
        if self.names.insert(name.to_owned()) { Ok(()) } else { Err(Error::Onnx(format!("two values are called `{name}`"))) }
    }
}

fn attribute(name: &str, value: &Attribute) -> Result<AttributeProto> {
    let mut proto = AttributeProto { name: name.to_owned(), ..Default::default() };
    match value {
        Attribute::Float(value) => {
            proto.set_type(AttributeType::Float);
            proto.f = Some(*value);
        }
        Attribute::Int(value) => {
            proto.set_type(AttributeType::Int);
            proto.i = Some(int(*value)?);
        }
        Attribute::Ints(values) => {
            proto.set_type(AttributeType::Ints);
            proto.ints = ints(values)?;
        }
        Attribute::Text(value) => {
            proto.set_type(AttributeType::String);
            proto.s = Some(value.as_bytes().to_vec());
        }
    }
    Ok(proto)
}

/// An input or output.
fn value(Port { name, tensor, axes }: &Port) -> Result<ValueInfoProto> {
    let named =
        |(size, name): (i64, &&str)| if name.is_empty() { Axis::DimValue(size) } else { Axis::DimParam((*name).to_owned()) };
    let fixed = [""; 8];
    let axes = axes.iter().chain(&fixed);
    let dim = ints(tensor.dims())?.into_iter().zip(axes).map(named).map(|axis| Dimension { value: Some(axis) }).collect();
    let kind = if matches!(tensor.0.op, Op::Input { whole: true }) { ElementType::Int64 } else { ElementType::Float };
    let tensor = TensorType { elem_type: kind.into(), shape: Some(TensorShapeProto { dim }) };
    Ok(ValueInfoProto { name: (*name).to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) })
}

/// Little-endian bytes.
fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn ints(values: &[usize]) -> Result<Vec<i64>> {
    values.iter().map(|&v| int(v)).collect()
}

fn int(value: usize) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::Onnx(format!("{value} is too large")))
}
