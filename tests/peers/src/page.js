// One measurement: a page load, one runtime in a worker, one network, one size. `?adapter` asks only what the GPU is.

const query = new URL(location).searchParams;

async function report(result) {
  await fetch("report", { method: "POST", body: JSON.stringify(result) });
}

async function adapter() {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return {};
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
  return { adapter: { vendor, architecture, description, software: isFallbackAdapter } };
}

// mulberry32: the same values in 0..1 for every runtime.
function picture(length) {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  });
}

function measure() {
  const size = Number(query.get("size"));
  const dims = [1, 3, size, size];
  const task = {
    runtime: query.get("runtime"),
    backend: query.get("backend"),
    url: new URL(query.get("network"), location).href,
    threads: Number(query.get("threads")),
    runs: Number(query.get("runs")),
    seconds: Number(query.get("seconds")),
    dims,
    input: picture(3 * size * size),
  };
  return new Promise((resolve, reject) => {
    // The clock starts when nothing of the runtime is here, and stops when its first output is.
    const start = performance.now();
    let first;
    const worker = new Worker("worker.js", { type: "module" });
    worker.onerror = (event) => reject(new Error(event.message || "the worker does not start"));
    worker.onmessage = async ({ data }) => {
      if (data.error) reject(new Error(data.error));
      else if (data.output) {
        first = performance.now() - start;
        await fetch("output", { method: "POST", body: data.output });
        // Only now, so that sending does not disturb the runs that follow.
        worker.postMessage("go on");
      } else resolve({ first, ...data });
    };
    worker.postMessage(task);
  });
}

try {
  await report(query.has("adapter") ? await adapter() : await measure());
} catch (error) {
  await report({ error: error?.message || String(error) });
}
