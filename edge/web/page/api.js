// Requests to the server of this page, and its news.

let csrf = null;

export class Failed extends Error {
  constructor(status, message, wait) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

// status 0: no answer at all. What else fails is a defect of the page, and is told as one.
async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Failed(0, "");
  }
  return answer(response);
}

async function answer(response) {
  const kind = response.headers.get("content-type") || "";
  const body = kind.startsWith("application/json") ? await response.json() : null;
  if (!response.ok) throw new Failed(response.status, body?.error || `${response.status}`, response.headers.get("retry-after"));
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
export const imageUrl = (device, id) => of(device, id, "/image");
export const overlayUrl = (device, id) => of(device, id, "/overlay");

// News: verdict, status, review, reload; and how the link itself does. Reconnecting is the browser's, with the last number.
export function listen(tell) {
  const source = new EventSource("/api/events");
  for (const kind of ["verdict", "status", "review", "reload"]) {
    source.addEventListener(kind, (event) => tell(kind, JSON.parse(event.data)));
  }
  let was = null;
  source.addEventListener("open", () => {
    if (was === false) tell("reload", {});
    was = true;
    tell("link", { up: true });
  });
  source.addEventListener("error", () => {
    was = false;
    tell("link", { up: false, over: source.readyState === EventSource.CLOSED });
  });
  return () => source.close();
}
