// Timeline: area, density and largest region over time or exposure, a line for each annealing time; severities by sample.

const DASHES = [[], [10, 4], [3, 3], [14, 4, 3, 4], [1, 4], [18, 6]];
const COLOURS = ["#4c9be8", "#f2a33a", "#57b877", "#d66ba0", "#9d86e0", "#b0b7bf"];
const MOST_SAMPLES = 60;
const MOST_MARKS = 200;

export function room(root, ctx) {
  const { words, format, api, device } = ctx;
  const { element } = format;
  const axis = element("select", { id: "axis", "aria-label": words("timeline.axis") }, ["time", "exposure"].map((name) => element("option", { value: name }, words(`timeline.by_${name}`))));
  const told = element("ul", { class: "small", id: "told" });
  const plots = element("div", { id: "plots" });
  const severities = element("div", { class: "severities", id: "severities" });
  let facts = null, drawn = [], closed = false, soon = null;
  root.append(element("h1", {}, words("shell.timeline")), element("div", { class: "card row" }, axis), told, plots,
    element("section", { class: "card" }, element("h2", {}, words("timeline.severities")), severities));

  // The points of one line: the same annealing time, adaptation and models; nothing is joined over a change of those.
  function lines(byTime) {
    const found = new Map();
    facts.ids.forEach((_, at) => {
      if (!byTime && facts.exposure_h[at] === null) return;
      const key = `${facts.annealing_min[at]}|${facts.taught[at]}|${facts.models[at]}`;
      if (!found.has(key)) found.set(key, []);
      found.get(key).push(at);
    });
    const kinds = [...new Set([...found.keys()].map((key) => key.split("|")[0]))];
    const several = new Set([...found.keys()].map((key) => key.split("|").slice(1).join("|"))).size > 1;
    return [...found].map(([key, points]) => {
      const [annealing, taught] = key.split("|");
      const name = annealing === "null" ? words("timeline.no_annealing") : words("timeline.annealing", { minutes: annealing });
      const sha = facts.names.taught[Number(taught)];
      return { points, kind: kinds.indexOf(annealing), name: several ? `${name} · ${sha ? words("timeline.taught", { sha256: sha.slice(0, 8) }) : words("timeline.untaught")}` : name };
    });
  }

  function plot(title, values, show, lo, hi) {
    const byTime = axis.value === "time";
    const where = (at) => (byTime ? facts.ts_ms[at] / 1000 : facts.exposure_h[at]);
    const those = lines(byTime).map((line) => ({ ...line, points: line.points.filter((at) => values[at] !== null) })).filter((line) => line.points.length);
    const box = element("div", { class: "plot" });
    const card = element("section", { class: "card" }, element("h2", {}, title), box);
    plots.append(card);
    if (!those.length) return box.append(element("p", { class: "faint" }, words("timeline.nothing")));
    const order = those.flatMap((line) => line.points).sort((a, b) => where(a) - where(b));
    const index = new Map(order.map((at, place) => [at, place]));
    const data = [order.map(where), ...those.map((line) => {
      const column = new Array(order.length).fill(undefined);
      for (const at of line.points) column[index.get(at)] = values[at];
      return column;
    })];
    const few = order.length <= 400;
    const series = those.map((line) => ({
      label: line.name, stroke: COLOURS[line.kind % COLOURS.length], dash: DASHES[line.kind % DASHES.length], width: byTime ? 1.5 : 0,
      spanGaps: true, points: { show: few || !byTime, size: 7 }, value: (_, value) => (value === null || value === undefined ? "–" : show(value)),
    }));
    const ink = getComputedStyle(document.documentElement).getPropertyValue("--faint").trim();
    const line = getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
    const whiskers = (chart) => {
      const { ctx: brush } = chart;
      brush.save();
      those.forEach((one) => {
        brush.strokeStyle = COLOURS[one.kind % COLOURS.length];
        brush.globalAlpha = few ? 0.6 : 0.15;
        for (const at of lo ? one.points : []) {
          if (lo[at] === null) continue;
          const x = chart.valToPos(where(at), "x", true);
          brush.beginPath();
          brush.moveTo(x, chart.valToPos(lo[at], "y", true));
          brush.lineTo(x, chart.valToPos(hi[at], "y", true));
          brush.stroke();
        }
      });
      brush.globalAlpha = 1;
      brush.strokeStyle = ink;
      brush.setLineDash([4, 4]);
      for (const change of byTime ? facts.switches : []) {
        const x = chart.valToPos(change.ts_ms / 1000, "x", true);
        brush.beginPath();
        brush.moveTo(x, chart.bbox.top);
        brush.lineTo(x, chart.bbox.top + chart.bbox.height);
        brush.stroke();
      }
      brush.restore();
    };
    const top = Math.max(...order.map((at) => Math.max(values[at], hi?.[at] ?? 0)), 1e-9);
    const side = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
    const chart = new uPlot({
      width: Math.max(260, box.clientWidth || 800), height: 240, scales: { x: { time: byTime }, y: { range: [0, top * 1.08] } },
      axes: [{ ...side, values: byTime ? undefined : (_, ticks) => ticks.map((tick) => (tick >= 48 ? `${format.number(tick / 24)} d` : `${format.number(tick)} h`)) }, { ...side, size: 64, values: (_, ticks) => ticks.map(show) }],
      series: [{ label: words(byTime ? "timeline.time" : "timeline.exposure"), value: (_, value) => (value === null || value === undefined ? "–" : byTime ? format.time(value * 1000) : `${format.number(value)} h`) }, ...series],
      cursor: { drag: { x: true, y: false } }, hooks: { draw: [whiskers] },
    }, data, box);
    chart.over.addEventListener("click", () => {
      const place = chart.cursor.idx;
      if (place !== null && place !== undefined && Math.abs(chart.valToPos(data[0][place], "x") - chart.cursor.left) < 12) ctx.go("review", facts.ids[order[place]], device);
    });
    drawn.push({ chart, box });
  }

  function strips() {
    const samples = new Map();
    facts.ids.forEach((_, at) => {
      const name = facts.sample[at] || words("timeline.no_sample");
      if (!samples.has(name)) samples.set(name, []);
      samples.get(name).push(at);
    });
    const shown = [...samples].slice(0, MOST_SAMPLES).map(([name, points]) => element("div", { class: "line" }, element("span", { class: "small" }, `${name} (${points.length})`),
      element("div", { class: "marks" }, points.slice(-MOST_MARKS).map((at) => {
        const row = { kind: "inspection", label: facts.label[at], state: facts.state[at] };
        const kind = format.tone(row);
        const text = `${facts.path[at]}: ${format.said(row, words)}`;
        return element("button", { type: "button", class: `is-${kind}`, title: text, "aria-label": text, onclick: () => ctx.go("review", facts.ids[at], device) }, format.SHAPES[kind]);
      }))));
    if (samples.size > MOST_SAMPLES) shown.push(element("p", { class: "faint" }, words("timeline.more", { count: samples.size - MOST_SAMPLES })));
    severities.replaceChildren(...shown);
  }

  function draw() {
    for (const { chart } of drawn) chart.destroy();
    drawn = [];
    plots.replaceChildren();
    const notes = [];
    const none = (column) => facts[column].every((value) => value === null);
    if (!facts.ids.length) notes.push(words("timeline.empty"));
    else {
      if (!facts.complete) notes.push(words("timeline.filling"));
      if (none("exposure_h")) notes.push(words("timeline.no_exposure"));
      if (none("annealing_min")) notes.push(words("timeline.no_annealing_hint"));
      if (none("density")) notes.push(words("timeline.no_scale"));
      for (const change of facts.switches) notes.push(words(`timeline.switch_${change.kind}`, { when: format.time(change.ts_ms), who: change.who || words("timeline.somebody"), to: change.to ? change.to.slice(0, 12) : words("timeline.untaught") }));
    }
    told.replaceChildren(...notes.slice(0, 20).map((text) => element("li", {}, text)));
    axis.querySelector("[value=exposure]").disabled = none("exposure_h");
    if (facts.ids.length) {
      plot(words("measure.area"), facts.area, (value) => format.percent(value, 1), facts.lo, facts.hi);
      plot(words("timeline.density"), facts.density, (value) => format.number(value, 3));
      plot(words("timeline.largest"), facts.largest_um, (value) => format.number(value, 3));
    }
    strips();
  }

  async function load() {
    try {
      const found = await api.get("/api/timeline", { device });
      if (closed) return;
      facts = found;
      draw();
    } catch (error) {
      ctx.problem(error);
    }
  }
  const wide = new ResizeObserver(() => { for (const { chart, box } of drawn) chart.setSize({ width: Math.max(260, box.clientWidth), height: 240 }); });
  wide.observe(plots);
  axis.addEventListener("change", draw);
  load();
  return {
    update(kind) { if (kind !== "status") { clearTimeout(soon); soon = setTimeout(load, 1500); } },
    close() { closed = true; clearTimeout(soon); wide.disconnect(); for (const { chart } of drawn) chart.destroy(); },
  };
}
