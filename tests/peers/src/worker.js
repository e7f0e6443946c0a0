// Runs one runtime. Every runtime is a module with one function, `load`, which returns another, `run`:
//   load({ runtime, url, backend, threads, dims }) -> run(Float32Array) -> Float32Array
// `url` is a file that the runtime fetches by itself; the arrays are planar, [1, channels, height, width].

// Each arrives when it is asked for, so that a page loads only what it measures.
const RUNTIMES = {
  atelier: () => import("./runtimes/atelier.js"),
  ort: () => import("./runtimes/ort.js"),
  "ort-jspi": () => import("./runtimes/ort.js"),
  tfjs: () => import("./runtimes/tfjs.js"),
};

// Fewer runs have no median worth the name.
const LEAST_RUNS = 3;

// Runs that are not counted: browsers compile WebAssembly a second time, for speed, once it has run for a while.
const WARM_UP = 1000;

const message = () => new Promise((resolve) => addEventListener("message", ({ data }) => resolve(data), { once: true }));

async function measure({ runs, seconds, input, ...network }) {
  const { load } = await RUNTIMES[network.runtime]();
  const run = await load(network);
  const output = await run(input);
  const goOn = message();
  postMessage({ output });
  await goOn;

  const warm = performance.now() + WARM_UP;
  do await run(input);
  while (performance.now() < warm);

  const times = [];
  const deadline = performance.now() + 1000 * seconds;
  while (times.length < runs && (times.length < LEAST_RUNS || performance.now() < deadline)) {
    const start = performance.now();
    await run(input);
    times.push(performance.now() - start);
  }
  return { times };
}

try {
  postMessage(await measure(await message()));
} catch (error) {
  postMessage({ error: error?.message || String(error) });
}
