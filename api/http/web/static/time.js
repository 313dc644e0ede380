// Times in the reader's own time zone; without this they stand in UTC, and say so.
const language = document.documentElement.lang;
const day = { year: "numeric", month: "long", day: "numeric" };
const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const shown = {
  day: new Intl.DateTimeFormat(language, day),
  moment: new Intl.DateTimeFormat(language, { ...day, ...clock }),
  clock: new Intl.DateTimeFormat(language, clock),
};

export function showTimes(within) {
  for (const element of within.querySelectorAll("time[data-show]")) {
    element.textContent = shown[element.dataset.show].format(new Date(element.dateTime));
  }
}

showTimes(document);
