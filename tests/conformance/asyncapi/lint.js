// lint.js FILE - is FILE a valid AsyncAPI document? Errors and warnings end it with 1.
//
// lint.js --self-test FILE breaks the document in several ways and expects each to be found.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const SEVERITY = ["error", "warning", "information", "hint"];
const WARNING = 1;

async function lint(text) {
  const { document, diagnostics } = await new Parser().parse(text);
  return { valid: document !== undefined, diagnostics };
}

function print(file, { diagnostics }) {
  for (const found of diagnostics) {
    const line = found.range.start.line + 1;
    console.log(`${file}:${line}: ${SEVERITY[found.severity]}: ${found.message}`);
  }
}

const DAMAGES = [
  ["unknown version", (text) => text.replace(/^asyncapi: .*$/m, 'asyncapi: "3.99.0"')],
  ["reference to nothing", (text) => text.replace("#/components/messages/deploy.failed.v1", "#/components/messages/none")],
  ["no such action", (text) => text.replace("action: receive", "action: fold")],
  ["topic that is no text", (text) => text.replace("topic: busline.scale", "topic: 7")],
  ["type that JSON Schema does not have", (text) => text.replace("type: integer", "type: whole")],
  ["message without its payload's schema", (text) => text.replace("\n    scale.failed.v1:\n      x-", "\n    scale.gone.v1:\n      x-")],
];

async function selfTest(text) {
  let missed = 0;
  for (const [name, damage] of DAMAGES) {
    const broken = damage(text);
    const { valid, diagnostics } = await lint(broken);
    const found = broken !== text && (!valid || diagnostics.some((d) => d.severity <= WARNING));
    console.log(`${found ? "found " : "MISSED"} ${name}`);
    missed += found ? 0 : 1;
  }
  return missed === 0;
}

const self = process.argv[2] === "--self-test";
const file = process.argv[self ? 3 : 2];
const text = await readFile(file, "utf8");
let good;
if (self) {
  good = await selfTest(text);
} else {
  const result = await lint(text);
  print(file, result);
  good = result.valid && !result.diagnostics.some((d) => d.severity <= WARNING);
  console.log(`${file}: ${good ? "valid" : "NOT valid"}`);
}
process.exit(good ? 0 : 1);
