// Timeline: area, density and largest region over time or exposure, a line for each annealing time; severities by sample.

import { inspectAgain, turns } from "./parts.js";

const DASHES = [[], [10, 4], [3, 3], [14, 4, 3, 4], [1, 4], [18, 6], [6, 6], [2, 8]];
const COLOURS = ["#3a86d8", "#c07812", "#2f9352", "#cf5a95", "#8c72dc", "#7c8792", "#c9594a", "#1b9090"];
const SIGNS = ["●", "■", "▲", "◆", "✚", "✕", "▼", "○"];
const MANY = 600;
const BINS = 120;
const MOST_SAMPLES = 60;
const MOST_MARKS = 200;
const MOST_MARKS_IN_ALL = 3000;
const NEAR_PX = 14;
const SIZE_PX = 4;

// A sign at x, y: which line a point is of is told by its form, too.
function sign(path, kind, x, y, size) {
  if (kind === 0 || kind === 7) {
    path.moveTo(x + size, y);
    path.arc(x, y, size, 0, 7);
  } else if (kind === 4 || kind === 5) {
    const turn = kind === 5 ? size * 0.75 : 0;
    path.moveTo(x - (turn || size), y - turn);
    path.lineTo(x + (turn || size), y + turn);
    path.moveTo(x + turn, y - (turn || size));
    path.lineTo(x - turn, y + (turn || size));
  } else {
    const corners = { 1: [[-1, -1], [1, -1], [1, 1], [-1, 1]], 2: [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]], 6: [[0, 1.2], [1.1, -0.9], [-1.1, -0.9]], 3: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]] }[kind];
    corners.forEach(([dx, dy], at) => (at ? path.lineTo(x + dx * size, y + dy * size) : path.moveTo(x + dx * size, y + dy * size)));
    path.closePath();
  }
}

