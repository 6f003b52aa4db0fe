// What openings cost on wasm32, in Node: each call of main does a step on 64 envelopes. No imports.
//   cargo build --release --target wasm32-unknown-unknown --manifest-path tests/wasm_cost/Cargo.toml
//   node tests/wasm_cost/run.mjs <target>/wasm32-unknown-unknown/release/wasm-cost.wasm
import { readFileSync } from "node:fs";

const bytes = readFileSync(process.argv[2]);
const { instance } = await WebAssembly.instantiate(bytes, {});
const step = () => {
  const before = process.cpuUsage();
  instance.exports.main(0, 0);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
};
const each = (ms) => `${((ms * 1000) / 64).toFixed(0)} us each of 64`;
console.log(`${bytes.length} bytes`);
step();
console.log(`key set and tables: ${step().toFixed(0)} ms`);
console.log(`seal: ${each(step())}`);
step();
console.log(`opening checked by encrypting again, proof included: ${each(step())}`);
for (let run = 0; run < 3; run++) console.log(`proof alone: ${each(step())}`);
