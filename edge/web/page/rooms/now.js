// Now: the newest verdict with its picture, how the service does, today's counts, the last few.

import { bench, measures, typing, verdictCard } from "./parts.js";

const STRIP = 24;
const LISTED = 300;
const GIVEN_UP_MS = 60000;
const DRAW_MS = 150, LOAD_MS = 300; // many news at once are drawn once
const LIGHTS = { good: "●", warn: "▲", bad: "■", unknown: "◆" };

export function room(root, ctx) {
  const { words, format, api, device } = ctx;
  const { element } = format;
  const desk = bench(ctx);
  const side = element("div", { id: "side" });
  const facts = element("div", { id: "facts" });
  const regions = element("ul", { class: "list regions", id: "regions" });
  const lights = element("ul", { class: "lights", id: "lights", "aria-label": words("now.lights") });
  const counts = element("p", { class: "counts", id: "counts" });
  const last = element("p", { class: "clock", id: "last" });
  const strip = element("div", { class: "strip", id: "strip", role: "group", "aria-label": words("now.strip") });
  const follow = element("button", { type: "button", id: "follow", "aria-pressed": "true" }, words("now.follow"));
  let following = true, rows = [], shown = null, lastMs = null, known = false, closed = false, busy = 0, next = null, newer = 0, drawing = null, loading = null;

  root.append(
    element("h1", { class: "unseen" }, words("shell.now")),
    element("div", { class: "split" },
      element("div", {}, desk.box, desk.bar, strip),
      element("div", { class: "aside" }, side,
        element("div", { class: "card", id: "service" }, element("h2", {}, words("now.service")), last, lights, counts),
        facts,
        element("div", { class: "card" }, element("h2", {}, words("now.regions")), regions))));
  desk.bar.prepend(follow);

  // One picture is loaded at a time; of those that arrive meanwhile the last is next. So a stream of news never starves the screen.
  // One that never comes is given up when news follows a minute later.
  async function open(row) {
    next = row;
    if (busy && Date.now() - busy < GIVEN_UP_MS) return;
    const mine = (busy = Date.now());
    while (next && !closed && busy === mine) {
      const wanted = next;
      next = null;
      try {
        await bring(wanted);
      } catch (error) {
        if (!closed) ctx.problem(error);
      }
    }
    if (busy === mine) busy = 0;
  }

  async function bring(row) {
    if (row.id === shown?.id) {
      const found = row.kind === "failure" ? null : await api.inspection(row.device || device, row.id);
      if (!closed) say(found?.row || row);
      return;
    }
    if (!shown) side.replaceChildren(verdictCard(row, ctx)); // no other picture is there yet that it could stand over
    const failure = row.kind === "failure";
    const found = failure ? null : await desk.show(row.device || device, row.id);
    if (closed || (!failure && !found) || (failure && !(await desk.showNothing(row)))) return;
    shown = found?.row || row;
    say(shown);
    list(found?.inspection);
    mark();
  }

  function say(row) {
    shown = row;
    side.replaceChildren(verdictCard(row, ctx));
    const actions = element("div", { class: "row" });
    if (row.kind === "inspection") actions.append(element("button", { type: "button", id: "to-this-review", onclick: () => ctx.go("review", row.id, device) }, words("now.review")));
    facts.replaceChildren(element("div", { class: "card" }, measures(row, ctx), actions));
    ctx.head(`${format.SHAPES[format.tone(row)]} ${format.said(row, words)}`);
  }

  // One stop for the Tab key; the arrow keys go from region to region.
  function list(inspection) {
    const all = inspection?.regions || [];
    regions.replaceChildren(...all.slice(0, LISTED).map((region, at) => element("li", {}, element("button", {
      type: "button", class: `is-${region.severity?.label || "none"}`, "data-index": region.index, tabindex: at ? -1 : 0,
      onfocus: (event) => reach(event.target, region), onmouseenter: () => desk.picture.highlight(region.index, false), onclick: () => desk.picture.highlight(region.index),
    }, `${region.index + 1} · ${desk.picture.describe(region).replaceAll("\n", " · ")}`))));
    if (all.length > LISTED) regions.append(element("li", { class: "faint small" }, words("now.more_regions", { count: all.length - LISTED })));
    if (!all.length) regions.replaceChildren(element("li", { class: "faint" }, words(inspection ? "now.no_regions" : shown.kind === "failure" ? "now.not_inspected" : "now.regions_gone")));
  }

  function reach(button, region) {
    for (const one of regions.querySelectorAll('button[tabindex="0"]')) one.tabIndex = -1;
    button.tabIndex = 0;
    desk.picture.highlight(region.index);
  }

  regions.addEventListener("keydown", (event) => {
    const buttons = [...regions.querySelectorAll("button")];
    const at = buttons.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons[to]?.focus();
  });
  desk.picture.on("region", (region) => regions.querySelector(`[data-index="${region.index}"]`)?.focus());

  // What is there already stays in place: a button that has the focus keeps it, and no picture is asked for twice.
  function drawStrip() {
    const wanted = new Set(rows.map((row) => row.id));
    for (const button of [...strip.children]) if (!wanted.has(button.dataset.id)) button.remove();
    rows.forEach((row, at) => {
      const there = strip.children[at];
      if (there?.dataset.id === row.id && there.dataset.said === saying(row)) return;
      const old = [...strip.children].find((button) => button.dataset.id === row.id);
      old?.remove();
      strip.insertBefore(old?.dataset.said === saying(row) ? old : thumbnail(row), strip.children[at] || null);
    });
    mark();
  }

  const saying = (row) => `${format.SHAPES[format.tone(row)]} ${format.said(row, words)}${row.reviewed ? " ✓" : ""}`;

  function thumbnail(row) {
    const made = element("button", { type: "button", class: `is-${format.tone(row)}`, "data-id": row.id, "data-said": saying(row), title: `${row.name}, ${format.time(row.ts_ms)}`, onclick: () => choose(row) });
    const blank = () => element("div", { class: "blank", "aria-hidden": "true" }, format.SHAPES[format.tone(row)]);
    const image = row.kind === "inspection" ? element("img", { src: api.overlayUrl(row.device || device, row.id), alt: "", loading: "lazy", draggable: "false" }) : null;
    image?.addEventListener("error", () => image.replaceWith(blank()));
    made.append(image || blank(), element("span", {}, saying(row)), element("span", { class: "faint" }, row.name));
    return made;
  }

  function choose(row) {
    setFollowing(row.id === rows[0]?.id);
    next = null;
    bring(row).catch((error) => { if (!closed) ctx.problem(error); });
  }

  function mark() {
    for (const button of strip.children) button.setAttribute("aria-pressed", String(button.dataset.id === shown?.id));
  }

  function status(now) {
    if (!now) return;
    lastMs = now.last_image_ms;
    known = true;
    lights.replaceChildren(...now.lights.map((light) => {
      const key = `light.${light.text || light.state}`;
      const text = ctx.known(key) ? words(key, light) : ctx.told(light.text);
      return element("li", { "data-light": light.name, "data-state": light.state, class: light.state === "good" && !light.text ? "fit" : "" },
        element("span", { class: light.state, "aria-hidden": "true" }, LIGHTS[light.state]), element("b", {}, words(`light.${light.name}`)),
        element("span", { class: `says ${light.state === "good" ? "" : light.state}` }, `${text}${light.cure ? ` — ${ctx.told(light.cure)}` : ""}`));
    }));
    if (now.paused) lights.append(element("li", { class: "warn", id: "paused" }, element("span", { "aria-hidden": "true" }, LIGHTS.warn), element("b", {}, words("light.paused"))));
    // Over a broker some counts are not known: they are left out rather than shown as nought.
    const today = ["inspections", "low", "moderate", "severe", "abstained", "failures", "to_review"].filter((name) => Number.isFinite(now.today?.[name]));
    const count = (name, said, value) => element("span", { "data-count": name }, said, " ", element("b", {}, format.number(value)));
    const own = Object.entries(now.today?.classes || {}).map(([name, value]) => count("class", name, value));
    counts.replaceChildren(...today.map((name) => count(name, words(name === "inspections" ? "now.today" : `count.${name}`), now.today[name])), ...own);
    tick();
  }

  const tick = () => {
    if (known) last.textContent = lastMs === null ? words("now.nothing_yet") : words("now.last_image", { ago: format.ago(lastMs, ctx.now()) });
  };

  function setFollowing(on) {
    following = on;
    if (on) newer = 0;
    follow.setAttribute("aria-pressed", String(on));
    follow.textContent = newer ? words("now.follow_newer", { count: newer }) : words("now.follow");
  }

  async function load() {
    try {
      const [now, page] = await Promise.all([api.get("/api/now", { device }), api.get("/api/rows", { device, limit: STRIP })]);
      if (closed) return;
      rows = page.rows;
      status(now);
      drawStrip();
      const newest = now.row || rows[0];
      if (newest && (following || !shown)) open(newest);
      else if (shown) open(shown);
      else side.replaceChildren(element("p", { class: "card" }, words("now.empty")));
    } catch (error) {
      if (!closed) ctx.problem(error);
    }
  }

  function arrived(row) {
    const fresh = !rows.some((one) => one.id === row.id);
    rows = [row, ...rows.filter((one) => one.id !== row.id)].slice(0, STRIP);
    lastMs = row.ts_ms;
    tick();
    drawing ??= setTimeout(() => { drawing = null; if (!closed) drawStrip(); }, DRAW_MS);
    if (following) open(row);
    else if (fresh) {
      newer += 1;
      setFollowing(false);
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
  const clock = setInterval(tick, 1000);
  load();
  return {
    update(kind, said) {
      if (kind === "status" && (!device || said.device === device)) status(said.now);
      else if (kind === "verdict" && (!device || said.row.device === device)) arrived(said.row);
      else if (kind === "reload" || kind === "review") loading ??= setTimeout(() => { loading = null; if (!closed) load(); }, LOAD_MS);
    },
    close() { closed = true; ctx.head(""); clearInterval(clock); document.removeEventListener("keydown", keys); desk.picture.close(); },
  };
}
