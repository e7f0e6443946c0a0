// Atelier: the program that web/src/bin/bench.rs becomes.
import init, { Network } from "./atelier/bench.js";

export async function load({ url, backend, dims: [, , height, width] }) {
  const [weights] = await Promise.all([
    fetch(url).then((response) => response.arrayBuffer()),
    init({ module_or_path: new URL("atelier/bench_bg.wasm", import.meta.url) }),
  ]);
  const network = await Network.load(new Uint8Array(weights), backend);
  return (input) => network.run(input, height, width);
}
