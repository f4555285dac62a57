// The shell: who is logged in, which room is shown, news for it, language and theme.

import * as api from "./api.js";
import * as format from "./format.js";
import { element } from "./format.js";
import { speaker } from "./sentences.js";

const ROOMS = { now: "./rooms/now.js", timeline: "./rooms/timeline.js", review: "./rooms/review.js", problems: "./rooms/problems.js", fleet: "./rooms/fleet.js" };
const place = Object.fromEntries(["head", "device", "rooms", "link", "language", "theme", "logout", "room", "news", "skip", "trouble", "renewed"].map((id) => [id, document.getElementById(id)]));
const LOST_MS = 1500, AGAIN_MS = 5000, TROUBLE_MS = 10000;
const state = { session: null, table: {}, spare: {}, room: null, close: null, clock: null, page: null, user: null, unsaved: () => false, silence: null, drawn: 0, device: "", trouble: null };

// A key and values in, a sentence out; English where a language lacks it.
function words(key, values = {}) {
  const text = state.table[key] ?? state.spare[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

const known = (key) => key in state.table || key in state.spare;
const stored = (name, value) => {
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch { /* a browser that keeps nothing */ }
  return value;
};

async function speak(language) {
  const files = ["en", language].map((name) => `/page/words/${name}.json`);
  const [spare, table, sentences] = await Promise.all([...files.map((file) => api.get(file)), language === "en" ? {} : api.get(`/page/sentences/${language}.json`)]);
  Object.assign(state, { spare, table });
  api.texts.told = speaker(sentences);
  document.documentElement.lang = language;
  format.setLanguage(language);
  api.texts.unreachable = words("shell.unreachable");
  stored("language", language);
}

function parts() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [room, ...rest] = path.split("/");
  const device = new URLSearchParams(query).get("device") || "";
  const first = state.session?.mode === "broker" && !device ? "fleet" : "now";
  return { room: ROOMS[room] ? room : first, id: rest.length ? decoded(rest.join("/")) : null, device };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const go = (room, id = null, device = parts().device) => {
  location.hash = `#/${room}${id ? `/${encodeURIComponent(id)}` : ""}${device ? `?device=${encodeURIComponent(device)}` : ""}`;
};

function shell() {
  document.title = words("shell.title");
  place.skip.textContent = words("shell.skip");
  place.rooms.setAttribute("aria-label", words("shell.rooms"));
  const here = parts();
  const focused = place.rooms.contains(document.activeElement) ? document.activeElement.id : null;
  place.rooms.replaceChildren(...Object.keys(ROOMS).map((name) => element("a", {
    href: `#/${name}${here.device ? `?device=${encodeURIComponent(here.device)}` : ""}`, id: `to-${name}`, "aria-current": name === here.room ? "page" : false,
  }, words(`shell.${name}`))));
  if (focused) document.getElementById(focused)?.focus();
  place.language.replaceChildren(...state.session.languages.map((name) => element("option", { value: name, selected: name === document.documentElement.lang }, format.languageName(name))));
  place.language.setAttribute("aria-label", words("shell.language"));
  place.theme.textContent = "◐";
  place.theme.setAttribute("aria-label", words("shell.theme"));
  place.theme.title = words("shell.theme");
  place.rooms.hidden = state.session.login && !state.session.user;
  place.logout.hidden = !state.session.user;
  place.logout.textContent = words("shell.logout", { name: state.session.user || "" });
  place.device.textContent = here.device || state.device || words("shell.title");
}

// The window's name says the verdict, too: it is read in a row of tabs.
const head = (text) => { document.title = text ? `${text} – ${words("shell.title")}` : words("shell.title"); };

async function open(over = false) {
  const turn = (state.drawn += 1);
  state.close?.();
  state.close = null;
  shell();
  if (state.session.login && !state.session.user) return login(over);
  const here = parts();
  try {
    const { room, unsaved } = await import(ROOMS[here.room]);
    if (unsaved) state.unsaved = unsaved;
    if (turn !== state.drawn) return;
    const root = element("section", { "aria-label": words(`shell.${here.room}`) });
    place.room.replaceChildren(root);
    const made = room(root, { api, format, words, known, told: api.texts.told, go, id: here.id, device: here.device, session: state.session, now, problem, head });
    state.room = made;
    state.close = () => { made.close?.(); state.room = null; };
  } catch (error) {
    problem(error);
  }
}

// The server's time, by a clock that nobody sets.
const now = () => (state.clock ? state.clock.ms + performance.now() - state.clock.at : Date.now());

// Another page is served by now, and parts of this one may not fit it. What is marked and not saved is not thrown away.
function renewed(page) {
  state.page ??= page;
  if (!page || page === state.page) return;
  let tried = page; // a browser that keeps nothing might load for ever
  try {
    tried = sessionStorage.getItem("page");
    sessionStorage.setItem("page", page);
  } catch { /* it is told instead */ }
  if (tried !== page && !state.unsaved()) return location.reload();
  place.renewed.replaceChildren(words("shell.renewed"), " ", element("button", { type: "button", id: "reload", onclick: () => location.reload() }, words("shell.reload")));
  place.renewed.hidden = false;
}

// What went wrong, where the room would be; a session that is over leads to the login.
function problem(error) {
  if (error.status === 401) return begin(true).catch(problem);
  const text = said(error);
  if (!place.room.querySelector(".card")) return place.room.replaceChildren(element("p", { class: "card wrong", role: "alert" }, text));
  place.trouble.textContent = text;
  place.trouble.hidden = false;
  clearTimeout(state.trouble);
  state.trouble = setTimeout(() => { place.trouble.hidden = true; }, TROUBLE_MS);
}

function said(error) {
  return error.status !== undefined ? error.message : words("shell.defect", { message: error.message });
}

function note(text) {
  place.news.textContent = text;
}

function login(over) {
  const name = element("input", { id: "name", autocomplete: "username", required: true });
  const password = element("input", { id: "password", type: "password", autocomplete: "current-password", required: true });
  const wrong = element("p", { class: "wrong", role: "alert" });
  const form = element("form", { class: "card login", id: "login" },
    element("h1", {}, words("login.title")), over ? element("p", { id: "over" }, words("login.over")) : null,
    element("label", { for: "name" }, words("login.name"), name),
    element("label", { for: "password" }, words("login.password"), password),
    element("button", { class: "main", type: "submit" }, words("login.enter")), wrong);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    wrong.textContent = "";
    try {
      await api.post("/api/login", { name: name.value, password: password.value });
      await begin();
    } catch (error) {
      password.value = "";
      wrong.textContent = error.status === 401 ? words("login.wrong") : error.status === 429 ? words("login.wait", { seconds: error.wait }) : said(error);
    }
  });
  place.room.replaceChildren(form);
  name.focus();
}

