// Fleet: a tile for each microscope, those that need somebody first.

import { turns } from "./parts.js";

const ORDER = { silent: 0, offline: 1, degraded: 2, unknown: 3, online: 4 };
const TONES = { online: "low", degraded: "moderate", unknown: "none" };
const LOAD_MS = 15000, SOON_MS = 400;

export function room(root, ctx) {
  const { words, format, api } = ctx;
  const { element } = format;
  const filter = element("input", { type: "search", id: "filter", placeholder: words("fleet.filter"), "aria-label": words("fleet.filter") });
  const counts = element("p", { class: "counts", id: "fleet-counts", role: "status" });
  const tiles = element("div", { class: "tiles", id: "tiles" });
  const made = new Map(); // device: what its tile says, and the tile
  const turn = turns();
  let fleet = null, why = [], closed = false, soon = null;
  root.append(element("h1", {}, words("shell.fleet")), element("div", { class: "row head" }, filter, counts), tiles);

  const name = (one) => [one.site, one.area, one.id].filter(Boolean).join(" / ") || one.device;
  const silent = (one) => one.heard_ms && one.state !== "online" && one.state !== "degraded";
  const clock = (key, ms) => element("p", { class: "clock small", "data-ms": ms, "data-key": key }, words(key, { ago: format.ago(ms, ctx.now()) }));

  function tile(one) {
    const row = one.last_row;
    const tone = TONES[one.state] || "severe";
    const picture = row && row.kind === "inspection" ? element("img", { src: api.overlayUrl(one.device, row.id), alt: words("picture.alt", { name: row.name }), loading: "lazy" }) : null;
    picture?.addEventListener("error", () => picture.remove());
    return element("article", { class: `card tile ${one.state} is-${tone}`, "data-device": one.device, "data-state": one.state, "aria-label": name(one) },
      element("h2", {}, element("a", { href: `#/now?device=${encodeURIComponent(one.device)}` }, name(one))),
      element("p", {}, element("span", { class: "chip" }, element("span", { class: "shape", "aria-hidden": "true" }, format.SHAPES[tone]), words(`state.${one.state}`))),
      (one.reasons || []).map((reason) => element("p", { class: "small" }, `${ctx.told(reason.text)}${reason.cure ? ` — ${ctx.told(reason.cure)}` : ""}`)),
      silent(one) ? clock("fleet.heard", one.heard_ms) : null,
      row ? element("p", {}, format.chip(row, words), " ", row.name) : null,
      picture,
      one.last_image_ms ? clock("now.last_image", one.last_image_ms) : element("p", { class: "faint small" }, words("now.nothing_yet")),
      one.queue ? element("p", { class: "small" }, words("fleet.queue", { waiting: one.queue.images_waiting, unsent: one.queue.unsent, dead: one.queue.dead_letters })) : null,
      one.today ? element("p", { class: "small" }, words("fleet.today", one.today)) : null,
      one.version ? element("p", { class: "faint small" }, words("fleet.version", { version: one.version })) : null);
  }

  // A tile is made anew only where it says something else: its picture does not flicker, its link keeps the focus.
  function kept(one) {
    const said = JSON.stringify({ ...one, heard_ms: silent(one) ? one.heard_ms : null, queue: one.queue && { ...one.queue, oldest_unsent_s: null } });
    const old = made.get(one.device);
    if (old?.said === said) return old.tile;
    const fresh = { said, tile: tile(one) };
    made.set(one.device, fresh);
    return fresh.tile;
  }

  function draw() {
    if (!fleet) return;
    const wanted = filter.value.trim().toLowerCase();
    const found = fleet.filter((one) => `${one.device} ${name(one)} ${words(`state.${one.state}`)} ${one.last_row?.name || ""}`.toLowerCase().includes(wanted))
      .sort((a, b) => ORDER[a.state] - ORDER[b.state] || a.device.localeCompare(b.device));
    const states = Object.keys(ORDER).map((state) => [state, fleet.filter((one) => one.state === state).length]).filter(([, count]) => count);
    counts.replaceChildren(...states.map(([state, count]) => element("span", { class: `is-${TONES[state] || "severe"}`, "data-count": state }, `${format.SHAPES[TONES[state] || "severe"]} ${words(`state.${state}`)} `, element("b", {}, format.number(count)))));
    const drawn = found.length ? found.map(kept) : [element("p", { class: "card" }, words(fleet.length ? "fleet.none_found" : "fleet.none"), why.length ? element("ul", { class: "reasons", id: "fleet-why" }, why.map((one) => element("li", {}, element("b", {}, ctx.told(one.text)), element("div", {}, ctx.told(one.cure))))) : null)];
    if (drawn.length !== tiles.children.length || drawn.some((one, at) => one !== tiles.children[at])) tiles.replaceChildren(...drawn);
  }

  function tick() {
    for (const one of tiles.querySelectorAll("[data-ms]")) one.textContent = words(one.dataset.key, { ago: format.ago(Number(one.dataset.ms), ctx.now()) });
  }

  async function load() {
    soon = null;
    const mine = turn();
    try {
      const found = await api.get("/api/fleet");
      const reasons = found.length ? [] : (await api.get("/api/problems")).problems;
      if (closed || !mine()) return;
      fleet = found;
      why = reasons;
      draw();
    } catch (error) {
      if (!closed) ctx.problem(error);
    }
  }
  filter.addEventListener("input", draw);
  const loading = setInterval(load, LOAD_MS);
  const ticking = setInterval(tick, 1000);
  load();
  return {
    update() { soon ??= setTimeout(load, SOON_MS); },
    close() { closed = true; clearInterval(loading); clearInterval(ticking); clearTimeout(soon); },
  };
}
