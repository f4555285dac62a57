// Fleet: a tile for each microscope, those that need somebody first.

const ORDER = { offline: 0, silent: 1, degraded: 2, unknown: 3, online: 4 };

export function room(root, ctx) {
  const { words, format, api } = ctx;
  const { element } = format;
  const filter = element("input", { type: "search", id: "filter", placeholder: words("fleet.filter"), "aria-label": words("fleet.filter") });
  const tiles = element("div", { class: "tiles", id: "tiles" });
  let fleet = [], closed = false, soon = null;
  root.append(element("h1", {}, words("shell.fleet")), element("div", { class: "card" }, filter), tiles);

  function tile(one) {
    const row = one.last_row;
    const toned = one.state === "online" ? "low" : one.state === "degraded" ? "moderate" : "severe";
    const lines = [element("p", { class: "faint small" }, one.last_image_ms ? words("now.last_image", { ago: format.ago(one.last_image_ms, ctx.now()) }) : words("now.nothing_yet"))];
    if (one.queue) lines.push(element("p", { class: "small" }, words("fleet.queue", { waiting: one.queue.images_waiting, unsent: one.queue.unsent, dead: one.queue.dead_letters })));
    if (one.today) lines.push(element("p", { class: "small" }, words("fleet.today", one.today)));
    lines.push(element("p", { class: "faint small" }, one.version ? words("fleet.version", { version: one.version }) : ""));
    const picture = row && row.kind === "inspection" ? element("img", { src: api.overlayUrl(one.device, row.id), alt: words("picture.alt", { name: row.name }), loading: "lazy" }) : null;
    picture?.addEventListener("error", () => picture.remove());
    return element("article", { class: `card tile ${one.state} is-${toned}`, "data-device": one.device, "data-state": one.state },
      element("h2", {}, element("a", { href: `#/now?device=${encodeURIComponent(one.device)}` }, [one.site, one.area, one.id].filter(Boolean).join(" / "))),
      element("p", {}, element("span", { class: "chip" }, element("span", { "aria-hidden": "true" }, { low: "● ", moderate: "▲ ", severe: "■ " }[toned]), words(`state.${one.state}`))),
      (one.reasons || []).map((reason) => element("p", { class: "small" }, `${reason.text}${reason.cure ? ` — ${reason.cure}` : ""}`)),
      row ? element("p", {}, format.chip(row, words), " ", row.name) : element("p", { class: "faint" }, words("now.nothing_yet")), picture, lines);
  }

  function draw() {
    const wanted = filter.value.toLowerCase();
    const found = fleet.filter((one) => `${one.device} ${words(`state.${one.state}`)}`.toLowerCase().includes(wanted))
      .sort((a, b) => ORDER[a.state] - ORDER[b.state] || a.device.localeCompare(b.device));
    tiles.replaceChildren(...(found.length ? found.map(tile) : [element("p", { class: "card" }, words("fleet.none"))]));
  }

  async function load() {
    try {
      const found = await api.get("/api/fleet");
      if (closed) return;
      fleet = found;
      draw();
    } catch (error) {
      ctx.problem(error);
    }
  }
  filter.addEventListener("input", draw);
  const clock = setInterval(load, 15000);
  load();
  return {
    update() { clearTimeout(soon); soon = setTimeout(load, 400); },
    close() { closed = true; clearInterval(clock); clearTimeout(soon); },
  };
}
