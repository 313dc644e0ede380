// Keeps the sections of a page of the console up to date. The server says which have changed; the
// page is fetched again, in its language and session, and those are put in the place of the old.
import { showTimes } from "./time.js";

const words = JSON.parse(document.getElementById("live-words").textContent);
const line = document.getElementById("live");
const said = document.getElementById("live-said");
const pending = new Set();
const GAP_MS = 700;
let busy = false;

addCopying(document);
const source = new EventSource(`/operator/events?since=${encodeURIComponent(line.dataset.stamp)}`);
source.addEventListener("open", () => say(words.live));
source.addEventListener("error", () => {
  say(source.readyState === EventSource.CLOSED ? words.stopped : words.again);
  if (source.readyState === EventSource.CLOSED) leaveUnlessSignedIn();
});
source.addEventListener("ended", leave);
source.addEventListener("changed", (event) => {
  for (const name of JSON.parse(event.data).sections) pending.add(name);
  if (!busy) renew();
});
addEventListener("pagehide", () => source.close());

function leave() {
  source.close();
  location.assign("/operator/sign-in");
}

// Refused for good: because the session has ended, or because too many pages are live already.
async function leaveUnlessSignedIn() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.redirected) leave();
}

async function renew() {
  busy = true;
  while (pending.size > 0) {
    const changed = new Set(pending);
    pending.clear();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.redirected) return leave();
      if (answer.ok) put(new DOMParser().parseFromString(await answer.text(), "text/html"), changed);
    } catch {
      say(words.again);
    }
    await new Promise((done) => setTimeout(done, GAP_MS));
  }
  busy = false;
}

function put(fresh, changed) {
  for (const old of document.querySelectorAll("[data-section]")) {
    const names = old.dataset.section.split(" ");
    const next = fresh.getElementById(old.id);
    if (next === null || !names.some((name) => changed.has(name)) || isBeingRead(old)) continue;
    const focused = old.contains(document.activeElement) ? place(old, document.activeElement) : -1;
    for (const open of old.querySelectorAll("details[open][id]")) {
      next.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
    }
    old.replaceWith(next);
    showTimes(next);
    addCopying(next);
    if (focused >= 0) stops(next)[focused]?.focus({ preventScroll: true });
  }
  const now = fresh.getElementById("live-at");
  const at = document.getElementById("live-at");
  if (now !== null && at !== null) {
    at.replaceWith(now);
    showTimes(now);
  }
}

// A selection that somebody has made is not taken from under their hand.
function isBeingRead(element) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(element, true);
}

function stops(element) {
  return Array.from(element.querySelectorAll("a[href], button, summary"));
}

function place(element, focused) {
  return stops(element).indexOf(focused);
}

function say(text) {
  if (said.textContent !== text) said.textContent = text;
}

function addCopying(within) {
  for (const command of within.querySelectorAll(".command > code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button-link";
    button.textContent = words.copy;
    button.setAttribute("aria-label", `${words.copy}: ${command.textContent}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(command.textContent);
        button.textContent = words.copied;
      } catch {
        getSelection()?.selectAllChildren(command);
      }
    });
    command.after(button);
  }
}
