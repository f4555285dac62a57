// Now: the newest verdict with its picture, how the service does, today's counts, the last few.

import { bench, measures, typing, verdictCard } from "./parts.js";

const STRIP = 24;

export function room(root, ctx) {
  const { words, format, api, device } = ctx;
  const { element } = format;
  const desk = bench(ctx);
  const side = element("div", { id: "side" });
  const regions = element("ul", { class: "list regions", id: "regions" });
  const lights = element("ul", { class: "lights", id: "lights", "aria-label": words("now.lights") });
  const counts = element("p", { class: "counts", id: "counts" });
  const last = element("p", { class: "small faint", id: "last" });
  const strip = element("div", { class: "strip", id: "strip", role: "group", "aria-label": words("now.strip") });
  const follow = element("button", { type: "button", id: "follow", "aria-pressed": "true" }, words("now.follow"));
  let following = true, rows = [], shown = null, lastMs = null, closed = false, turn = 0;

  root.append(
    element("div", { class: "split" },
      element("div", {}, desk.box, desk.bar, strip),
      element("div", { class: "aside" }, side,
        element("div", { class: "card" }, element("h2", {}, words("now.regions")), regions),
        element("div", { class: "card" }, element("h2", {}, words("now.service")), lights, last, counts))));
  desk.bar.prepend(follow);

  async function open(row) {
    const mine = (turn += 1);
    try {
      const found = row.kind === "failure" ? null : await desk.show(row.device || device, row.id);
      if (closed || mine !== turn || (row.kind !== "failure" && found === null)) return;
      if (row.kind === "failure") await desk.picture.show({ id: row.id, found: { row, inspection: null, has_image: false, has_overlay: false }, imageUrl: "", overlayUrl: "" });
      shown = found?.row || row;
      verdict(found);
      drawStrip();
    } catch (error) {
      ctx.problem(error);
    }
  }

  function verdict(found) {
    const actions = element("div", { class: "row" });
    if (shown.kind === "inspection") actions.append(element("button", { type: "button", id: "to-this-review", onclick: () => ctx.go("review", shown.id, device) }, words("now.review")));
    side.replaceChildren(verdictCard(shown, ctx), element("div", { class: "card" }, measures(shown, ctx), actions));
    const list = (found?.inspection?.regions || []).slice(0, 200);
    regions.replaceChildren(...list.map((region) => element("li", {}, element("button", {
      type: "button", class: `is-${region.severity?.label || "none"}`, "data-index": region.index,
      onfocus: () => desk.picture.highlight(region.index), onmouseenter: () => desk.picture.highlight(region.index, false), onclick: () => desk.picture.highlight(region.index),
    }, `${region.index + 1} · ${desk.picture.describe(region).replaceAll("\n", " · ")}`))));
    if (!list.length) regions.replaceChildren(element("li", { class: "faint" }, words(shown.kind === "failure" ? "now.not_inspected" : "now.no_regions")));
  }

  function drawStrip() {
    strip.replaceChildren(...rows.map((row) => element("button", {
      type: "button", class: `is-${format.tone(row)}`, "aria-pressed": String(row.id === shown?.id), "data-id": row.id, title: row.name,
      onclick: () => { setFollowing(row.id === rows[0]?.id); open(row); },
    }, row.kind === "inspection" ? element("img", { src: api.overlayUrl(row.device || device, row.id), alt: "", loading: "lazy" }) : null,
    element("span", {}, `${format.SHAPES[format.tone(row)]} ${format.said(row, words)}`), element("span", { class: "faint" }, row.name))));
    for (const image of strip.querySelectorAll("img")) image.addEventListener("error", () => image.remove());
  }

  function status(now) {
    if (!now) return;
    lastMs = now.last_image_ms;
    const shapes = { good: "●", warn: "▲", bad: "■", unknown: "◆" };
    lights.replaceChildren(...now.lights.map((light) => {
      const key = `light.${light.text || light.state}`;
      const text = ctx.known(key) ? words(key, light) : light.text;
      return element("li", { "data-light": light.name, "data-state": light.state },
        element("span", { class: light.state, "aria-hidden": "true" }, shapes[light.state]), element("b", {}, words(`light.${light.name}`)),
        element("span", { class: light.state === "good" ? "" : light.state }, `${text}${light.cure ? ` — ${light.cure}` : ""}`));
    }));
    if (now.paused) lights.append(element("li", { class: "warn" }, "▲", element("b", {}, words("light.paused"))));
    counts.replaceChildren(element("span", {}, words("now.today"), " ", element("b", {}, format.number(now.today.inspections))),
      ...["low", "moderate", "severe", "abstained", "failures", "to_review"].map((name) => element("span", { "data-count": name }, words(`count.${name}`), " ", element("b", {}, format.number(now.today[name] ?? 0)))));
    tick();
  }

  const tick = () => { last.textContent = lastMs === null ? words("now.nothing_yet") : words("now.last_image", { ago: format.ago(lastMs, ctx.now()) }); };

  function setFollowing(on) {
    following = on;
    follow.setAttribute("aria-pressed", String(on));
  }

  async function load() {
    try {
      const [now, page] = await Promise.all([api.get("/api/now", { device }), api.get("/api/rows", { device, limit: STRIP })]);
      if (closed) return;
      rows = page.rows;
      status(now);
      drawStrip();
      if (now.row && (following || !shown)) await open(now.row);
      if (!now.row) side.replaceChildren(element("p", { class: "card" }, words("now.empty")));
    } catch (error) {
      ctx.problem(error);
    }
  }

  function keys(event) {
    if (typing(event)) return;
    if (event.key === "r" || event.key === "R") desk.press.regions();
    else if (event.key === "h" || event.key === "H") desk.press.heat();
    else if (event.key === "f" || event.key === "F") follow.click();
    else return;
    event.preventDefault();
  }

  follow.addEventListener("click", () => { setFollowing(!following); if (following && rows[0]) open(rows[0]); });
  document.addEventListener("keydown", keys);
  const clock = setInterval(tick, 5000);
  load();
  return {
    update(kind, said) {
      if (kind === "status" && (!device || said.device === device)) status(said.now);
      else if (kind === "verdict" && (!device || said.row.device === device)) {
        rows = [said.row, ...rows.filter((row) => row.id !== said.row.id)].slice(0, STRIP);
        lastMs = said.row.ts_ms;
        tick();
        drawStrip();
        if (following) open(said.row);
      } else if (kind === "reload" || kind === "review") load();
    },
    close() { closed = true; clearInterval(clock); document.removeEventListener("keydown", keys); desk.picture.close(); },
  };
}
