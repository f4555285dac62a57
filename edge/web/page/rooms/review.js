// Review: doubtful verdicts first, marks by mouse or keyboard, one review saved for each image; and what was taught by them.

import { bench, inspectAgain, keepFocus, measures, rowButton, severityWord, turns, typing, verdictCard } from "./parts.js";
import { teachingCard } from "./teaching.js";

const KEYS = ["A", "1 2 3", "4 … 9", "O", "U", "C", "J K", "Q", "X", "Y", "L", "V", "M", "B", "G", "Space", "[ ]", "W", "P", "Z", "Enter", "N", "R H", "?"];
const KNOWN_KEYS = { "[ ]": "size", "?": "help", "4 … 9": "own" };
const COUNTED = { not_corrosion: "review.count_struck", right: "review.count_right", wrong_class: "review.count_class", wrong_outline: "review.count_outline" };
const FIRST_OWN = 4, LAST_OWN = 9;
const BRUSHES_PX = [2, 4, 8, 16, 32, 64];
const MOST_REGIONS = 300;

// What is marked and not saved stays when another image is looked at, for as long as the page is open.
const drafts = new Map();
export const unsaved = () => drafts.size > 0;
let onlyDoubtful = true;
let asking = false;
let sought = "";
let size = 2;

const SEVERITIES = ["low", "moderate", "severe", "uncorroded", "cannot_tell"];
const rounded = (point) => point.map((one) => Math.round(one * 10) / 10);

