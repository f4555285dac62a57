// Numbers and times as people read them, in the language of the page; elements made of text, never of markup.

let language = "en";
// Of the browser's own locales the first in this language: en-GB writes a date otherwise than en-US.
export const setLanguage = (name) => { language = navigator.languages.find((one) => one.split("-")[0] === name) || name; };

export const locale = () => language;

export const languageName = (name) => new Intl.DisplayNames([name], { type: "language" }).of(name);

export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  const rounded = Number(value.toPrecision(digits));
  return new Intl.NumberFormat(language, { maximumSignificantDigits: digits, useGrouping: Math.abs(rounded) >= 10000 }).format(rounded);
}

export function percent(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: digits }).format(value);
}

export const time = (ms) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(ms));

export function ago(ms, now) {
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "always" });
  if (seconds < 60) return relative.format(-seconds, "second");
  if (seconds < 5400) return relative.format(-Math.round(seconds / 60), "minute");
  if (seconds < 129600) return relative.format(-Math.round(seconds / 3600), "hour");
  return relative.format(-Math.round(seconds / 86400), "day");
}

export const SHAPES = { low: "●", moderate: "▲", severe: "■", none: "◆", failed: "✕" };
export const tone = (row) => (row?.kind === "failure" ? "failed" : row?.label || "none");

// element("p", {class: "x"}, "text", child): attributes by name, `on…` as listeners, texts as text.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function chip(row, words) {
  const kind = tone(row);
  return element("span", { class: `chip is-${kind}` }, element("span", { class: "shape", "aria-hidden": "true" }, SHAPES[kind]), said(row, words));
}

export function said(row, words) {
  if (row.kind === "failure") return words("severity.failed");
  if (row.own_class) return row.own_class;
  if (row.label) return words(`severity.${row.label}`);
  return words({ abstained: "severity.abstained", judged: "severity.unnamed" }[row.state] || "severity.not_run");
}

// What a reason "code: sentence" or a failure means in the language of the page, and the service's own words with their figures.
// One whose code is not in the table, of a newer service, is said in the service's words alone.
export function explained(row, { words, known }) {
  const told = row.kind === "failure" ? [[`failure.${row.code}`, row.message]]
    : row.reasons.map((reason) => [`reason.${/^[a-z0-9_]+(?=:|$)/.exec(reason)?.[0]}`, reason.replace(/^[a-z0-9_]+(: |$)/, "")]);
  return told.map(([key, own]) => (known(key) ? { text: words(key), own } : { text: own, own: "" }));
}

// The classes of the shipped segmenter in the language of the page, those of others as they are called.
export const regionClass = (name, { words, known }) => (known(`class.${name}`) ? words(`class.${name}`) : name);
