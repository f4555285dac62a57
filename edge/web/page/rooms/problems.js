// Problems: why the service is degraded, what could not be inspected or sent, and what to do about it.

import { inspectAgain, turns } from "./parts.js";

export function room(root, ctx) {
  const { words, told, format, api, device, session } = ctx;
  const { element } = format;
  const answer = element("p", { role: "status", id: "answer" });
  const body = element("div", { id: "problems" });
  const may = (role) => session.may.includes(role);
  const why = session.mode === "broker" ? words("problems.reads_only") : words("problems.needs_role");
  const turn = turns();
  let paused = false, closed = false, soon = null;

  function say(text, kind = "") {
    answer.className = kind;
    answer.textContent = text;
  }

  async function ask(name, fields, done) {
    if (name === "pause" && !confirm(words("problems.confirm_pause"))) return;
    say(words("problems.asked"));
    try {
      await api.post("/api/command", { name, fields });
      say(done, "fine");
      load();
    } catch (error) {
      say(error.message, "wrong");
      if (error.status === 401) ctx.problem(error);
    }
  }

  const button = (name, role, fields, done, id = name) => element("button", {
    type: "button", id: `ask-${id}`, disabled: !may(role), title: may(role) ? "" : why, onclick: () => ask(name, fields, done),
  }, words(`problems.${name}`));
  const tools = element("div", { class: "row" });
  root.append(element("h1", {}, words("shell.problems")), element("div", { class: "card" }, tools, may("command") ? null : element("p", { class: "small faint" }, why), answer), body);

  const explained = (row) => format.explained(row, ctx).map(({ text, own }) => [text, own ? element("div", { class: "small faint", lang: "en" }, own) : null]).flat();
  const section = (title, ...children) => element("section", { class: "card" }, element("h2", {}, title), ...children.filter(Boolean));
  const table = (heads, rows) => element("div", { class: "scroll" }, element("table", {}, element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col" }, head)))), element("tbody", {}, rows.map((cells) => element("tr", {}, cells.map((cell, at) => element("td", { class: at ? "" : "name" }, cell)))))));

  // What the broker did not take lies at the microscope alone.
  const original = (one) => (session.mode === "broker" ? "" : element("a", { href: api.messageUrl(device, one.id), download: `${one.id}.json`, class: "original" }, words("problems.original")));
  const newest = (shown, all) => (all > shown.length ? element("p", { class: "small faint" }, words("problems.newest", { count: shown.length })) : null);

  function draw(facts) {
    paused = facts.paused;
    tools.replaceChildren(button("rescan", "command", {}, words("problems.done_rescan")), paused ? button("resume", "command", {}, words("problems.done_resume")) : button("pause", "command", {}, words("problems.done_pause")));
    const parts = [];
    if (facts.journal) parts.push(section(words("problems.journal"), element("p", { class: "wrong" }, told(facts.journal))));
    if (facts.running === false) parts.push(section(words("problems.service"), element("p", { class: "wrong" }, words("problems.not_running"))));
    if (paused) parts.push(section(words("problems.service"), element("p", { class: "wrong" }, words("light.paused"))));
    if (facts.problems.length) parts.push(section(words("problems.reasons"), element("ul", { class: "reasons" }, facts.problems.map((one) => element("li", {}, element("b", {}, told(one.text)), element("div", {}, told(one.cure)))))));
    if (facts.failures.length) {
      const all = element("button", { type: "button", id: "ask-all", disabled: !may("review"), title: may("review") ? "" : why, onclick: () => inspectAgain(facts.failures.map((row) => row.id), ctx, say) }, words("problems.inspect_all"));
      parts.push(section(words("problems.failures", { count: facts.failures_in_all ?? facts.failures.length }), newest(facts.failures, facts.failures_in_all), facts.failures.length > 1 ? element("p", {}, all) : null, table([words("problems.image"), words("problems.why"), words("problems.when"), ""],
        facts.failures.map((row) => [row.path, explained(row), format.time(row.ts_ms), button("inspect", "review", { inspection_id: row.id }, words("problems.done_inspect", { name: row.name }), `inspect-${row.id}`)]))));
    }
    if (facts.dead_letters.length) parts.push(section(words("problems.dead", { count: facts.dead_in_all ?? facts.dead_letters.length }), newest(facts.dead_letters, facts.dead_in_all), element("p", { class: "small faint" }, words("problems.dead_cure")), table([words("problems.number"), words("problems.topic"), words("problems.why"), words("problems.when"), ""], facts.dead_letters.map((one) => [String(one.seq), one.topic, one.reason, format.time(one.ts_ms), original(one)]))));
    if (facts.gaps.length) parts.push(section(words("problems.gaps"), element("p", { class: "small faint" }, words("problems.gaps_cure")), table([words("problems.epoch"), words("problems.number")], facts.gaps.map((one) => [String(one.epoch), one.first === one.last ? String(one.first) : `${one.first} – ${one.last}`]))));
    if (facts.suspects) parts.push(section(words("problems.suspects", { count: facts.suspects }), element("p", {}, words("problems.suspects_cure"))));
    if (!parts.length) parts.push(element("p", { class: "card fine", id: "all-well" }, `● ${words("problems.none")}`));
    body.replaceChildren(...parts);
  }

  async function load() {
    const mine = turn();
    try {
      const facts = await api.get("/api/problems", { device });
      if (!closed && mine()) draw(facts);
    } catch (error) {
      ctx.problem(error);
    }
  }
  load();
  return {
    update() { soon ??= setTimeout(() => { soon = null; load(); }, 400); },
    close() { closed = true; clearTimeout(soon); },
  };
}
