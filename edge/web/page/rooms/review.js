// Review: doubtful verdicts first, marks by mouse or keyboard, one review saved for each image; and what was taught by them.

import { bench, measures, reviewedLine, rowButton, severityWord, typing, verdictCard } from "./parts.js";

const KEYS = ["A", "1 2 3", "U", "C", "J K", "X", "Y", "M", "B", "G", "Space", "[ ]", "W", "Z", "Enter", "N", "R H", "?"];
const KNOWN_KEYS = { "[ ]": "size", "?": "help" };
const BRUSHES_PX = [2, 4, 8, 16, 32, 64];
const MOST_REGIONS = 300;

// What is marked and not saved stays when another image is looked at, for as long as the page is open.
const drafts = new Map();
export const unsaved = () => drafts.size > 0;
let onlyDoubtful = true;
let size = 2;

const SEVERITIES = ["low", "moderate", "severe", "uncorroded", "cannot_tell"];
const rounded = (point) => point.map((one) => Math.round(one * 10) / 10);

// Draws anew, and leaves the focus on what has the same name as before.
function keepFocus(root, draw) {
  const was = root.contains(document.activeElement) ? document.activeElement : null;
  const same = (one) => one.id === was.id && one.dataset.id === was.dataset.id && one.dataset.index === was.dataset.index;
  draw();
  if (was && !was.isConnected) [...root.querySelectorAll("button")].find(same)?.focus({ preventScroll: true });
}

