// TensorFlow.js, which reads no ONNX: its operations, called in the order of the file. Tensors are NHWC inside, as it likes them.
import * as tf from "@tensorflow/tfjs-core";
import { graph } from "./onnx.js";

const BACKENDS = {
  webgpu: () => import("@tensorflow/tfjs-backend-webgpu"),
  async wasm(threads) {
    const backend = await import("@tensorflow/tfjs-backend-wasm");
    backend.setWasmPaths(new URL("tfjs/", import.meta.url).href);
    if (threads > 1) backend.setThreadsCount(threads);
    // The build without threads is the faster one for one.
    else tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  },
};

export async function load({ url, backend, threads, dims }) {
  const file = fetch(url).then((response) => response.arrayBuffer());
  await BACKENDS[backend](threads);
  if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js has no ${backend} here`);
  const network = compile(graph(await file));
  return async (input) => {
    const output = tf.tidy(() => network(tf.tensor4d(input, dims)));
    const values = await output.data();
    output.dispose();
    return values;
  };
}

// The graph as a function: a list of calls, and what can be freed after each.
function compile({ nodes, constants, input, output }) {
  const calls = fuse(nodes.filter((node) => !fold(node, constants)), output).map((node) => {
    const make = OPERATIONS[node.type];
    if (!make) throw new Error(`the interpreter has no ${node.type}`);
    const stored = node.inputs.map((name) => constants.get(name));
    const operation = make(node.attributes, stored, node);
    const inputs = node.inputs.filter((name, i) => operation.broadcasts || (name && !stored[i]));
    return { operation, inputs, output: node.outputs[0] };
  });
  const scalars = new Map();
  for (const name of calls.flatMap(({ inputs }) => inputs).filter((name) => constants.has(name))) {
    const { data } = constants.get(name);
    if (data.length !== 1) throw new Error(`${name}: only a single number can be broadcast`);
    scalars.set(name, tf.scalar(data[0]));
  }
  const last = new Map(calls.flatMap(({ inputs }, i) => inputs.map((name) => [name, i])));

  return (x) => {
    const live = new Map([...scalars, [input, tf.transpose(x, [0, 2, 3, 1])]]);
    calls.forEach(({ operation, inputs, output }, i) => {
      live.set(output, tf.tidy(() => operation(...inputs.map((name) => live.get(name)))));
      for (const name of new Set(inputs)) if (last.get(name) === i && !scalars.has(name)) live.get(name).dispose();
    });
    return tf.transpose(live.get(output), [0, 3, 1, 2]);
  };
}

// What a node makes of constants becomes one: the parameters of a norm, of a mixture of styles.
function fold({ type, inputs, outputs }, constants) {
  const known = inputs.map((name) => constants.get(name));
  if (!FOLDED[type] || !known.every((constant) => constant)) return false;
  constants.set(outputs[0], FOLDED[type](...known));
  return true;
}

const FOLDED = {
  Transpose({ dims: [rows, columns], data }) {
    return { dims: [columns, rows], data: data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)]) };
  },
  MatMul({ data: row }, { dims: [, columns], data }) {
    const sum = (column) => row.reduce((sum, value, i) => sum + value * data[i * columns + column], 0);
    return { dims: [columns], data: Float32Array.from({ length: columns }, (_, column) => sum(column)) };
  },
};

// Convolutions take over what follows them and nothing else reads: an activation, and the order of a DepthToSpace.
function fuse(nodes, output) {
  const readers = new Map([[output, 1]]);
  for (const name of nodes.flatMap(({ inputs }) => inputs)) readers.set(name, (readers.get(name) ?? 0) + 1);
  const convolutions = new Map(nodes.filter(({ type }) => type === "Conv").map((conv) => [conv.outputs[0], conv]));
  return nodes.filter((node) => {
    const [x] = node.inputs;
    const conv = convolutions.get(x);
    if (!conv || readers.get(x) !== 1) return true;
    if (node.type === "DepthToSpace") conv.reordered = node.reordered = node.attributes.blocksize;
    if (node.type !== "Relu" && node.type !== "LeakyRelu") return true;
    conv.activation = node.type.toLowerCase();
    conv.slope = node.attributes.alpha ?? 0.01;
    conv.outputs = node.outputs;
    return false;
  });
}

const broadcasting = (operation) => () => Object.assign((a, b) => operation(a, b), { broadcasts: true });

// By the type of a node, from its attributes and stored inputs: the operation on its other inputs.
const OPERATIONS = {
  Conv({ strides = [1, 1], pads = [0, 0, 0, 0] }, [, weight, bias], { activation = "linear", slope, reordered }) {
    const rows = ({ data, dims }) => (reordered ? depthFirst(data, dims[0], reordered) : data);
    const filter = tf.tidy(() => tf.transpose(tf.tensor4d(rows(weight), weight.dims), [2, 3, 1, 0]));
    const options = {
      filter,
      strides,
      pad: pads.every((pad) => pad === pads[0]) ? pads[0] : [[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]],
      dimRoundingMode: "floor",
      bias: bias && tf.tensor1d(rows(bias)),
      activation,
      leakyreluAlpha: slope,
    };
    return (x) => tf.fused.conv2d({ x, ...options });
  },
  Relu: () => tf.relu,
  LeakyRelu: ({ alpha = 0.01 }) => (x) => tf.leakyRelu(x, alpha),
  Clip: (_, [, low, high]) => (x) => tf.clipByValue(x, low.data[0], high.data[0]),
  Sigmoid: () => tf.sigmoid,
  Add: broadcasting(tf.add),
  Sub: broadcasting(tf.sub),
  Mul: broadcasting(tf.mul),
  Concat({ axis }) {
    if (axis !== 1) throw new Error(`Concat along ${axis}`);
    return (...inputs) => tf.concat(inputs, 3);
  },
  DepthToSpace({ blocksize, mode }, _, node) {
    if (mode !== "CRD") throw new Error(`DepthToSpace in the order ${mode}`);
    if (!node.reordered) throw new Error("DepthToSpace without a convolution of its own before it");
    return (x) => tf.depthToSpace(x, blocksize);
  },
  Resize({ mode }, [, , scales]) {
    const [, , vertical, horizontal] = scales?.data ?? [];
    if (mode !== "nearest" || !scales) throw new Error(`Resize ${mode}`);
    return (x) => tf.image.resizeNearestNeighbor(x, [x.shape[1] * vertical, x.shape[2] * horizontal]);
  },
  Pad({ mode }, [, pads]) {
    if (mode !== "reflect" || !pads) throw new Error(`Pad ${mode}`);
    const [, , top, left, , , bottom, right] = pads.data;
    return (x) => tf.mirrorPad(x, [[0, 0], [top, bottom], [left, right], [0, 0]], "reflect");
  },
  InstanceNormalization({ epsilon = 1e-5 }, [, scale, bias]) {
    const [gain, shift] = [scale, bias].map(({ data }) => tf.tensor1d(data));
    return (x) => {
      if (x.shape[0] !== 1) throw new Error("InstanceNormalization of a batch");
      // Of one picture it is a batch norm with the picture's own statistics, and that is one kernel.
      const { mean, variance } = tf.moments(x, [0, 1, 2]);
      return tf.batchNorm(x, mean, variance, shift, gain, epsilon);
    };
  },
};

// A convolution's parameters with its outputs, `count` rows, in the order in which TensorFlow's depth to space does what ONNX's does
// in CRD order.
function depthFirst(data, count, block) {
  const [row, channels] = [data.length / count, count / block ** 2];
  const from = (output) => (output % channels) * block ** 2 + Math.floor(output / channels);
  return data.map((_, i) => data[from(Math.floor(i / row)) * row + (i % row)]);
}
