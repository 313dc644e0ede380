// Counts the organisations that cosigned a root: C2SP tlog-cosignature (Ed25519), in the reader's own
// browser. The same checks, in the same order, as audit/verifier/cosignature.py.
import { ProofFailed, fromBase64, keyOf, toHex, verified } from "./merkle.js";

const COSIGNATURE = 4;
const text = new TextEncoder();

// note: of readNote; policy: {minimum, organisations: {name: [verifier keys]}}, that of the page.
// Gives the organisations' names; null: this browser has no Ed25519.
export async function cosigners(note, policy) {
  const found = [];
  for (const [organisation, keys] of Object.entries(policy.organisations)) {
    const outcomes = [];
    for (const key of keys) outcomes.push(...(await ofKey(note, key)));
    if (outcomes.includes(null)) return null;
    if (outcomes.length > 0) found.push(organisation);
  }
  return found.sort();
}

// true for each line of the key; a line of a known key that does not verify spoils the whole note.
async function ofKey(note, key) {
  const { name, id, body } = await keyOf(key, COSIGNATURE);
  const outcomes = [];
  for (const line of note.signatures.filter((one) => one.startsWith(`\u2014 ${name} `))) {
    const blob = fromBase64(line.split(" ")[2] ?? "");
    // 1. whose
    if (toHex(blob.slice(0, 4)) !== id) continue;
    // 2. its time
    if (blob.length !== 76) throw new ProofFailed("signature");
    const seconds = new DataView(blob.buffer, 4).getBigUint64(0);
    if (seconds >= 2n ** 63n) throw new ProofFailed("signature");
    // 3. its signature
    const message = text.encode(`cosignature/v1\ntime ${seconds}\n${note.body}`);
    outcomes.push(await verified(body, blob.slice(12), message));
  }
  return outcomes;
}
