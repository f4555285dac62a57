// Requests to the server of this page, and its news.

let csrf = null;

export class Failed extends Error {
  constructor(status, message, wait) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
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

export const get = async (path, params) => answer(await fetch(address(path, params), { credentials: "same-origin" }));

export async function post(path, body = {}) {
  const headers = { "content-type": "application/json" };
  if (csrf) headers["x-csrf-token"] = csrf;
  return answer(await fetch(path, { method: "POST", headers, body: JSON.stringify(body), credentials: "same-origin" }));
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
    tell("link", { up: false });
    if (source.readyState === EventSource.CLOSED) tell("link", { up: false, over: true });
  });
  return () => source.close();
}
