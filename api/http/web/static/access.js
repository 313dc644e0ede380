// "Check" beside each entry: fetches its proof and checks it here. Words come from the page.
import { cosigners } from "./cosignatures.js";
import { check, ProofFailed } from "./merkle.js";

const words = JSON.parse(document.getElementById("access-words").textContent);
const policy = JSON.parse(document.getElementById("witness-policy").textContent);

for (const cell of document.querySelectorAll("[data-proof]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button-link";
  button.textContent = words.check;
  button.setAttribute("aria-label", `${words.check} ${cell.dataset.number}`);
  button.addEventListener("click", () => run(cell, button));
  cell.prepend(button, " ");
}

const all = document.getElementById("check-all");
if (all !== null) {
  all.hidden = false;
  all.addEventListener("click", () => {
    for (const button of document.querySelectorAll("[data-proof] > button")) button.click();
  });
}

async function run(cell, button) {
  const said = cell.querySelector("output");
  button.disabled = true;
  said.className = "quiet";
  said.textContent = words.checking;
  const [tone, message] = await outcome(cell.dataset.proof);
  said.className = tone;
  said.textContent = message;
  button.disabled = false;
}

async function outcome(address) {
  try {
    const answer = await fetch(address, { headers: { Accept: "application/json" } });
    if (!answer.ok) return ["down", words.missing];
    const found = await check(await answer.json());
    const place = fill(words.holds, { seq: found.seq, size: found.size, root: found.root.slice(0, 16) });
    if (found.signed !== true) return ["up", `${place} ${words.unsigned}`];
    const names = await cosigners(found.note, policy);
    if (names.length > 0) return ["up", `${place} ${fill(words.cosigned, { count: names.length, names: names.join(", ") })}`];
    return ["up", policy.minimum > 0 ? `${place} ${words.uncosigned}` : place];
  } catch (error) {
    return ["down", error instanceof ProofFailed ? words[error.reason] : words.missing];
  }
}

function fill(template, values) {
  return template.replace(/\{([a-z]+)\}/g, (_, name) => String(values[name]));
}
