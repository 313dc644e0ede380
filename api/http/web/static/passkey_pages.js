// Brings the passkey buttons of the account pages to life. Addresses and words come from the page.
import { makePasskey, PasskeyFailed, passkeysWork, signChallenge } from "./passkeys.js";

for (const place of document.querySelectorAll("[data-passkey]")) {
  const button = place.querySelector("button");
  const said = place.querySelector("[role=alert]");
  place.hidden = false;
  if (!passkeysWork()) {
    button.disabled = true;
    said.textContent = place.dataset.unable;
    continue;
  }
  button.addEventListener("click", async () => {
    button.disabled = true;
    said.textContent = "";
    try {
      await run(place);
    } catch (error) {
      said.textContent = place.dataset[error instanceof PasskeyFailed ? error.reason : "refused"];
      button.disabled = false;
    }
  });
}

async function run(place) {
  const { passkey, options, answer, csrf } = place.dataset;
  const asked = await call(options, csrf, {});
  const body =
    passkey === "enrol"
      ? { label: place.querySelector("input").value, credential: await makePasskey(asked) }
      : await signChallenge(asked);
  const { next } = await call(answer, csrf, body);
  location.assign(next);
}

async function call(address, csrf, body) {
  const answer = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf, Accept: "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.status === 429) throw new PasskeyFailed("limited");
  if (!answer.ok) throw new PasskeyFailed("refused");
  return answer.json();
}
