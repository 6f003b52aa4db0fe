// Compiles each .sol of this folder to a .json beside it:
//   npm ci --ignore-scripts && node build.mjs
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import solc from "solc";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const settings = {
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 200 },
  viaIR: true,
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.deployedBytecode.object", "storageLayout"] } },
};

for (const name of ["Token", "Amm"]) {
  const source = readFileSync(`${name}.sol`, "utf8");
  const input = { language: "Solidity", sources: { [`${name}.sol`]: { content: source } }, settings };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const problems = output.errors ?? [];
  if (problems.length > 0) {
    console.error(problems.map((p) => p.formattedMessage).join("\n"));
    process.exit(1);
  }
  const contract = output.contracts[`${name}.sol`][name];
  const code = contract.evm.deployedBytecode.object;
  const artifact = {
    contract: name,
    solc: solc.version(),
    settings: { evmVersion: settings.evmVersion, optimizer: settings.optimizer, viaIR: settings.viaIR, metadata: settings.metadata },
    sourceSha256: sha256(source),
    codeSha256: sha256(Buffer.from(code, "hex")),
    storage: Object.fromEntries(contract.storageLayout.storage.map((s) => [s.label, Number(s.slot)])),
    abi: contract.abi,
    code: `0x${code}`,
  };
  writeFileSync(`${name}.json`, `${JSON.stringify(artifact, null, 2)}\n`);
  console.log(`${name}: ${code.length / 2} bytes, code sha256 ${artifact.codeSha256}`);
}