export function room(root, ctx) {
  const { words, format, api, device, session } = ctx;
  const { element } = format;
  const axis = element("select", { id: "axis", "aria-label": words("timeline.axis") }, ["time", "exposure"].map((name) => element("option", { value: name }, words(`timeline.by_${name}`))));
  const told = element("ul", { class: "small", id: "told" });
  const again = element("p", { class: "row", id: "before-switch", hidden: true });
  const answer = element("p", { role: "status", id: "answer" });
  const plots = element("div", { id: "plots" });
  const severities = element("div", { class: "severities", id: "severities" });
  const turn = turns();
  let facts = null, drawn = [], closed = false, soon = null, zoom = null;
  const unseen = new Set();
  const legend = element("div", { class: "row", id: "legend", role: "group", "aria-label": words("timeline.lines") });
  root.append(element("h1", {}, words("shell.timeline")), element("div", { class: "card row" }, axis, legend), told, again, answer, plots,
    element("section", { class: "card" }, element("h2", {}, words("timeline.severities")), severities));

  const rowOf = (at) => ({ kind: "inspection", label: facts.label[at], own_class: facts.own_class[at], state: facts.state[at] });

  // What judged an image: of another adaptation, of other models or settings the measures are not comparable.
  const judged = (at) => `${facts.taught[at]}|${facts.models[at]}|${facts.settings[at]}`;

  // The points of one line: the same annealing time, and judged alike. Over time nothing is joined over a change of
  // that, also where it was taken back; over exposure what was judged alike is one line.
  function lines(byTime) {
    const found = new Map();
    let period = 0;
    facts.ids.forEach((_, at) => {
      if (at && judged(at) !== judged(at - 1)) period += 1;
      if (!byTime && facts.exposure_h[at] === null) return;
      const key = `${facts.annealing_min[at]}|${judged(at)}|${byTime ? period : 0}`;
      if (!found.has(key)) found.set(key, []);
      found.get(key).push(at);
    });
    const order = (line) => kinds().indexOf(line.annealing);
    return [...found].map(([key, points]) => ({ points, annealing: key.split("|")[0] })).map((line) => ({ ...line, kind: order(line) % SIGNS.length })).sort((a, b) => order(a) - order(b));
  }

  const kinds = () => [...new Set(facts.annealing_min)].sort((a, b) => (a ?? Infinity) - (b ?? Infinity)).map(String);

  // One button for each annealing time: shows and hides its lines in all plots.
  function drawLegend() {
    legend.replaceChildren(...kinds().map((annealing, at) => {
      const kind = at % SIGNS.length;
      const mark = element("span", { "aria-hidden": "true" }, `${SIGNS[kind]} `);
      mark.style.color = COLOURS[kind];
      const button = element("button", { type: "button", class: "line", "aria-pressed": String(!unseen.has(annealing)), onclick: () => {
        if (!unseen.delete(annealing)) unseen.add(annealing);
        button.setAttribute("aria-pressed", String(!unseen.has(annealing)));
        for (const { chart, those } of drawn) those.forEach((line, number) => { if (line.annealing === annealing) chart.setSeries(number + 1, { show: !unseen.has(annealing) }); });
      } }, mark, annealing === "null" ? words("timeline.no_annealing") : words("timeline.annealing", { minutes: annealing }));
      return button;
    }));
  }

  function plot(title, values, show, lo, hi) {
    const byTime = axis.value === "time";
    const where = places(byTime);
    const those = lines(byTime).map((line) => ({ ...line, points: line.points.filter((at) => values[at] !== null) })).filter((line) => line.points.length);
    const box = element("div", { class: "plot", role: "img", "aria-label": words("timeline.plot", { title, count: those.reduce((sum, line) => sum + line.points.length, 0) }) });
    box.dataset.lines = those.length;
    const tip = element("div", { class: "tip", hidden: true });
    plots.append(element("section", { class: "card" }, element("h2", {}, title), box));
    if (!those.length) return box.append(element("p", { class: "faint" }, words("timeline.nothing")));
    const total = those.reduce((sum, line) => sum + line.points.length, 0);
    const few = total <= MANY;
    const range = ends(byTime);
    const width = (range[1] - range[0]) / BINS;
    const mean = (points, column) => points.reduce((sum, at) => sum + column[at], 0) / points.length;
    // The line is that of the means: over exposure of each exposure, and of each short time where there are many images.
    const joined = those.map((line) => {
      if (byTime && few) return line.points.map((at) => [where(at), values[at]]);
      const together = new Map();
      for (const at of line.points) {
        const key = byTime ? Math.floor((where(at) - range[0]) / width) : where(at);
        if (!together.has(key)) together.set(key, []);
        together.get(key).push(at);
      }
      return [...together].sort(([a], [b]) => a - b).map(([, points]) => {
        const ends = lo ? points.filter((at) => lo[at] !== null && hi[at] !== null) : [];
        return [byTime ? points.reduce((sum, at) => sum + where(at), 0) / points.length : where(points[0]), mean(points, values), ...(ends.length ? [mean(ends, lo), mean(ends, hi)] : [])];
      });
    });
    const xs = [...new Set(joined.flat().map(([x]) => x))].sort((a, b) => a - b);
    const index = new Map(xs.map((x, place) => [x, place]));
    const data = [xs, ...joined.map((line) => {
      const column = new Array(xs.length).fill(undefined);
      for (const [x, value] of line) column[index.get(x)] = value;
      return column;
    })];
    const style = getComputedStyle(document.documentElement);
    const [ink, grid] = ["--faint", "--line"].map((name) => style.getPropertyValue(name).trim());
    const series = those.map((line) => ({
      show: !unseen.has(line.annealing), stroke: COLOURS[line.kind], dash: DASHES[line.kind], width: few ? 1.5 : 2.5,
      spanGaps: true, points: { show: false }, value: (_, value) => (value === null || value === undefined ? "–" : show(value)),
    }));
    const points = (chart) => {
      const { ctx: brush } = chart;
      const dense = devicePixelRatio || 1;
      brush.save();
      brush.beginPath();
      brush.rect(chart.bbox.left, chart.bbox.top, chart.bbox.width, chart.bbox.height);
      brush.clip();
      brush.setLineDash([]);
      those.forEach((one, number) => {
        if (!chart.series[number + 1].show) return;
        const [bars, signs] = [new Path2D(), new Path2D()];
        brush.strokeStyle = brush.fillStyle = COLOURS[one.kind];
        if (!few) {
          const band = joined[number].filter((point) => point.length > 2).map(([x, , low, high]) => [chart.valToPos(x, "x", true), chart.valToPos(low, "y", true), chart.valToPos(high, "y", true)]);
          band.forEach(([x, , high], at) => (at ? bars.lineTo(x, high) : bars.moveTo(x, high)));
          [...band].reverse().forEach(([x, low]) => bars.lineTo(x, low));
          brush.globalAlpha = 0.18;
          brush.fill(bars);
          brush.globalAlpha = 0.45;
          for (const at of one.points) brush.fillRect(chart.valToPos(where(at), "x", true) - dense, chart.valToPos(values[at], "y", true) - dense, 2 * dense, 2 * dense);
          return;
        }
        for (const at of one.points) {
          const x = chart.valToPos(where(at), "x", true);
          sign(signs, one.kind, x, chart.valToPos(values[at], "y", true), SIZE_PX * dense);
          if (!lo || lo[at] === null || hi[at] === null) continue;
          bars.moveTo(x, chart.valToPos(lo[at], "y", true));
          bars.lineTo(x, chart.valToPos(hi[at], "y", true));
        }
        brush.lineWidth = dense;
        brush.globalAlpha = 0.6;
        brush.stroke(bars);
        brush.globalAlpha = 1;
        brush.lineWidth = 2 * dense;
        const open = [4, 5, 7].includes(one.kind);
        if (open) brush.stroke(signs);
        else brush.fill(signs);
      });
      brush.globalAlpha = 1;
      brush.lineWidth = dense;
      brush.strokeStyle = ink;
      brush.setLineDash([4 * dense, 4 * dense]);
      for (const change of byTime ? facts.switches : []) {
        const x = chart.valToPos(change.ts_ms / 1000, "x", true);
        brush.beginPath();
        brush.moveTo(x, chart.bbox.top);
        brush.lineTo(x, chart.bbox.top + chart.bbox.height);
        brush.stroke();
      }
      brush.restore();
    };
    // The image whose point is nearest to the pointer, null where none is near.
    const nearest = (chart) => {
      const { left, top } = chart.cursor;
      let best = null, least = NEAR_PX;
      if (left === null || left === undefined || left < 0) return null;
      those.forEach((one, number) => {
        if (!chart.series[number + 1].show) return;
        for (const at of one.points) {
          const away = Math.hypot(chart.valToPos(where(at), "x") - left, chart.valToPos(values[at], "y") - top);
          if (away < least) [best, least] = [at, away];
        }
      });
      return best;
    };
    const hover = (chart) => {
      const at = nearest(chart);
      chart.over.classList.toggle("near", at !== null);
      tip.hidden = at === null;
      if (at === null) return;
      const between = lo && lo[at] !== null && hi[at] !== null ? ` (${show(lo[at])} – ${show(hi[at])})` : "";
      const sha = facts.names.taught[facts.taught[at]];
      const said = format.said(rowOf(at), words);
      tip.textContent = [facts.path[at], `${show(values[at])}${between} · ${said}`, facts.sample[at], format.time(facts.ts_ms[at]), sha ? words("timeline.taught", { sha256: sha.slice(0, 8) }) : "", words("timeline.click")].filter(Boolean).join("\n");
      tip.style.left = `${Math.max(0, Math.min(chart.cursor.left + 12, chart.over.clientWidth - 230))}px`;
      tip.style.top = `${Math.max(0, Math.min(chart.cursor.top + 12, chart.over.clientHeight - 90))}px`;
    };
    const top = Math.max(those.reduce((most, line) => line.points.reduce((high, at) => Math.max(high, values[at], hi?.[at] ?? 0), most), 0), 1e-9);
    const side = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid } };
    const chart = new uPlot({
      width: Math.max(260, box.clientWidth || 800), height: 240, scales: { x: { time: byTime, range: () => zoom || range }, y: { range: [0, top * 1.08] } },
      axes: [{ ...side, space: 80, values: (_, ticks, __, ___, step) => (byTime ? times(ticks, step) : ticks.map(exposed)) }, { ...side, size: 64, values: (_, ticks) => ticks.map(show) }],
      series: [{ label: words(byTime ? "timeline.time" : "timeline.exposure"), value: (_, value) => (value === null || value === undefined ? "–" : byTime ? format.time(value * 1000) : exposed(value)) }, ...series],
      padding: [null, 28, null, null], cursor: { drag: { x: true, y: false }, points: { show: false } }, legend: { show: false },
      hooks: { draw: [points], setCursor: [hover], setSelect: [({ select, posToVal }) => { if (select.width > 0) zoomTo([posToVal(select.left, "x"), posToVal(select.left + select.width, "x")]); }] },
    }, data, box);
    chart.over.append(tip);
    chart.over.addEventListener("dblclick", () => zoomTo(null));
    let pressed = 0;
    chart.over.addEventListener("mousedown", (event) => { pressed = event.clientX; });
    chart.over.addEventListener("click", (event) => {
      const at = nearest(chart);
      if (at !== null && Math.abs(event.clientX - pressed) < 4) ctx.go("review", facts.ids[at], device);
    });
    drawn.push({ chart, box, those });
  }

  // Where an image stands: seconds, or hours, or days where there are many hours.
  const days = () => facts.exposure_h.some((value) => value > 96);
  const places = (byTime) => (byTime ? (at) => facts.ts_ms[at] / 1000 : days() ? (at) => facts.exposure_h[at] / 24 : (at) => facts.exposure_h[at]);
  const exposed = (value) => `${format.number(value)} ${days() ? "d" : "h"}`;

  // All plots have one x axis. One point alone has room on both sides; several have a little.
  function ends(byTime) {
    const where = places(byTime);
    let [low, high] = [Infinity, -Infinity];
    facts.ids.forEach((_, at) => {
      if (!byTime && facts.exposure_h[at] === null) return;
      low = Math.min(low, where(at));
      high = Math.max(high, where(at));
    });
    if (low > high) return [0, 1];
    const room = high > low ? (high - low) * 0.02 : byTime ? 1800 : Math.max(1, low * 0.1);
    return [low - room, high + room];
  }

  function zoomTo(range) {
    zoom = range;
    const [min, max] = range || ends(axis.value === "time");
    for (const { chart } of drawn) chart.setScale("x", { min, max });
  }

  // Times in the language of the page; the day where it changes.
  function times(ticks, step) {
    const said = (tick, how) => new Intl.DateTimeFormat(format.locale(), how).format(new Date(tick * 1000));
    const day = { day: "numeric", month: "short", ...(step >= 86400 * 200 ? { year: "numeric" } : {}) };
    let last = null, before = null;
    return ticks.map((tick) => {
      const date = said(tick, day);
      if (step >= 86400) return date;
      const time = said(tick, { hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}) });
      const text = date !== last ? `${time}\n${date}` : time === before ? "" : time; // within one second
      [last, before] = [date, time];
      return text;
    });
  }

  // After a switch: the images that were judged otherwise than the newest one, to be inspected again.
  function drawAgain() {
    const last = facts.ids.length - 1;
    const before = facts.ids.filter((_, at) => judged(at) !== judged(last));
    again.hidden = !before.length || session.mode === "broker";
    again.replaceChildren(element("span", {}, words("timeline.before_switch", { count: format.number(before.length) })), element("button", {
      type: "button", id: "again", disabled: !session.may.includes("review"), onclick: async (event) => {
        event.target.disabled = true;
        await inspectAgain(before, ctx, (text, kind) => { answer.className = kind; answer.textContent = text; });
      },
    }, words("problems.inspect")));
  }

  function strips() {
    const samples = new Map();
    facts.ids.forEach((_, at) => {
      const name = facts.sample[at] || words("timeline.no_sample");
      if (!samples.has(name)) samples.set(name, []);
      samples.get(name).push(at);
    });
    const most = Math.max(10, Math.min(MOST_MARKS, Math.floor(MOST_MARKS_IN_ALL / Math.min(samples.size, MOST_SAMPLES))));
    const shown = [...samples].slice(0, MOST_SAMPLES).map(([name, points]) => element("div", { class: "line" }, element("span", { class: "small" }, `${name} (${points.length})`),
      element("div", { class: "marks" }, points.slice(-most).map((at) => {
        const row = rowOf(at);
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
    if (facts.heard_since_ms) notes.push(words("timeline.heard", { when: format.time(facts.heard_since_ms) }));
    if (!facts.ids.length) notes.push(words("timeline.empty"));
    else {
      if (!facts.complete) notes.push(words("timeline.filling"));
      if (facts.forgotten) notes.push(words("timeline.forgotten", { count: format.number(facts.forgotten) }));
      if (none("exposure_h")) notes.push(words("timeline.no_exposure"));
      if (none("annealing_min")) notes.push(words("timeline.no_annealing_hint"));
      if (none("density")) notes.push(words("timeline.no_scale"));
      for (const change of facts.switches) notes.push(words(`timeline.switch_${change.kind}`, { when: format.time(change.ts_ms), who: change.who || words("timeline.somebody"), to: change.to ? change.to.slice(0, 12) : words("timeline.untaught") }));
    }
    if (facts.ids.length > MANY) notes.push(words("timeline.many"));
    drawLegend();
    told.replaceChildren(...notes.slice(0, 20).map((text) => element("li", {}, text)));
    drawAgain();
    axis.querySelector("[value=exposure]").disabled = none("exposure_h");
    if (facts.ids.length) {
      plot(words("measure.area"), facts.area, (value) => format.percent(value, 1), facts.lo, facts.hi);
      plot(words("timeline.density"), facts.density, (value) => format.number(value, 3), facts.density_lo, facts.density_hi);
      plot(words("timeline.largest"), facts.largest_um, (value) => format.number(value, 3));
    }
    strips();
  }

  async function load() {
    const mine = turn();
    try {
      const found = await api.get("/api/timeline", { device });
      if (closed || !mine()) return;
      facts = found;
      draw();
    } catch (error) {
      ctx.problem(error);
    }
  }
  const wide = new ResizeObserver(() => { for (const { chart, box } of drawn) chart.setSize({ width: Math.max(260, box.clientWidth), height: 240 }); });
  wide.observe(plots);
  axis.addEventListener("change", () => { zoom = null; draw(); });
  // The plots are drawn in the colours of the page.
  const redraw = () => { if (facts) draw(); };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", redraw);
  const theme = new MutationObserver(redraw);
  theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  load();
  return {
    update(kind) { if (kind !== "status") soon ??= setTimeout(() => { soon = null; load(); }, 1500); },
    close() { closed = true; clearTimeout(soon); wide.disconnect(); theme.disconnect(); dark.removeEventListener("change", redraw); for (const { chart } of drawn) chart.destroy(); },
  };
}
