// Teaching: what the reviews teach, how good that is, taking it into use and going back; the order of the plant's own classes.

import { keepFocus, severityWord, turns } from "./parts.js";

const LABELS = ["low", "moderate", "severe"];
const SET = [...LABELS, "uncorroded"]; // their labels are what they say
const RUNNING_MS = 1500;

// desk: what the room lends. again(say): inspect the listed images again, listed(): how many, told(): names may have changed.
export function teachingCard(ctx, desk) {
  const { words, format, api, device, session } = ctx;
  const { element } = format;
  const card = element("section", { class: "card", id: "teaching" });
  const may = session.may.includes("review"), command = session.may.includes("command");
  const answer = element("p", { role: "status", id: "taught-answer" });
  const turn = turns();
  let facts = null, order = null, closed = false, timer = null;

  const called = (key, name) => (ctx.known(key) ? words(key) : name);
  const short = (sha256) => sha256.slice(0, 12);
  const button = (id, disabled, text, onclick) => element("button", { type: "button", id, disabled, onclick }, text);

  function say(text, kind = "") {
    answer.className = kind;
    answer.textContent = text;
  }

  function failed(error) {
    say(error.message, "wrong");
    if (error.status === 401) ctx.problem(error);
  }

  async function load() {
    const mine = turn();
    try {
      const found = await api.get("/api/teach", { device });
      if (closed || !mine()) return;
      facts = found;
      draw();
      desk.told();
    } catch (error) {
      if (!closed) ctx.problem(error);
    }
  }

  async function begin() {
    const classes = wanted();
    say("");
    await api.post("/api/teach", classes ? { classes } : {}).catch(failed);
    load();
  }

  async function use(sha256) {
    try {
      await api.post("/api/taught", { sha256 });
      say(words("teach.used"), "fine");
    } catch (error) {
      failed(error);
    }
    later();
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(() => { if (!closed) load(); }, RUNNING_MS);
  }

  // The classes that the reviews name, in the order that somebody gave here, else in that of the adaptation.
  function classes() {
    const said = facts?.severities || [];
    const known = (order || []).filter((one) => said.some((other) => other.name === one.name));
    return [...known, ...said.filter((one) => !known.some((other) => other.name === one.name))].map((one) => ({ name: one.name, label: one.label, images: said.find((other) => other.name === one.name).images }));
  }

  // What is told to the teacher: nothing where nobody has said an order or a label of a class of the plant's own.
  function wanted() {
    const all = classes();
    const own = all.filter((one) => !SET.includes(one.name));
    return all.length > 1 && own.length && (order || own.some((one) => one.label)) ? all.map(({ name, label }) => ({ name, label })) : null;
  }

  function change(work) {
    order = classes();
    work(order);
    draw();
  }

  function ranks() {
    const all = classes();
    if (all.length < 2 || all.every((one) => SET.includes(one.name))) return [];
    const lines = all.map((one, at) => element("li", { class: "row", "data-class": one.name },
      button(`up-${at}`, !may || !at, "↑", () => change((list) => list.splice(at - 1, 2, list[at], list[at - 1]))),
      element("span", {}, `${severityWord(one.name, words)} (${format.number(one.images)})`),
      element("select", {
        id: `stands-${at}`, disabled: !may || SET.includes(one.name), "aria-label": words("teach.stands_for", { name: severityWord(one.name, words) }),
        onchange: (event) => change((list) => { list[at] = { ...list[at], label: event.target.value || null }; }),
      }, element("option", { value: "", selected: !one.label }, words("teach.stands_for_none")), LABELS.map((label) => element("option", { value: label, selected: one.label === label }, words(`severity.${label}`))))));
    for (const [at, line] of lines.entries()) line.querySelector("button").setAttribute("aria-label", words("teach.lower", { name: severityWord(all[at].name, words) }));
    return [element("h3", {}, words("teach.classes")), element("p", { class: "small faint" }, words("teach.classes_hint")), element("ol", { class: "ranks", id: "ranks" }, lines)];
  }

  function figures(draft) {
    const parts = [];
    if (draft.counts) parts.push(element("p", { class: "fine", id: "taught-counts" }, words("teach.counts", draft.counts)));
    const how = draft.how?.startsWith("by leaving") ? "teach.left_out" : "teach.blocks";
    if (draft.how) parts.push(element("p", { class: "small" }, words("teach.how", { how: words(how) })));
    for (const [part, after] of Object.entries(draft.after || {})) {
      if (draft.told?.some((text) => text.startsWith(`${part}: what was said`))) continue;
      for (const [measure, value] of Object.entries(after)) {
        const before = draft.before?.[part]?.[measure];
        if (typeof value === "number") parts.push(element("p", { class: "small" }, `${called(`part.${part}`, part)} · ${called(`figure.${measure}`, measure)}: ${format.number(before ?? null)} → ${format.number(value)}`));
      }
    }
    if (draft.told?.length) parts.push(element("ul", { class: "small", id: "taught-told" }, draft.told.map((text) => element("li", { lang: ctx.told(text) === text ? "en" : null }, ctx.told(text)))));
    if (draft.provisional) parts.push(element("p", { class: "small" }, words("teach.provisional")));
    return parts;
  }

  function choices() {
    const parts = [];
    const usable = command && facts.taught_is_state;
    if (facts.draft && facts.draft.sha256 !== facts.chosen) parts.push(button("use-draft", !usable || facts.signed, words("teach.use"), () => use(facts.draft.sha256)));
    if (facts.signed) parts.push(element("p", { class: "small faint" }, words("teach.signed")));
    if (!facts.taught_is_state) parts.push(element("p", { class: "small faint" }, words("teach.not_state")));
    else if (!command) parts.push(element("p", { class: "small faint" }, words("teach.needs_role")));
    parts.push(element("p", { class: "small" }, facts.chosen ? words("teach.chosen", { sha256: short(facts.chosen) }) : words("teach.none_chosen")));
    if (facts.chosen) parts.push(button("use-none", !usable, words("teach.back"), () => use(null)));
    for (const one of facts.kept) if (one.sha256 !== facts.chosen && one.sha256 !== facts.draft?.sha256) parts.push(button(`use-${short(one.sha256)}`, !usable, words("teach.use_kept", { sha256: short(one.sha256), reviews: one.reviews ?? "?", when: one.made_ms ? format.time(one.made_ms) : "–" }), () => use(one.sha256)));
    if (facts.chosen || facts.kept.length) parts.push(button("again-all", !may || !desk.listed(), words("teach.again", { count: desk.listed() }), () => desk.again(say)));
    return parts;
  }

  function draw() {
    if (!facts.enabled) return card.replaceChildren(element("h2", {}, words("teach.title")), element("p", { class: "faint" }, words("problems.reads_only")));
    const parts = [element("h2", {}, words("teach.title")), element("p", {}, words("teach.reviews", facts))];
    for (const text of [facts.why_not, ...(facts.left_out || [])]) if (text) parts.push(element("p", { class: "small faint" }, ctx.told(text)));
    parts.push(...ranks(), button("teach", !may || facts.running || !facts.reviews, words(facts.running ? "teach.running" : "teach.begin"), begin));
    if (facts.last_error) parts.push(element("p", { class: "wrong", id: "teach-error" }, ctx.told(facts.last_error)));
    if (facts.draft) parts.push(...figures(facts.draft));
    keepFocus(card, () => card.replaceChildren(...parts, ...choices(), answer));
    if (facts.running) later();
  }

  return {
    card, load, severities: () => facts?.severities || [], classes: () => facts?.classes || [],
    drawn: () => { if (facts) draw(); },
    close() { closed = true; clearTimeout(timer); },
  };
}