function listen() {
  state.silence?.();
  let lost = null;
  const tell = (kind, said) => {
    if (kind === "link") {
      clearTimeout(lost);
      const show = () => {
        place.link.textContent = said.up ? words("shell.live") : words("shell.lost");
        document.documentElement.dataset.link = said.up ? "up" : "lost";
      };
      said.up ? show() : (lost = setTimeout(show, LOST_MS));
      if (said.over) setTimeout(again, AGAIN_MS);
      return;
    }
    const clock = said.clock_ms ?? said.now?.clock_ms;
    if (clock) state.clock = { ms: clock, at: performance.now() };
    if (kind === "hello") renewed(said.page);
    if (kind === "hello" || kind === "alive") return;
    if (kind === "verdict") {
      const row = said.row;
      note(words("now.news", { name: row.name, severity: format.said(row, words) }));
    }
    state.room?.update?.(kind, said);
  };
  state.silence = api.listen(tell);
}

// A stream that the browser itself gives up: the server refused it, or something between answered for the server.
async function again() {
  try {
    const { user, role } = await api.session();
    if (user !== state.session.user || role !== state.session.role) return await begin(Boolean(state.session.user));
    if (!state.silence) return; // somebody logged out meanwhile
    listen();
    state.room?.update?.("reload", {});
  } catch {
    setTimeout(again, AGAIN_MS);
  }
}

// over: who was logged in is so no more.
async function begin(over = false) {
  state.session = await api.session();
  const wanted = stored("language") || navigator.language.slice(0, 2);
  await speak(state.session.languages.includes(wanted) ? wanted : "en");
  state.silence?.();
  state.silence = null;
  state.device = "";
  const { user } = state.session;
  if (user && state.user && user !== state.user) return location.reload(); // marks of somebody else are not theirs
  state.user = user || state.user;
  place.link.textContent = "";
  delete document.documentElement.dataset.link;
  if (!state.session.login || user) {
    listen();
    if (state.session.mode === "journal") state.device = await ownName();
  }
  await open(over);
  renewed(state.session.page);
}

// Beside one microscope the page bears its name.
async function ownName() {
  const [one] = await api.get("/api/fleet").catch(() => []);
  return one ? [one.site, one.area, one.id].filter(Boolean).join(" / ") : "";
}

place.language.addEventListener("change", () => speak(place.language.value).then(() => open(), problem));
place.logout.addEventListener("click", async () => { await api.post("/api/logout").catch(() => {}); await begin().catch(problem); });
place.theme.addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = stored("theme", dark ? "light" : "dark");
});
if (stored("theme")) document.documentElement.dataset.theme = stored("theme");
// The part behind # names a room, so this one goes without it.
place.skip.addEventListener("click", (event) => { event.preventDefault(); place.room.focus(); });
addEventListener("hashchange", () => open());
const start = () => begin().catch((error) => {
  place.room.replaceChildren(element("p", { class: "card wrong", role: "alert" }, error.message || "The server of this page does not answer."));
  setTimeout(start, 3000);
});
start();
