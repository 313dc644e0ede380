// Checks that a log only grew: RFC 9162 section 2.1.4.2, in the reader's own browser.
import { ProofFailed, fromHex, half, same, sha256 } from "./merkle.js";

// old, new: {size, root}; path: hashes in hex. Throws ProofFailed("consistency") when it does not hold.
export async function continues(old, now, path) {
  const holds = await leads(old, now, path.map(fromHex));
  if (!holds) throw new ProofFailed("consistency");
}

async function leads(old, now, path) {
  if (old.size < 1 || old.size > now.size) return false;
  if (old.size === now.size) return path.length === 0 && same(old.root, now.root);
  if (path.length === 0) return false;
  const steps = isPowerOfTwo(old.size) ? [old.root, ...path] : path;
  let first = old.size - 1;
  let second = now.size - 1;
  while (first % 2 === 1) {
    first = half(first);
    second = half(second);
  }
  let before = steps[0];
  let after = steps[0];
  for (const step of steps.slice(1)) {
    if (second === 0) return false;
    if (first % 2 === 1 || first === second) {
      before = await sha256(Uint8Array.of(1), step, before);
      after = await sha256(Uint8Array.of(1), step, after);
      while (first % 2 === 0 && first !== 0) {
        first = half(first);
        second = half(second);
      }
    } else {
      after = await sha256(Uint8Array.of(1), after, step);
    }
    first = half(first);
    second = half(second);
  }
  return second === 0 && same(before, old.root) && same(after, now.root);
}

function isPowerOfTwo(number) {
  while (number > 1 && number % 2 === 0) number = half(number);
  return number === 1;
}
