// onnxruntime-web, as it comes: its distribution is made of whole modules.

// For WebGPU it has two. The one that its name imports, 28.7 MB, runs `style 32` on a software adapter in 1.1 s; the newer one on
// JSPI, 16.9 MB, in 2.1 s, and other networks as fast. So `ort` is the first, and `ort-jspi` can be asked for.
const BUILDS = {
  webgpu: { ort: () => import("./ort/ort.bundle.min.mjs"), "ort-jspi": () => import("./ort/ort.jspi.bundle.min.mjs") },
  wasm: { ort: () => import("./ort/ort.wasm.bundle.min.mjs") },
};

export async function load({ runtime, url, backend, threads, dims }) {
  const ort = await BUILDS[backend][runtime]();
  ort.env.wasm.numThreads = threads;
  if (backend === "webgpu") ort.env.webgpu.powerPreference = "high-performance";
  const session = await ort.InferenceSession.create(url, {
    executionProviders: [backend],
    graphOptimizationLevel: "all",
    // Sizes that are known beforehand let it fold what depends on them.
    freeDimensionOverrides: { batch: dims[0], height: dims[2], width: dims[3] },
  });
  const [name] = session.inputNames;
  const [result] = session.outputNames;
  return async (input) => {
    const outputs = await session.run({ [name]: new ort.Tensor("float32", input, dims) });
    return outputs[result].getData(true);
  };
}
