// Reads an ONNX file into a graph, as much of it as the networks need: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  more() {
    return this.at < this.bytes.length;
  }

  varint() {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.bytes[this.at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(BigInt.asIntN(64, value));
    }
  }

  take(length) {
    this.at += length;
    return this.at - length;
  }
}

// The fields of one protobuf message: [number, value], where a value is a number or the bytes of what is nested.
function* fields(bytes) {
  const reader = new Reader(bytes);
  while (reader.more()) {
    const key = reader.varint();
    const read = {
      0: () => reader.varint(),
      1: () => reader.view.getFloat64(reader.take(8), true),
      2: () => {
        const length = reader.varint();
        return bytes.subarray(reader.take(length), reader.at);
      },
      5: () => reader.view.getFloat32(reader.take(4), true),
    }[key & 7];
    if (!read) throw new Error(`not an ONNX file: wire type ${key & 7}`);
    yield [key >> 3, read()];
  }
}

// A repeated integer is packed, or it is not.
function integers(value) {
  if (typeof value === "number") return [value];
  const reader = new Reader(value);
  const found = [];
  while (reader.more()) found.push(reader.varint());
  return found;
}

const text = (bytes) => new TextDecoder().decode(bytes);
const [FLOAT, INT64] = [1, 7];

// { dims, data }: a Float32Array, or an array of integers.
function tensor(bytes) {
  const dims = [];
  let type, name, raw;
  for (const [field, value] of fields(bytes)) {
    if (field === 1) dims.push(...integers(value));
    else if (field === 2) type = value;
    else if (field === 8) name = text(value);
    else if (field === 9) raw = value.slice().buffer;
  }
  if (!raw || (type !== FLOAT && type !== INT64)) throw new Error(`${name}: only raw f32 and int64 are read`);
  return { name, dims, data: type === FLOAT ? new Float32Array(raw) : Array.from(new BigInt64Array(raw), Number) };
}

function attribute(bytes) {
  let name, value;
  const ints = [];
  for (const [field, found] of fields(bytes)) {
    if (field === 1) name = text(found);
    else if (field === 2 || field === 3) value = found;
    else if (field === 4) value = text(found);
    else if (field === 5) value = tensor(found);
    else if (field === 8) ints.push(...integers(found));
  }
  return [name, value ?? ints];
}

function node(bytes) {
  const node = { inputs: [], outputs: [], attributes: {} };
  for (const [field, value] of fields(bytes)) {
    if (field === 1) node.inputs.push(text(value));
    else if (field === 2) node.outputs.push(text(value));
    else if (field === 4) node.type = text(value);
    else if (field === 5) {
      const [name, content] = attribute(value);
      node.attributes[name] = content;
    }
  }
  return node;
}

const name = (bytes) => text(new Map(fields(bytes)).get(1));

// { nodes, constants, input, output }: nodes in the order of the file, constants by name.
export function graph(file) {
  const bytes = new Map(fields(new Uint8Array(file))).get(7);
  if (!bytes) throw new Error("not an ONNX file: no graph");
  const graph = { nodes: [], constants: new Map() };
  for (const [field, value] of fields(bytes)) {
    if (field === 1) graph.nodes.push(node(value));
    else if (field === 5) {
      const { name, ...constant } = tensor(value);
      graph.constants.set(name, constant);
    } else if (field === 11) graph.input = name(value);
    else if (field === 12) graph.output = name(value);
  }
  return graph;
}