export function room(root, ctx) {
  const { words, format, api, device, session } = ctx;
  const { element } = format;
  const may = session.may.includes("review");
  const desk = bench(ctx);
  const { picture } = desk;
  const list = element("ul", { class: "list", id: "doubtful" });
  const search = element("input", { type: "search", id: "search", value: sought, placeholder: words("review.search"), "aria-label": words("review.search") });
  const more = element("button", { type: "button", id: "more", hidden: true }, words("review.more"));
  const only = element("input", { type: "checkbox", id: "only", checked: onlyDoubtful });
  // What to review next for teaching: images with their regions to say right or not of. Null where the list is not that of them.
  let asked = null;
  const ask = element("button", { type: "button", id: "ask", "aria-pressed": String(asking && may), hidden: !may, onclick: () => askNext(!asking) }, words("review.ask"));
  const verdict = element("div", { id: "side" });
  const side = element("div", { id: "about" });
  const state = element("p", { role: "status", id: "marked" });
  const teaching = teachingCard(ctx, { again: (say) => inspectAgain(rows.map((row) => row.id), ctx, say), listed: () => rows.length, told: () => { drawOwn(); drawCalled(); } });
  const turn = turns();
  let rows = [], next = null, found = null, closed = false, soon = null, here = -1, brush = null, deep = false;
  let marks = fresh();
  let past = [];
  let edited = false;

  function fresh() { return { regions: new Map(), missed: [], brushed: [], complete: false, severity: null, note: "" }; }
  const copy = () => ({ ...marks, regions: new Map(marks.regions), missed: [...marks.missed], brushed: [...marks.brushed] });
  const middle = (one) => one.point_px || (one.box_px ? [one.box_px[0] + one.box_px[2] / 2, one.box_px[1] + one.box_px[3] / 2] : one.outline_px[0]);

  // The marks that a stored review made, so that a further one is not the end of those.
  function marksOf(review) {
    if (!review) return fresh();
    return {
      regions: new Map(review.regions.map((one) => [one.index, one])), missed: review.missed, brushed: review.brushed,
      complete: review.complete, severity: review.severity, note: review.note || "",
    };
  }
  const empty = () => !marks.regions.size && !marks.missed.length && !marks.brushed.length && !marks.complete && !marks.severity && !marks.note;

  function change(work) {
    if (!found?.inspection || !may) return;
    past.push(copy());
    work();
    keep();
    drawMarks();
  }

  function keep() {
    edited = true;
    drafts.set(found.row.id, { marks, past });
  }

  const tools = element("div", { class: "row", id: "tools" });
  // The plant's own classes of severities, from its adaptation and its reviews, and one that nobody used yet.
  const ownButtons = element("div", { class: "row", id: "own-classes" });
  const names = element("datalist", { id: "own-names" });
  const another = element("input", { id: "another", list: "own-names", maxlength: 100, placeholder: words("review.another"), "aria-label": words("review.another"), "aria-keyshortcuts": "O" });
  another.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return another.blur();
    const name = another.value.trim().replace(/\s+/g, " ");
    if (event.key !== "Enter" || !name) return;
    event.preventDefault();
    press.say(ownNames().find((one) => one.toLowerCase() === name.toLowerCase()) || name);
    another.value = "";
    another.blur();
  });
  const ownRow = element("div", { class: "row", id: "own", role: "group", "aria-label": words("review.own") }, ownButtons, another, names);

  function ownNames() {
    const found = teaching.severities().map((one) => one.name).filter((name) => !SEVERITIES.includes(name));
    if (marks.severity && !SEVERITIES.includes(marks.severity) && !found.includes(marks.severity)) found.push(marks.severity);
    return found;
  }

  function drawOwn() {
    const off = !may || !found?.inspection;
    keepFocus(ownButtons, () => ownButtons.replaceChildren(...ownNames().map((name, at) => element("button", {
      type: "button", id: `say-own-${at}`, disabled: off, "aria-pressed": String(marks.severity === name), "aria-keyshortcuts": at + FIRST_OWN <= LAST_OWN ? String(at + FIRST_OWN) : null, onclick: () => press.say(name),
    }, element("span", {}, name), at + FIRST_OWN <= LAST_OWN ? [" ", element("kbd", {}, String(at + FIRST_OWN))] : null))));
    names.replaceChildren(...ownNames().map((name) => element("option", { value: name })));
    another.disabled = off;
  }

  // What a region is called, where it is called wrongly.
  const called = element("select", { id: "do-class", "aria-label": words("review.class"), "aria-keyshortcuts": "V", onchange: () => { verdictOf("wrong_class", called.value); called.blur(); } });
  function drawCalled() {
    const region = found?.inspection?.regions[here];
    const mark = region && marks.regions.get(region.index);
    const others = teaching.classes().length ? teaching.classes() : classes();
    called.replaceChildren(element("option", { value: "", selected: !mark?.class }, words("review.class")), ...others.filter((name) => name !== region?.class).map((name) => element("option", { value: name, selected: mark?.class === name }, format.regionClass(name, ctx))));
    called.disabled = !may || !region;
  }

  const held = {};
  function hold(id, key, text, act) {
    held[id] = element("button", { type: "button", id, onclick: act, "aria-keyshortcuts": key }, element("span", {}, text), " ", element("kbd", {}, key));
    return held[id];
  }

  function drawTools() {
    const off = !may || !found?.inspection;
    const pressed = (id, is) => held[id].setAttribute("aria-pressed", String(is));
    for (const one of Object.values(held)) one.disabled = off;
    for (const name of SEVERITIES) pressed(`say-${name}`, marks.severity === name);
    pressed("do-missed", picture.tool === "point");
    pressed("do-brush", picture.tool === "brush" && brush !== "background");
    pressed("do-background", picture.tool === "brush" && brush === "background");
    pressed("do-complete", marks.complete === true);
    pressed("do-part", picture.tool === "box");
    drawOwn();
    drawCalled();
    held["do-strike"].disabled = held["do-right"].disabled = held["do-outline"].disabled = off || here < 0;
    held["do-undo"].disabled = off || !(past.length || own());
    held["do-save"].disabled = off || !edited;
    const brushing = picture.tool === "brush";
    strokes.hidden = !brushing && picture.tool !== "box";
    if (picture.tool === "box") strokes.textContent = words("review.framing");
    if (brushing) strokes.textContent = words("review.brushing", { what: brush === "background" ? words("review.background") : format.regionClass(brush, ctx), size: 2 * BRUSHES_PX[size], others: classes().map((name, at) => `${at + 1} ${format.regionClass(name, ctx)}`).join(", ") });
  }

  function drawMarks() {
    found?.inspection?.regions.forEach((region) => picture.mark(region.index, { not_corrosion: "struck", right: "accepted", wrong_class: "accepted", wrong_outline: "accepted" }[marks.regions.get(region.index)?.verdict]));
    picture.setMarks(marks.missed.map(middle), marks.brushed, marks.complete?.box_px);
    const counted = (verdict) => [...marks.regions.values()].filter((one) => one.verdict === verdict).length;
    const parts = [];
    if (marks.severity) parts.push(words("review.says", { severity: severityWord(marks.severity, words) }));
    for (const [verdict, key] of Object.entries(COUNTED)) if (counted(verdict)) parts.push(words(key, { count: counted(verdict) }));
    if (marks.missed.length) parts.push(words("review.count_missed", { count: marks.missed.length }));
    if (marks.brushed.length) parts.push(words("review.count_brushed", { count: marks.brushed.length }));
    if (marks.complete) parts.push(words(marks.complete.box_px ? "review.is_part" : "review.is_complete"));
    if (parts.length || edited) parts.push(words(edited ? "review.not_saved" : "review.is_saved"));
    state.className = "";
    state.textContent = parts.join(" · ") || (may ? words("review.nothing_marked") : words(session.mode === "broker" ? "problems.reads_only" : "review.needs_role"));
    drawTools();
  }

  const strokes = element("p", { class: "small", id: "brushing", hidden: true });

  function setTool(tool, what = null) {
    const same = picture.tool === tool && brush === what;
    brush = same ? null : what;
    picture.setTool(same ? "look" : tool);
    if (!same) { // the arrow keys and Space go on there, where it is seen
      desk.box.focus({ preventScroll: true });
      desk.box.scrollIntoView({ block: "nearest" });
    }
    drawMarks();
  }

  function step(by) {
    const regions = found?.inspection?.regions || [];
    if (!regions.length) return;
    here = (here + by + regions.length) % regions.length;
    picture.highlight(regions[here].index);
    drawRegions();
  }

  // The same verdict again takes it back. name: the right class, with wrong_class.
  // The next region that teaching asks about, and that has no verdict yet.
  function stepAsked() {
    const regions = found?.inspection?.regions || [];
    const left = (askedOf(found?.row.id)?.regions || []).filter((index) => !marks.regions.has(index)).map((index) => regions.findIndex((one) => one.index === index)).filter((at) => at >= 0);
    if (!left.length) return;
    here = left.find((at) => at > here) ?? left[0];
    picture.highlight(regions[here].index);
    drawRegions();
  }

  function verdictOf(kind, name = null) {
    const region = found?.inspection?.regions[here];
    if (!region || (name === "" && marks.regions.get(region.index)?.verdict !== kind)) return;
    const before = marks.regions.get(region.index);
    const back = name === "" || (before?.verdict === kind && (before.class ?? null) === name);
    const verdict = { index: region.index, box_px: region.box_px, verdict: kind, ...(name ? { class: name } : {}) };
    change(() => (back ? marks.regions.delete(region.index) : marks.regions.set(region.index, verdict)));
    drawRegions();
  }

  const press = {
    outline: () => verdictOf("wrong_outline"),
    accept: () => { const severity = found?.inspection?.severity; change(() => { marks.severity = severity?.class || severity?.label || marks.severity; marks.complete ||= true; }); },
    say: (name) => change(() => { marks.severity = marks.severity === name ? null : name; }),
    strike: () => verdictOf("not_corrosion"),
    right: () => verdictOf("right"),
    missed: () => setTool("point"),
    brush: () => setTool("brush", brush && brush !== "background" ? brush : classes()[0]),
    background: () => setTool("brush", "background"),
    complete: () => change(() => { marks.complete = marks.complete !== true; }),
    part: () => setTool("box"),
    undo: () => (past.length ? undoMark() : withdraw()),
    size: (by) => { size = Math.min(BRUSHES_PX.length - 1, Math.max(0, size + by)); drawTools(); },
    save,
  };
  tools.append(hold("do-accept", "A", words("review.accept"), press.accept), ...SEVERITIES.map((name, at) => hold(`say-${name}`, "123UC"[at], words(`severity.${name}`), () => press.say(name))),
    ...Object.entries({ strike: "X", right: "Y", outline: "L" }).map(([name, key]) => hold(`do-${name}`, key, words(`review.${name}`), () => press[name]())), called,
    ...Object.entries({ missed: "M", brush: "B", background: "G", complete: "W", part: "P", undo: "Z", save: "Enter" }).map(([name, key]) => hold(`do-${name}`, key, words(`review.${name}`), () => press[name]())));
  held["do-save"].classList.add("main");

  const classes = () => {
    const names = Object.keys(found?.inspection?.corrosion?.by_class || {});
    return names.length ? names : ["corrosion"];
  };

  function undoMark() {
    marks = past.pop();
    edited = past.length > 0;
    if (!edited) drafts.delete(found.row.id);
    const note = side.querySelector("#note");
    if (note) note.value = marks.note;
    drawMarks();
    drawRegions();
  }

  const said = (text, kind) => { state.className = kind; state.textContent = text; };

  async function save() {
    if (!may || !found?.inspection) return;
    if (!edited) return said(words(own() ? "review.is_saved" : "review.nothing_marked"), own() ? "fine" : "wrong");
    const before = own();
    if (empty()) return before ? withdraw() : said(words("review.nothing_marked"), "wrong");
    const body = { inspection_id: found.row.id, regions: [...marks.regions.values()], missed: marks.missed, brushed: marks.brushed, complete: marks.complete, severity: marks.severity ? { verdict: marks.severity } : null, note: marks.note || null, supersedes: before?.review_id || null };
    await hand(body, "review.saved");
  }

  // What I said last, if I did not take it back.
  function own() {
    const last = found?.reviews.find((one) => one.reviewer === session.user);
    return last?.withdrawn ? undefined : last;
  }

  async function withdraw() {
    const mine = own();
    if (mine && may) await hand({ inspection_id: found.row.id, supersedes: mine.review_id, withdrawn: true }, "review.withdrawn");
  }

  async function hand(body, done) {
    try {
      const id = found.row.id;
      const { review_id } = await api.post("/api/review", body);
      drafts.delete(id);
      if (found.row.id === id) { past = []; edited = false; drawTools(); }
      const stored = await until(async () => (await api.inspection(device, id)).reviews.some((one) => one.review_id === review_id));
      if (closed) return;
      if (found.row.id === id && !edited) { await open(id); said(words(stored ? done : "review.handed"), "fine"); }
      loadList();
      teaching.load();
    } catch (error) {
      said(error.message, "wrong");
      if (error.status === 401) ctx.problem(error);
    }
  }

  // The service stores what was handed over within a second; one that is stopped does so at its next start.
  async function until(there) {
    for (let turn = 0; turn < 20 && !closed; turn += 1) {
      if (await there()) return true;
      await new Promise((done) => setTimeout(done, 250));
    }
    return false;
  }

  const calledNow = (region) => { const name = marks.regions.get(region.index)?.class; return name ? `${format.regionClass(name, ctx)}: ` : ""; };
  const regionList = element("ul", { class: "list regions", id: "regions" });
  function drawRegions() {
    const signs = { not_corrosion: "✕ ", right: "✓ ", wrong_class: "≠ ", wrong_outline: "≈ " };
    const regions = found?.inspection?.regions || [];
    const wanted = new Set(askedOf(found?.row.id)?.regions);
    drawTools();
    keepFocus(regionList, () => regionList.replaceChildren(...regions.slice(0, MOST_REGIONS).map((region, at) => element("li", {}, element("button", {
      type: "button", class: `is-${region.severity?.label || "none"}`, "aria-current": at === here ? "true" : false, "data-index": region.index, onclick: () => { here = at; picture.highlight(region.index); drawRegions(); },
    }, `${signs[marks.regions.get(region.index)?.verdict] || (wanted.has(region.index) ? "? " : "")}${calledNow(region)}${region.index + 1} · ${picture.describe(region).replaceAll("\n", " · ")}`))), regions.length > MOST_REGIONS ? element("li", { class: "faint" }, words("review.more_regions", { count: regions.length - MOST_REGIONS })) : ""));
  }

  async function open(id) {
    try {
      const loaded = await desk.show(device, id);
      if (closed || !loaded) return;
      found = loaded;
      const draft = drafts.get(id);
      marks = draft?.marks || marksOf(own());
      past = draft?.past || [];
      edited = Boolean(draft);
      here = -1;
      const reviews = found.reviews.map((one) => element("li", {}, words(one.withdrawn ? "review.line_withdrawn" : "review.line", { who: one.reviewer, when: format.time(one.ts_ms), verdict: one.severity ? severityWord(one.severity, words) : words("review.marks_only"), regions: one.regions.length, missed: one.missed.length, brushed: one.brushed.length }), one.note ? ` “${one.note}”` : ""));
      const note = element("textarea", { id: "note", rows: 2, disabled: !may, "aria-label": words("review.note"), placeholder: words("review.note") });
      note.value = marks.note;
      note.addEventListener("focus", () => { if (found?.inspection && may) past.push(copy()); });
      note.addEventListener("blur", () => { if (past.at(-1)?.note === marks.note && past.length) past.pop(); drawMarks(); });
      note.addEventListener("input", () => { marks.note = note.value; keep(); drawTools(); });
      const again = element("button", { type: "button", id: "again", disabled: !may, onclick: () => inspectAgain([found.row.id], ctx, said) }, words("problems.inspect"));
      verdict.replaceChildren(verdictCard(found.row, ctx));
      side.replaceChildren(element("div", { class: "card" }, measures(found.row, ctx), element("div", { class: "row" }, again)),
        element("div", { class: "card" }, element("h2", {}, words("now.regions")), regionList), element("div", { class: "card" }, note, reviews.length ? element("h2", {}, words("review.earlier")) : null, element("ul", { id: "reviews" }, reviews)));
      drawRegions();
      drawMarks();
      drawList();
    } catch (error) {
      ctx.problem(error);
    }
  }

  function why(one) {
    if (!one) return null;
    const parts = [one.brush ? words("review.asks_brush") : null, one.regions.length ? words("review.asks_regions", { regions: one.regions.map((index) => index + 1).join(", ") }) : null];
    return parts.filter(Boolean).join(" ");
  }

  const askedOf = (id) => asked?.find((one) => one.row.id === id);

  async function askNext(on) {
    asking = on;
    asked = null;
    ask.setAttribute("aria-pressed", String(on));
    [next, deep] = [null, false];
    if (await loadList() && on && rows.length && !edited && !closed) ctx.go("review", rows[0].id, device);
  }

  function drawList() {
    keepFocus(list, () => list.replaceChildren(...rows.map((row) => rowButton(row, ctx, (one) => ctx.go("review", one.id, device), row.id === found?.row.id, why(askedOf(row.id))))));
    if (!rows.length) list.replaceChildren(element("li", { class: "faint" }, words(asked ? "review.asks_nothing" : sought ? "review.none_found" : only.checked ? "review.none" : "timeline.empty")));
    teaching.drawn();
    more.hidden = !next;
  }

  // Whether its answer is the one that is shown.
  async function loadList(further = false) {
    const mine = turn();
    try {
      if (asking && may) {
        const { images } = await api.get("/api/questions");
        if (closed || !mine()) return false;
        asked = images;
        rows = images.map((one) => one.row);
        drawList();
        drawRegions();
        const first = ctx.id || rows[0]?.id;
        if (!found && first) await open(first);
        return true;
      }
      const page = await api.get("/api/rows", { device, limit: 50, doubtful: only.checked && !sought ? 1 : 0, before: further ? next : "", search: sought });
      if (closed || !mine()) return false;
      const fetched = page.rows.filter((row) => row.kind === "inspection" && row.newest);
      const ids = new Set(fetched.map((row) => row.id));
      const others = deep || further ? rows.filter((row) => !ids.has(row.id)) : [];
      rows = further ? [...others, ...fetched] : [...fetched, ...others];
      if (further || !deep) next = page.next;
      deep ||= further;
      drawList();
      const first = ctx.id || rows[0]?.id;
      if (!found && first) await open(first);
      return true;
    } catch (error) {
      ctx.problem(error);
      return false;
    }
  }

  // The next one that nobody has reviewed, from here on and then from the top; else simply the next.
  function nextImage() {
    const at = rows.findIndex((row) => row.id === found?.row.id);
    const others = [...rows.slice(at + 1), ...rows.slice(0, Math.max(at, 0))];
    const row = others.find((one) => !one.reviewed) || others[0];
    if (row) ctx.go("review", row.id, device);
  }

  function keys(event) {
    if (event.key === "Escape" && picture.tool !== "look") return setTool(picture.tool, brush);
    if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !/^(INPUT|TEXTAREA)$/.test(event.target.tagName)) { event.preventDefault(); return press.undo(); }
    if (typing(event) || (event.key === "Enter" && /^(BUTTON|A)$/.test(event.target.tagName))) return;
    const digits = picture.tool === "brush" && brush !== "background"
      ? Object.fromEntries(classes().slice(0, 9).map((name, at) => [at + 1, () => { brush = name; drawTools(); }]))
      : { 1: () => press.say("low"), 2: () => press.say("moderate"), 3: () => press.say("severe"), ...Object.fromEntries(ownNames().slice(0, LAST_OWN - FIRST_OWN + 1).map((name, at) => [at + FIRST_OWN, () => press.say(name)])) };
    const acts = {
      a: press.accept, ...digits, o: () => another.focus(), q: stepAsked, v: () => called.focus(), u: () => press.say("uncorroded"), c: () => press.say("cannot_tell"),
      j: () => step(1), k: () => step(-1), x: press.strike, y: press.right, l: press.outline, m: press.missed, b: press.brush, g: press.background, w: press.complete, p: press.part, z: press.undo, enter: press.save, n: nextImage,
      r: desk.press.regions, h: desk.press.heat, "[": () => press.size(-1), "]": () => press.size(1), "?": () => { help.open = !help.open; if (help.open) help.scrollIntoView({ block: "nearest" }); },
    };
    const act = acts[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }

  picture.on("region", (region) => { here = found.inspection.regions.indexOf(region); picture.highlight(region.index, false); if (may) verdictOf("not_corrosion"); else drawRegions(); });
  picture.on("point", (point) => change(() => marks.missed.push({ point_px: rounded(point) })));
  picture.on("drawing", (points) => picture.setMarks(marks.missed.map(middle), [...marks.brushed, { points_px: points, radius_px: BRUSHES_PX[size], class: brush }], marks.complete?.box_px));
  picture.on("framing", (box) => picture.setMarks(marks.missed.map(middle), marks.brushed, box));
  picture.on("box", (box) => { change(() => { marks.complete = { box_px: box }; }); setTool("box"); });
  picture.on("stroke", (points) => change(() => marks.brushed.push({ class: brush, points_px: points.map(rounded), radius_px: BRUSHES_PX[size] })));
  only.addEventListener("change", () => { onlyDoubtful = only.checked; askNext(false); });
  let typed = null;
  search.addEventListener("input", () => {
    clearTimeout(typed);
    sought = search.value.trim();
    typed = setTimeout(() => { if (!closed) askNext(false); }, 250);
  });
  more.addEventListener("click", () => loadList(true));
  document.addEventListener("keydown", keys);
  const help = element("details", { class: "card", id: "help", "aria-label": words("review.keys") }, element("summary", {}, words("review.keys")), element("ul", { class: "keys" }, KEYS.map((key) => element("li", {}, element("kbd", {}, key), ` ${words(`key.${KNOWN_KEYS[key] || key.toLowerCase().replaceAll(" ", "_")}`)}`))));
  root.append(element("h1", { class: "unseen" }, words("shell.review")), element("div", { class: "split" },
    element("div", {}, desk.box, desk.bar, element("div", { class: "card" }, tools, ownRow, strokes, state), help,
      element("section", { class: "card" }, element("h2", {}, words("review.list")), element("div", { class: "row" }, element("label", { class: "small" }, only, " ", words("review.only")), ask, search), list, more)),
    element("div", { class: "aside" }, verdict, side, teaching.card)));
  drawMarks();
  loadList();
  teaching.load();
  return {
    update(kind, news) {
      // The image was inspected again: its newest verdict is shown, unless marks on the former one are not saved yet.
      if (kind === "verdict" && news.row.kind === "inspection" && news.row.place === found?.row.place && news.row.id !== found.row.id && !edited) open(news.row.id);
      if (kind !== "status") soon ??= setTimeout(() => { soon = null; loadList(); teaching.load(); }, 700); },
    close() { closed = true; clearTimeout(soon); document.removeEventListener("keydown", keys); picture.close(); teaching.close(); },
  };
}
