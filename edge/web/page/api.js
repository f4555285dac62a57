// Requests to the server of this page, and its news.

let csrf = null;
const LONGEST_MS = 60000; // a server that hangs takes questions and answers none
const SILENT_MS = 20000; // it says something each five seconds
export const texts = { unreachable: "The server of this page does not answer.", told: (text) => text };

export class Failed extends Error {
  constructor(status, message, wait) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

// status 0: no answer at all. What else fails is a defect of the page, and is told as one.
async function ask(path, options) {
  try {
    const response = await fetch(path, { credentials: "same-origin", signal: AbortSignal.timeout(LONGEST_MS), ...options });
    return await answer(response);
  } catch (error) {
    if (error instanceof Failed) throw error;
    throw new Failed(0, texts.unreachable);
  }
}

async function answer(response) {
  const kind = response.headers.get("content-type") || "";
  const body = kind.startsWith("application/json") ? await response.json() : null;
  if (!response.ok) throw new Failed(response.status, body?.error ? texts.told(body.error) : `${response.status}`, response.headers.get("retry-after"));
  return body;
}

function address(path, params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== ""));
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

export const get = (path, params) => ask(address(path, params));

export async function post(path, body = {}) {
  const headers = { "content-type": "application/json" };
  if (csrf) headers["x-csrf-token"] = csrf;
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}

export async function session() {
  const found = await get("/api/session");
  csrf = found.csrf;
  return found;
}

const of = (device, id, kind) => address(`/api/inspection/${encodeURIComponent(id)}${kind}`, { device });
export const inspection = (device, id) => get(of("", id, ""), { device });
export const messageUrl = (device, id) => of(device, id, "/message");
export const imageUrl = (device, id) => of(device, id, "/image");
export const overlayUrl = (device, id) => of(device, id, "/overlay");

// News: verdict, status, review, reload; hello and alive with the server's time; and how the link itself does.
// Reconnecting is the browser's, with the last number; a link that is silent is ended and made anew here.
export function listen(tell) {
  let source = null, was = null, heard = 0;
  function connect() {
    source?.close();
    const mine = (source = new EventSource("/api/events"));
    heard = performance.now();
    for (const kind of ["verdict", "status", "review", "reload", "hello", "alive"]) {
      mine.addEventListener(kind, (event) => {
        heard = performance.now();
        if (mine === source) tell(kind, JSON.parse(event.data));
      });
    }
    mine.addEventListener("open", () => {
      if (was === false) tell("reload", {});
      was = true;
      tell("link", { up: true });
    });
    mine.addEventListener("error", () => lost(mine.readyState === EventSource.CLOSED));
  }
  function lost(over) {
    was = false;
    if (over) end();
    tell("link", { up: false, over });
  }
  function end() {
    clearInterval(watch);
    source.close();
  }
  const watch = setInterval(() => {
    if (performance.now() - heard < SILENT_MS) return;
    lost(false);
    connect();
  }, 1000);
  connect();
  return end;
}
