// What several rooms show alike: a verdict, its measures and reasons, a list of rows, the picture with its buttons.

import { Picture } from "../picture.js";

// Of questions whose answers overtake each other only the newest counts: `const mine = turn();`, and after the answer `mine()`.
export function turns() {
  let last = 0;
  return () => {
    const own = ++last;
    return () => own === last;
  };
}

export function verdictCard(row, { words, format, known }) {
  const { element } = format;
  const kind = format.tone(row);
  const said = format.said(row, words);
  const sure = row.label && row.confidence !== null ? words("verdict.confidence", { share: format.percent(row.confidence, 0) }) : null;
  const card = element("div", { class: `card verdict is-${kind}`, id: "verdict", "data-id": row.id },
    element("p", { class: "word" }, element("span", { class: "shape", "aria-hidden": "true" }, format.SHAPES[kind]), said),
    element("p", { class: "small faint" }, [row.kind === "failure" ? null : words(row.source ? `verdict.source_${row.source}` : "verdict.source_none"), sure].filter(Boolean).join(" · ")),
    element("p", {}, row.name, " ", row.newest === false ? element("span", { class: "faint" }, words("verdict.older")) : null));
  if (row.reviewed) card.append(reviewedLine(row.reviewed, { words, format }));
  const reasons = format.explained(row, { words, known });
  if (reasons.length) card.append(element("ul", { class: "reasons", "aria-label": words("verdict.reasons") }, reasons.map(({ text, own }) => element("li", {}, text, own ? element("div", { class: "small faint", lang: "en" }, own) : null))));
  return card;
}

export function reviewedLine(reviewed, { words, format }) {
  const said = reviewed.verdict ? severityWord(reviewed.verdict, words) : words("review.marks_only");
  const values = { who: reviewed.reviewer, when: format.time(reviewed.ts_ms), verdict: said };
  const line = format.element("p", { class: "fine", id: "reviewed" }, "✓ ", words("review.reviewed", values));
  if (reviewed.disagree) line.append(" ", format.element("span", { class: "wrong" }, words("review.disagree")));
  return line;
}

export const severityWord = (name, words) => (["low", "moderate", "severe", "uncorroded", "cannot_tell"].includes(name) ? words(`severity.${name}`) : name);

export function measures(row, { words, format }) {
  const { element } = format;
  const between = (lo, hi, show) => (lo === null || lo === undefined ? "" : ` (${show(lo)} – ${show(hi)})`);
  const lines = [];
  const add = (key, text) => lines.push(element("dt", {}, words(`measure.${key}`)), element("dd", {}, text));
  if (row.area_fraction !== null) add("area", format.percent(row.area_fraction) + between(row.area_lo, row.area_hi, format.percent));
  if (row.region_count !== null) add("regions", format.number(row.region_count));
  if (row.density_per_mm2 !== null) add("density", `${format.number(row.density_per_mm2)} / mm²${between(row.density_lo, row.density_hi, format.number)}`);
  if (row.largest_um !== null) add("largest", `${format.number(row.largest_um)} µm`);
  if (row.annealing_min !== null) add("annealing", `${format.number(row.annealing_min)} min`);
  if (row.exposure_h !== null) add("exposure", row.exposure_h >= 48 ? `${format.number(row.exposure_h / 24)} d` : `${format.number(row.exposure_h)} h`);
  for (const [name, value] of Object.entries(row.sample)) lines.push(element("dt", {}, name), element("dd", {}, String(value)));
  if (row.kind === "inspection") add("scale", row.pixel_size_nm === null ? words("measure.no_scale") : `${format.number(row.pixel_size_nm)} nm / px`);
  add("time", format.time(row.ts_ms));
  if (row.taught) add("taught", row.taught.slice(0, 12));
  const own = (warning) => warning.replace(/^[a-z0-9_]+: /, "");
  return element("div", {}, element("dl", { class: "measures" }, lines),
    row.warnings.length ? element("ul", { class: "small faint warnings", lang: "en", "aria-label": words("measure.warnings") }, row.warnings.map((warning) => element("li", {}, own(warning)))) : null);
}

