// Signs with a passkey what a form holds: asks the browser, then sends the form with the answer.
import { PasskeyFailed, passkeysWork, signChallenge } from "./passkeys.js";

for (const form of document.querySelectorAll("form[data-options]")) {
  const button = form.querySelector("button");
  const said = form.querySelector("[role=status]");
  if (!passkeysWork()) continue;
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    said.textContent = form.dataset.waiting;
    try {
      const answer = await signChallenge(JSON.parse(form.dataset.options));
      form.elements.assertion.value = JSON.stringify(answer);
      form.submit();
    } catch (error) {
      if (!(error instanceof PasskeyFailed)) throw error;
      said.textContent = form.dataset.failed;
      button.disabled = false;
    }
  });
}