export function room(root, ctx) {
  const { words, format, api, device, session } = ctx;
  const { element } = format;
  const may = session.may.includes("review");
  const desk = bench(ctx);
  const { picture } = desk;
  const list = element("ul", { class: "list", id: "doubtful" });
  const more = element("button", { type: "button", id: "more", hidden: true }, words("review.more"));
  const only = element("input", { type: "checkbox", id: "only", checked: onlyDoubtful });
  const verdict = element("div", { id: "side" });
  const side = element("div", { id: "about" });
  const state = element("p", { role: "status", id: "marked" });
  const teaching = element("section", { class: "card", id: "teaching" });
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
    pressed("do-complete", Boolean(marks.complete));
    held["do-strike"].disabled = held["do-right"].disabled = off || here < 0;
    held["do-undo"].disabled = off || !(past.length || own());
    held["do-save"].disabled = off || !edited;
    const brushing = picture.tool === "brush";
    strokes.hidden = !brushing;
    if (brushing) strokes.textContent = words("review.brushing", { what: brush === "background" ? words("review.background") : brush, size: 2 * BRUSHES_PX[size], others: classes().map((name, at) => `${at + 1} ${name}`).join(", ") });
  }

  function drawMarks() {
    found?.inspection?.regions.forEach((region) => picture.mark(region.index, { not_corrosion: "struck", right: "accepted" }[marks.regions.get(region.index)?.verdict]));
    picture.setMarks(marks.missed.map(middle), marks.brushed);
    const struck = [...marks.regions.values()].filter((one) => one.verdict === "not_corrosion").length;
    const parts = [];
    if (marks.severity) parts.push(words("review.says", { severity: severityWord(marks.severity, words) }));
    if (struck) parts.push(words("review.count_struck", { count: struck }));
    if (marks.regions.size - struck) parts.push(words("review.count_right", { count: marks.regions.size - struck }));
    if (marks.missed.length) parts.push(words("review.count_missed", { count: marks.missed.length }));
    if (marks.brushed.length) parts.push(words("review.count_brushed", { count: marks.brushed.length }));
    if (marks.complete) parts.push(words("review.is_complete"));
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
    if (!same) desk.box.focus({ preventScroll: true }); // the arrow keys and Space go on there
    drawMarks();
  }

  function step(by) {
    const regions = found?.inspection?.regions || [];
    if (!regions.length) return;
    here = (here + by + regions.length) % regions.length;
    picture.highlight(regions[here].index);
    drawRegions();
  }

  function verdictOf(kind) {
    const region = found?.inspection?.regions[here];
    if (!region) return;
    change(() => (marks.regions.get(region.index)?.verdict === kind ? marks.regions.delete(region.index) : marks.regions.set(region.index, { index: region.index, box_px: region.box_px, verdict: kind })));
    drawRegions();
  }

  const press = {
    accept: () => { const severity = found?.inspection?.severity; change(() => { marks.severity = severity?.class || severity?.label || marks.severity; marks.complete = true; }); },
    say: (name) => change(() => { marks.severity = marks.severity === name ? null : name; }),
    strike: () => verdictOf("not_corrosion"),
    right: () => verdictOf("right"),
    missed: () => setTool("point"),
    brush: () => setTool("brush", brush && brush !== "background" ? brush : classes()[0]),
    background: () => setTool("brush", "background"),
    complete: () => change(() => { marks.complete = !marks.complete; }),
    undo: () => (past.length ? undoMark() : withdraw()),
    size: (by) => { size = Math.min(BRUSHES_PX.length - 1, Math.max(0, size + by)); drawTools(); },
    save,
  };
  tools.append(hold("do-accept", "A", words("review.accept"), press.accept), ...SEVERITIES.map((name, at) => hold(`say-${name}`, "123UC"[at], words(`severity.${name}`), () => press.say(name))),
    ...Object.entries({ strike: "X", right: "Y", missed: "M", brush: "B", background: "G", complete: "W", undo: "Z", save: "Enter" }).map(([name, key]) => hold(`do-${name}`, key, words(`review.${name}`), () => press[name]())));
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
      loadTeaching();
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

  const regionList = element("ul", { class: "list regions", id: "regions" });
  function drawRegions() {
    const signs = { not_corrosion: "✕ ", right: "✓ " };
    const regions = found?.inspection?.regions || [];
    drawTools();
    keepFocus(regionList, () => regionList.replaceChildren(...regions.slice(0, MOST_REGIONS).map((region, at) => element("li", {}, element("button", {
      type: "button", class: `is-${region.severity?.label || "none"}`, "aria-current": at === here ? "true" : false, "data-index": region.index, onclick: () => { here = at; picture.highlight(region.index); drawRegions(); },
    }, `${signs[marks.regions.get(region.index)?.verdict] || ""}${region.index + 1} · ${picture.describe(region).replaceAll("\n", " · ")}`))), regions.length > MOST_REGIONS ? element("li", { class: "faint" }, words("review.more_regions", { count: regions.length - MOST_REGIONS })) : ""));
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
      const again = element("button", { type: "button", id: "again", disabled: !may, onclick: () => inspectAgain([found.row.id]) }, words("problems.inspect"));
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

  async function inspectAgain(ids) {
    let done = 0;
    for (const id of ids) {
      const told = await api.post("/api/command", { name: "inspect", fields: { inspection_id: id } }).catch((error) => ({ ok: false, error: error.message }));
      if (!told.ok) return said(told.error, "wrong");
      done += 1;
    }
    return said(words("review.again_done", { count: done }), "fine");
  }

  function drawList() {
    keepFocus(list, () => list.replaceChildren(...rows.map((row) => rowButton(row, ctx, (one) => ctx.go("review", one.id, device), row.id === found?.row.id))));
    if (!rows.length) list.replaceChildren(element("li", { class: "faint" }, words("review.none")));
    more.hidden = !next;
  }

  async function loadList(further = false) {
    try {
      const page = await api.get("/api/rows", { device, limit: 50, doubtful: only.checked ? 1 : 0, before: further ? next : "" });
      if (closed) return;
      const fetched = page.rows.filter((row) => row.kind === "inspection" && row.newest);
      const ids = new Set(fetched.map((row) => row.id));
      const others = deep || further ? rows.filter((row) => !ids.has(row.id)) : [];
      rows = further ? [...others, ...fetched] : [...fetched, ...others];
      if (further || !deep) next = page.next;
      deep ||= further;
      drawList();
      const first = ctx.id || rows[0]?.id;
      if (!found && first) await open(first);
    } catch (error) {
      ctx.problem(error);
    }
  }

  async function loadTeaching() {
    try {
      const facts = await api.get("/api/teach", { device });
      if (!closed) drawTeaching(facts);
    } catch (error) {
      ctx.problem(error);
    }
  }

  function drawTeaching(facts) {
    if (!facts.enabled) return teaching.replaceChildren(element("h2", {}, words("teach.title")), element("p", { class: "faint" }, words("problems.reads_only")));
    const command = session.may.includes("command");
    const parts = [element("h2", {}, words("teach.title")), element("p", {}, words("teach.reviews", facts))];
    for (const text of [facts.why_not, ...(facts.left_out || [])]) if (text) parts.push(element("p", { class: "small faint" }, text));
    const begin = element("button", { type: "button", id: "teach", disabled: !may || facts.running || !facts.reviews, onclick: async () => { await api.post("/api/teach").catch((error) => said(error.message, "wrong")); loadTeaching(); } }, words(facts.running ? "teach.running" : "teach.begin"));
    parts.push(begin);
    if (facts.last_error) parts.push(element("p", { class: "wrong", id: "teach-error" }, facts.last_error));
    if (facts.draft) {
      const counts = facts.draft.counts;
      if (counts) parts.push(element("p", { class: "fine", id: "taught-counts" }, words("teach.counts", counts)));
      parts.push(element("p", { class: "small" }, words("teach.how", { how: facts.draft.how || "" })));
      for (const [part, after] of Object.entries(facts.draft.after || {})) {
        for (const [measure, value] of Object.entries(after)) {
          const before = facts.draft.before?.[part]?.[measure];
          if (typeof value === "number" && !facts.draft.told?.some((text) => text.startsWith(`${part}:`))) parts.push(element("p", { class: "small" }, `${part} · ${measure}: ${format.number(before ?? null)} → ${format.number(value)}`));
        }
      }
      if (facts.draft.told?.length) parts.push(element("ul", { class: "small", id: "taught-told" }, facts.draft.told.map((text) => element("li", {}, text))));
      if (facts.draft.provisional) parts.push(element("p", { class: "small" }, words("teach.provisional")));
    }
    const use = (sha256, text, id) => element("button", { type: "button", id, disabled: !command || !facts.taught_is_state, onclick: async () => {
      try {
        const told = await api.post("/api/taught", { sha256 });
        said(told.ok ? words("teach.used") : told.error, told.ok ? "fine" : "wrong");
        setTimeout(loadTeaching, 1500);
      } catch (error) { said(error.message, "wrong"); }
    } }, text);
    if (facts.draft && facts.draft.sha256 !== facts.chosen) parts.push(use(facts.draft.sha256, words("teach.use"), "use-draft"));
    if (!facts.taught_is_state) parts.push(element("p", { class: "small faint" }, words("teach.not_state")));
    else if (!command) parts.push(element("p", { class: "small faint" }, words("teach.needs_role")));
    parts.push(element("p", { class: "small" }, facts.chosen ? words("teach.chosen", { sha256: facts.chosen.slice(0, 12) }) : words("teach.none_chosen")));
    if (facts.chosen) parts.push(use(null, words("teach.back"), "use-none"));
    for (const one of facts.kept) if (one.sha256 !== facts.chosen && one.sha256 !== facts.draft?.sha256) parts.push(use(one.sha256, words("teach.use_kept", { sha256: one.sha256.slice(0, 12), reviews: one.reviews ?? "?" }), `use-${one.sha256.slice(0, 12)}`));
    if (facts.chosen || facts.kept.length) parts.push(element("button", { type: "button", id: "again-all", disabled: !may, onclick: () => inspectAgain(rows.map((row) => row.id)) }, words("teach.again", { count: rows.length })));
    keepFocus(teaching, () => teaching.replaceChildren(...parts));
    if (facts.running) setTimeout(() => { if (!closed) loadTeaching(); }, 1500);
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
      : { 1: () => press.say("low"), 2: () => press.say("moderate"), 3: () => press.say("severe") };
    const acts = {
      a: press.accept, ...digits, u: () => press.say("uncorroded"), c: () => press.say("cannot_tell"),
      j: () => step(1), k: () => step(-1), x: press.strike, y: press.right, m: press.missed, b: press.brush, g: press.background, w: press.complete, z: press.undo, enter: press.save,
n: nextImage,
      r: desk.press.regions, h: desk.press.heat, "[": () => press.size(-1), "]": () => press.size(1), "?": () => { help.open = !help.open; if (help.open) help.scrollIntoView({ block: "nearest" }); },
    };
    const act = acts[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }

  picture.on("region", (region) => { here = found.inspection.regions.indexOf(region); picture.highlight(region.index, false); if (may) verdictOf("not_corrosion"); else drawRegions(); });
  picture.on("point", (point) => change(() => marks.missed.push({ point_px: rounded(point) })));
  picture.on("drawing", (points) => picture.setMarks(marks.missed.map(middle), [...marks.brushed, { points_px: points, radius_px: BRUSHES_PX[size], class: brush }]));
  picture.on("stroke", (points) => change(() => marks.brushed.push({ class: brush, points_px: points.map(rounded), radius_px: BRUSHES_PX[size] })));
  only.addEventListener("change", () => { onlyDoubtful = only.checked; next = null; deep = false; loadList(); });
  more.addEventListener("click", () => loadList(true));
  document.addEventListener("keydown", keys);
  const help = element("details", { class: "card", id: "help", "aria-label": words("review.keys") }, element("summary", {}, words("review.keys")), element("ul", { class: "keys" }, KEYS.map((key) => element("li", {}, element("kbd", {}, key), ` ${words(`key.${KNOWN_KEYS[key] || key.toLowerCase().replaceAll(" ", "_")}`)}`))));
  root.append(element("h1", { class: "unseen" }, words("shell.review")), element("div", { class: "split" },
    element("div", {}, desk.box, desk.bar, element("div", { class: "card" }, tools, strokes, state), help),
    element("div", { class: "aside" }, verdict, side)),
  element("div", { class: "split" }, element("section", { class: "card" }, element("h2", {}, words("review.list")), element("label", { class: "small" }, only, " ", words("review.only")), list, more), teaching));
  drawMarks();
  loadList();
  loadTeaching();
  return {
    update(kind, news) {
      // The image was inspected again: its newest verdict is shown, unless marks on the former one are not saved yet.
      if (kind === "verdict" && news.row.kind === "inspection" && news.row.place === found?.row.place && news.row.id !== found.row.id && !edited) open(news.row.id);
      if (kind !== "status") soon ??= setTimeout(() => { soon = null; loadList(); loadTeaching(); }, 700); },
    close() { closed = true; clearTimeout(soon); document.removeEventListener("keydown", keys); picture.close(); },
  };
}