// why: what stands below it, in place of its first reason.
export function rowButton(row, { words, format, known }, open, current = false, why = null) {
  const { element } = format;
  const below = why ?? format.explained(row, { words, known })[0]?.text ?? "";
  return element("li", {}, element("button", { type: "button", class: `is-${format.tone(row)}`, "aria-current": current ? "true" : false, "data-id": row.id, onclick: () => open(row) },
    format.chip(row, words), " ", row.name, row.reviewed ? " ✓" : "", element("span", { class: "small faint" }, ` ${format.time(row.ts_ms)}`),
    below ? element("div", { class: "small" }, below) : null));
}

// The picture with its buttons. press(name) is what the keys do, too.
export function bench(ctx) {
  const { words, format } = ctx;
  const { element } = format;
  const box = element("div", { id: "picture" });
  const picture = new Picture(box, ctx);
  const buttons = {};
  const press = {
    regions: () => { if (picture.canHide) { picture.setRegions(!picture.regionsVisible); refresh(); } },
    heat: () => { if (picture.hasHeat) { picture.setHeat(!picture.heatVisible); refresh(); } },
    fit: () => picture.fit(),
    native: () => picture.native(),
    in: () => picture.zoom(1.4),
    out: () => picture.zoom(1 / 1.4),
  };
  for (const [name, key] of Object.entries({ regions: "R", heat: "H", in: "+", out: "−", fit: "0", native: "1:1" })) {
    buttons[name] = element("button", { type: "button", id: `press-${name}`, title: key, onclick: press[name] }, words(`picture.${name}`));
  }
  function refresh() {
    buttons.regions.setAttribute("aria-pressed", String(picture.regionsVisible));
    buttons.heat.setAttribute("aria-pressed", String(picture.heatVisible));
    buttons.regions.disabled = !picture.canHide;
    buttons.regions.title = picture.canHide ? "R" : words("picture.kept");
    buttons.heat.disabled = !picture.hasHeat;
  }
  refresh();
  const bar = element("div", { class: "bench", role: "toolbar", "aria-label": words("picture.tools") }, Object.values(buttons));
  // None where another was asked for meanwhile: who asked last is shown, whoever is answered first.
  let last = 0;
  async function show(device, id) {
    const mine = (last += 1);
    const found = await ctx.api.inspection(device, id);
    if (mine !== last) return null;
    const kept = words(ctx.session.mode === "broker" ? "picture.elsewhere" : "picture.kept");
    const shown = await picture.show({ id, found, kept, imageUrl: ctx.api.imageUrl(device, id), overlayUrl: ctx.api.overlayUrl(device, id) });
    refresh();
    return shown ? found : null;
  }
  async function showNothing(row) {
    last += 1;
    const shown = await picture.show({ id: row.id, found: { row, inspection: null, has_image: false, has_overlay: false } });
    refresh();
    return shown;
  }
  return { box, bar, picture, press, refresh, show, showNothing };
}

// A checkbox takes no letters: the keys go on working behind a click on one.
export const typing = (event) => event.ctrlKey || event.metaKey || event.altKey || (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "checkbox");

// Asks for one image after the other. What cannot be inspected again, as it is gone, keeps no other back.
// say(text, kind): how it goes, and what came of it.
export async function inspectAgain(ids, { api, words }, say) {
  let done = 0, error = null;
  for (const [at, id] of ids.entries()) {
    say(words("review.again_asked", { count: at + 1, all: ids.length }), "");
    try {
      await api.post("/api/command", { name: "inspect", fields: { inspection_id: id } });
      done += 1;
    } catch (failed) {
      error = failed.message || words("shell.unreachable");
      if (failed.status === 401 || failed.status === 0) break;
    }
  }
  say([words("review.again_done", { count: done }), error ? words("review.again_left", { count: ids.length - done, error }) : ""].filter(Boolean).join(" "), error ? "wrong" : "fine");
}

// Draws anew, and leaves the focus on what has the same name as before.
export function keepFocus(root, draw) {
  const was = root.contains(document.activeElement) ? document.activeElement : null;
  const same = (one) => one.id === was.id && one.dataset.id === was.dataset.id && one.dataset.index === was.dataset.index;
  draw();
  if (was && document.activeElement !== was) (was.isConnected ? was : [...root.querySelectorAll("button, select")].find(same))?.focus({ preventScroll: true });
}
