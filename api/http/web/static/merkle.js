// Checks an entry of the log in the reader's own browser (RFC 9162 section 2.1.3.2).
// The same checks, in the same order, as audit/verifier/receipt.py; nothing is sent anywhere.
const text = new TextEncoder();
const DOMAIN = "credence/1|audit-payload|";
const LOG_KEY = 1;

export class ProofFailed extends Error {
  // reason: form | content | path | signature
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

export async function check(proof) {
  // 1. form
  const size = checkForm(proof);
  const leaf = text.encode(proof.leaf);
  // 2. the content is what the leaf commits to
  const commitment = await sha256(text.encode(DOMAIN), fromHex(proof.salt), text.encode(proof.payload));
  if (toHex(commitment) !== JSON.parse(proof.leaf).pc) throw new ProofFailed("content");
  // 3. the leaf leads to the signed root
  const note = readNote(proof.checkpoint);
  const root = await rootOf(proof.seq, size, leaf, proof.path.map(fromHex));
  if (!same(root, note.root)) throw new ProofFailed("path");
  // 4. the root is signed by the key in the file
  const signed = await checkSignature(note, proof.key);
  return { seq: proof.seq, size, log: note.origin, root: toHex(root), signed, key: proof.key, note };
}

export async function rootOf(seq, size, leaf, path) {
  let node = await sha256(Uint8Array.of(0), leaf);
  let at = seq;
  let last = size - 1;
  for (const sibling of path) {
    if (last === 0) throw new ProofFailed("path");
    if (at % 2 === 1 || at === last) {
      node = await sha256(Uint8Array.of(1), sibling, node);
      while (at % 2 === 0 && at !== 0) {
        at = half(at);
        last = half(last);
      }
    } else {
      node = await sha256(Uint8Array.of(1), node, sibling);
    }
    at = half(at);
    last = half(last);
  }
  if (last !== 0) throw new ProofFailed("path");
  return node;
}

function checkForm(proof) {
  const texts = ["leaf", "payload", "salt", "checkpoint", "key"];
  const whole =
    proof !== null &&
    typeof proof === "object" &&
    proof.format === "credence.receipt/1" &&
    Number.isSafeInteger(proof.seq) &&
    Array.isArray(proof.path) &&
    proof.path.length <= 64 &&
    texts.every((name) => typeof proof[name] === "string");
  if (!whole) throw new ProofFailed("form");
  const { size } = readNote(proof.checkpoint);
  if (!(proof.seq >= 0 && proof.seq < size)) throw new ProofFailed("path");
  return size;
}

export function readNote(note) {
  const gap = note.lastIndexOf("\n\n");
  const body = note.slice(0, gap + 1);
  const lines = body.split("\n");
  const size = Number(lines[1]);
  if (gap < 0 || lines.length < 4 || !Number.isSafeInteger(size)) throw new ProofFailed("form");
  const root = fromBase64(lines[2]);
  if (root.length !== 32) throw new ProofFailed("form");
  return { body, origin: lines[0], size, root, signatures: note.slice(gap + 2).trimEnd().split("\n") };
}

// true: signed; null: this browser has no Ed25519, and says so rather than claim it.
export async function checkSignature(note, key) {
  const { name, id, body } = await keyOf(key, LOG_KEY);
  const line = note.signatures.find((one) => one.startsWith(`\u2014 ${name} `));
  if (line === undefined) throw new ProofFailed("signature");
  const blob = fromBase64(line.split(" ")[2] ?? "");
  if (toHex(blob.slice(0, 4)) !== id) throw new ProofFailed("signature");
  return verified(body, blob.slice(4), text.encode(note.body));
}

// A verifier key of C2SP signed-note: its name, its id and the public key's 32 bytes.
export async function keyOf(key, type) {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(key);
  if (match === null) throw new ProofFailed("form");
  const [name, id, encoded] = match.slice(1);
  const body = fromBase64(encoded);
  if (body.length !== 33 || body[0] !== type) throw new ProofFailed("form");
  const own = await sha256(text.encode(`${name}\n`), body);
  if (toHex(own.slice(0, 4)) !== id) throw new ProofFailed("signature");
  return { name, id, body: body.slice(1) };
}

// true, or ProofFailed("signature"); null: this browser has no Ed25519.
export async function verified(publicKey, signature, message) {
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
  } catch {
    return null;
  }
  const holds = await crypto.subtle.verify("Ed25519", imported, signature, message);
  if (!holds) throw new ProofFailed("signature");
  return true;
}

export async function sha256(...parts) {
  const joined = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined));
}

export function half(number) {
  return Math.floor(number / 2);
}

export function fromHex(hex) {
  if (typeof hex !== "string" || !/^[0-9a-f]{64}$/.test(hex)) throw new ProofFailed("form");
  return Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16));
}

export function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function fromBase64(encoded) {
  try {
    return Uint8Array.from(atob(encoded), (one) => one.charCodeAt(0));
  } catch {
    throw new ProofFailed("form");
  }
}

export function same(left, right) {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}
