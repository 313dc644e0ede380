// Checks a leaf, and what it commits to, in the regulator's own browser. Words come from the page.
//
// 1. the leaf that the page shows leads to the root that the log signed with the key beside it,
//    which came from the institution: it is told, and whether it is the one that this browser saw;
// 2. that root continues the newest root that witnesses have cosigned, whose cosignatures verify;
// 3. it continues the newest root that this very browser has seen: it is a witness, too;
// 4. of a disclosed payload: with its salt it is what the leaf commits to.
import { ProofFailed, checkSignature, fromHex, readNote, rootOf, same, sha256, toHex } from "./merkle.js";
import { continues } from "./consistency.js";
import { cosigners } from "./cosignatures.js";

const FORMAT = "credence.oversight-proof/1";
const KEY = "credence-log-head";
const text = new TextEncoder();
const words = JSON.parse(document.getElementById("check-words").textContent);

const place = document.getElementById("proof");
if (place !== null) {
  const button = place.querySelector("button");
  button.hidden = false;
  button.addEventListener("click", () => run(place, button));
}

const opened = document.getElementById("opened");
if (opened !== null) {
  const said = document.getElementById("opening");
  matches(JSON.parse(opened.textContent)).then((holds) => {
    said.className = holds ? "up" : "down";
    said.textContent = holds ? words.matches : words.differs;
  });
}

async function run(at, button) {
  const list = at.querySelector("ul");
  button.disabled = true;
  list.replaceChildren();
  const say = (tone, message) => {
    const item = document.createElement("li");
    item.className = tone;
    item.textContent = message;
    list.append(item);
  };
  try {
    await all(at.dataset.proof, say);
  } catch (error) {
    say("down", error instanceof ProofFailed ? words[error.reason] : words.missing);
  }
  button.disabled = false;
}

async function all(address, say) {
  const seen = remembered();
  const answer = await fetch(seen === null ? address : `${address}?seen=${seen.size}`, {
    headers: { Accept: "application/json" },
  });
  if (!answer.ok) throw new Error("no proof");
  const proof = await answer.json();
  checkForm(proof);
  const now = readNote(proof.checkpoint);
  // 1. the page's own text is what is checked, not the answer's
  const leaf = document.querySelector("pre").textContent;
  if (leaf !== proof.leaf) throw new ProofFailed("content");
  const root = await rootOf(proof.seq, now.size, text.encode(leaf), proof.path.map(fromHex));
  if (!same(root, now.root)) throw new ProofFailed("path");
  const signed = await checkSignature(now, proof.key);
  say("up", fill(words.holds, { size: now.size, root: toHex(now.root).slice(0, 16) }));
  if (signed !== true) say("quiet", words.unsigned);
  say("quiet", fill(words.key, { id: idOf(proof.key) }));
  await fromWitnessed(proof, now, say);
  await fromSeen(proof, now, seen, say);
}

// 2
async function fromWitnessed(proof, now, say) {
  if (proof.witnessed === null) {
    say("quiet", words.unwitnessed);
    return;
  }
  if (proof.witnessed_key === null) throw new ProofFailed("signature");
  const old = readNote(proof.witnessed);
  await checkSignature(old, proof.witnessed_key);
  if (proof.witnessed_key !== proof.key) {
    say("quiet", fill(words.earlier_key, { size: old.size, id: idOf(proof.witnessed_key) }));
  }
  if (proof.from_witnessed === null) throw new ProofFailed("consistency");
  await continues(old, now, proof.from_witnessed);
  const policy = JSON.parse(document.getElementById("witness-policy").textContent);
  const names = await cosigners(old, policy);
  if (names === null) {
    say("quiet", words.unsigned);
    return;
  }
  const { minimum } = policy;
  const said = { size: old.size, count: names.length, names: names.join(", ") || "–", minimum };
  say(names.length < minimum ? "down" : "up", fill(words.from_witnessed, said));
  if (names.length < minimum) say("down", words.few);
}

// 3
async function fromSeen(proof, now, seen, say) {
  const known = seen !== null && seen.origin === now.origin ? seen : null;
  if (known === null) {
    say("quiet", words.first_seen);
  } else {
    if (proof.from_seen === null) throw new ProofFailed("consistency");
    await continues({ size: known.size, root: fromHex(known.root) }, now, proof.from_seen);
    say("up", fill(words.from_seen, { size: known.size }));
    if (known.key !== undefined && known.key !== proof.key) {
      say("warn", fill(words.key_changed, { id: idOf(known.key) }));
    }
  }
  const { origin, size, root } = now;
  localStorage.setItem(KEY, JSON.stringify({ origin, size, root: toHex(root), key: proof.key }));
}

function idOf(key) {
  return String(key).split("+")[1] ?? "";
}

function remembered() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY));
    return found !== null && Number.isSafeInteger(found.size) && found.size > 0 ? found : null;
  } catch {
    return null;
  }
}

// 4
async function matches({ payload, salt, leaf }) {
  const domain = text.encode("credence/1|audit-payload|");
  const commitment = await sha256(domain, fromHex(salt), text.encode(payload));
  return toHex(commitment) === JSON.parse(leaf).pc;
}

function checkForm(proof) {
  const whole =
    proof !== null &&
    typeof proof === "object" &&
    proof.format === FORMAT &&
    Number.isSafeInteger(proof.seq) &&
    Array.isArray(proof.path) &&
    proof.path.length <= 64 &&
    [proof.from_witnessed, proof.from_seen].every((one) => one === null || (Array.isArray(one) && one.length <= 128)) &&
    typeof proof.checkpoint === "string" &&
    typeof proof.key === "string";
  if (!whole) throw new ProofFailed("form");
  if (!(proof.seq >= 0 && proof.seq < readNote(proof.checkpoint).size)) throw new ProofFailed("path");
}

function fill(template, values) {
  return template.replace(/\{([a-z]+)\}/g, (_, name) => String(values[name]));
}
