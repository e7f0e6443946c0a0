// The browser cannot start a wasm module by itself; an inline starter would need a hole in the content security policy.
import init from "./page.js";
init({ module_or_path: "./page_bg.wasm" });
