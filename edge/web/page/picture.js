// The picture of one inspection: pixels, regions, heat map; zoom, pan, hover, and tools to mark with.

import { element, number, percent, regionClass } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const LONGEST_OVERLAY = 1600;
const MOST_ZOOM = 24;

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const ring = (points) => `M${points.map(([x, y]) => `${x + 0.5} ${y + 0.5}`).join("L")}Z`;

export class Picture {
  constructor(box, { words, known }) {
    this.box = box;
    this.words = words;
    this.known = known;
    this.regionsVisible = true;
    this.heatVisible = false;
    this.tool = "look";
    this.layer = element("div", { class: "layer" });
    this.bar = element("div", { class: "bar", hidden: true });
    this.tip = element("div", { class: "tip", hidden: true });
    this.says = element("div", { class: "says", hidden: true });
    this.cross = element("div", { class: "cross", "aria-hidden": "true" });
    this.wait = element("div", { class: "wait" }, words("picture.none"));
    box.classList.add("viewer");
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", words("picture.name"));
    box.replaceChildren(this.layer, this.bar, this.says, this.tip, this.cross, this.wait);
    this.id = null;
    this.listeners = {};
    this.pointers = new Map();
    this.#connect();
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(box);
  }

  on(name, call) { this.listeners[name] = call; }
  #tell(name, ...values) { this.listeners[name]?.(...values); }

  // Loads the pixels first, and changes nothing before they are there: a verdict never stands over another picture.
  async show({ id, imageUrl, overlayUrl, found, kept = "" }) {
    const wanted = (this.wanted = Symbol(id));
    this.wait.hidden = this.id !== null;
    this.wait.textContent = this.words("picture.loading");
    const pixels = new Image();
    pixels.alt = this.words("picture.alt", { name: found.row.name });
    pixels.draggable = false;
    let own = found.has_image;
    const load = async (url) => { pixels.src = url; await pixels.decode(); };
    let there = false;
    try {
      if (own) { await load(imageUrl); there = true; }
    } catch { own = false; }
    try {
      if (!there && found.has_overlay) { await load(overlayUrl); there = true; }
    } catch { there = false; }
    if (this.wanted !== wanted) return false;
    this.id = id;
    this.document = found.inspection;
    this.own = own && there;
    this.#build(there ? pixels : null, found, kept);
    return true;
  }

  #build(pixels, found, kept) {
    const image = this.document?.image;
    this.layer.replaceChildren();
    this.paths = [];
    this.tip.hidden = true;
    this.wait.hidden = pixels !== null;
    this.wait.textContent = this.words(found.row.kind === "failure" ? "picture.not_inspected" : "picture.gone");
    this.says.hidden = this.own || pixels === null || !kept;
    this.says.textContent = kept;
    if (pixels === null || !image) {
      this.size = null;
      this.bar.hidden = true;
      this.heat = this.svg = this.marks = null;
      if (pixels === null) return;
    }
    const width = image ? image.width_px : pixels.naturalWidth;
    const height = image ? image.height_px - image.databar_px : pixels.naturalHeight;
    const scale = this.own || !image ? 1 : Math.min(1, LONGEST_OVERLAY / Math.max(width, height));
    this.size = { width: this.own ? width : pixels.naturalWidth / scale, height: this.own ? height : pixels.naturalHeight / scale };
    pixels.style.width = `${pixels.naturalWidth / scale}px`;
    pixels.style.height = `${pixels.naturalHeight / scale}px`;
    this.layer.append(pixels);
    this.heat = this.#heat(width, height);
    if (this.heat) this.layer.append(this.heat);
    this.svg = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
    for (const region of this.document?.regions || []) this.#region(region);
    this.marks = shape("g", {});
    this.svg.append(this.marks);
    this.layer.append(this.svg);
    this.setRegions(this.regionsVisible);
    this.setHeat(this.heatVisible);
    this.fit();
  }

  #region(region) {
    const path = shape("path", {
      d: [region.outline_px, ...region.holes_px].map(ring).join(""),
      class: `region ${region.severity?.label || ""}`,
      "fill-rule": "evenodd",
    });
    path.addEventListener("pointerenter", (event) => this.#hover(region, event));
    path.addEventListener("pointermove", (event) => this.#hover(region, event));
    path.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    path.addEventListener("click", (event) => {
      if (this.moved || this.tool !== "look") return;
      event.stopPropagation();
      this.#tell("region", region);
    });
    this.paths[region.index] = path;
    this.svg.append(path);
  }

  describe(region) {
    const t = this.words;
    const size = region.area_um2 === null
      ? t("region.px", { area: number(region.area_px) })
      : t("region.um", { area: number(region.area_um2), diameter: number(region.equivalent_diameter_um) });
    const severity = region.severity ? t(`severity.${region.severity.label}`) : t("region.unrated");
    return `${regionClass(region.class, this)}\n${size}\n${severity} · ${t("region.score", { score: percent(region.score, 0) })}`;
  }

  #hover(region, event) {
    const place = this.box.getBoundingClientRect();
    this.tip.textContent = this.describe(region);
    this.tip.hidden = false;
    this.tip.style.left = `${Math.min(event.clientX - place.left + 14, place.width - 180)}px`;
    this.tip.style.top = `${Math.min(event.clientY - place.top + 14, place.height - 80)}px`;
  }

  #heat(width, height) {
    const cam = this.document?.severity?.cam;
    if (!cam?.length) return null;
    const canvas = element("canvas", { class: "heat", width: cam[0].length, height: cam.length });
    const context = canvas.getContext("2d");
    const data = context.createImageData(cam[0].length, cam.length);
    cam.flat().forEach((value, at) => {
      data.data.set([255, Math.round(220 * (1 - value)), 40, Math.round(230 * value)], 4 * at);
    });
    context.putImageData(data, 0, 0);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    return canvas;
  }

  setRegions(visible) {
    this.regionsVisible = visible;
    this.svg?.classList.toggle("hidden", !visible || !this.own);
    if (this.svg && !visible) this.tip.hidden = true;
  }

  setHeat(visible) {
    this.heatVisible = visible;
    if (this.heat) this.heat.hidden = !visible;
  }

  get canHide() { return this.own; }
  get hasHeat() { return Boolean(this.heat); }

  highlight(index, bring = true) {
    this.paths?.forEach((path, at) => path.classList.toggle("here", at === index));
    const region = this.document?.regions?.find((one) => one.index === index);
    if (region && bring) this.#bring(region.box_px);
  }

  mark(index, kind) {
    this.paths?.[index]?.classList.remove("struck", "accepted");
    if (kind) this.paths?.[index]?.classList.add(kind);
  }

  // part: the box [x, y, width, height] of the image that was looked at, where it is not all of it.
  setMarks(missed, strokes, part = null) {
    if (!this.marks) return;
    this.marks.replaceChildren(
      ...missed.map(([x, y]) => shape("circle", { cx: x, cy: y, r: 9 / this.scale + 2, class: "missed" })),
      ...strokes.map((one) => shape("polyline", {
        points: one.points_px.map((point) => point.join(",")).join(" "),
        "stroke-width": 2 * one.radius_px,
        class: `stroke ${one.class === "background" ? "background" : ""}`,
      })),
      ...(part ? [shape("rect", { x: part[0], y: part[1], width: part[2], height: part[3], class: "part" })] : []),
    );
  }

  setTool(tool) {
    this.tool = tool;
    this.corner = null;
    this.box.style.cursor = tool === "look" ? "" : "crosshair";
    this.box.classList.toggle("marking", tool !== "look");
  }

  // Zoom and pan

  fit() {
    if (!this.size) return;
    const { clientWidth, clientHeight } = this.box;
    this.fitted = Math.min(clientWidth / this.size.width, clientHeight / this.size.height) || 1;
    this.scale = this.fitted;
    this.x = (clientWidth - this.size.width * this.scale) / 2;
    this.y = (clientHeight - this.size.height * this.scale) / 2;
    this.#place();
  }

  native() { this.zoom(1 / this.scale); }

  zoom(factor, x = this.box.clientWidth / 2, y = this.box.clientHeight / 2) {
    if (!this.size) return;
    const wanted = Math.min(MOST_ZOOM, Math.max(this.fitted / 2, this.scale * factor));
    const real = wanted / this.scale;
    this.x = x - (x - this.x) * real;
    this.y = y - (y - this.y) * real;
    this.scale = wanted;
    this.#place();
  }

  pan(dx, dy) {
    if (!this.size) return;
    this.x += dx;
    this.y += dy;
    this.#place();
  }

  #bring([x, y, width, height]) {
    const { clientWidth, clientHeight } = this.box;
    const left = this.x + x * this.scale;
    const top = this.y + y * this.scale;
    if (left < 0 || top < 0 || left + width * this.scale > clientWidth || top + height * this.scale > clientHeight) {
      this.x = clientWidth / 2 - (x + width / 2) * this.scale;
      this.y = clientHeight / 2 - (y + height / 2) * this.scale;
      this.#place();
    }
  }

  #resized() {
    if (this.size && Math.abs(this.scale - this.fitted) < 1e-9) this.fit();
  }

  #place() {
    const reach = 40;
    this.x = Math.min(this.box.clientWidth - reach, Math.max(reach - this.size.width * this.scale, this.x));
    this.y = Math.min(this.box.clientHeight - reach, Math.max(reach - this.size.height * this.scale, this.y));
    this.layer.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.layer.classList.toggle("crisp", this.scale > 1.5);
    this.#scaleBar();
  }

  #scaleBar() {
    const nm = this.document?.image?.pixel_size_nm;
    this.bar.hidden = !nm;
    if (!nm) return;
    const wanted = (this.box.clientWidth / 6 / this.scale) * (nm / 1000);
    const power = 10 ** Math.floor(Math.log10(wanted));
    const length = [1, 2, 5].map((step) => step * power).filter((one) => one <= wanted).pop() || power;
    const line = element("i");
    line.style.width = `${(length * 1000 / nm) * this.scale}px`;
    this.bar.replaceChildren(line, length >= 1 ? `${number(length)} µm` : `${number(length * 1000)} nm`);
  }

  point(event) {
    const place = this.box.getBoundingClientRect();
    return [(event.clientX - place.left - this.x) / this.scale, (event.clientY - place.top - this.y) / this.scale];
  }

  inside([x, y]) {
    const image = this.document?.image;
    return Boolean(image) && x >= 0 && y >= 0 && x < image.width_px && y < image.height_px - image.databar_px;
  }

  #connect() {
    const box = this.box;
    box.addEventListener("wheel", (event) => {
      event.preventDefault();
      const place = box.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY / 400), event.clientX - place.left, event.clientY - place.top);
    }, { passive: false });
    box.addEventListener("pointerdown", (event) => {
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      this.moved = false;
      this.stroke = ["brush", "box"].includes(this.tool) && this.size ? [this.point(event)] : null;
    });
    box.addEventListener("pointermove", (event) => this.#moved(event));
    const end = (event) => this.#ended(event);
    box.addEventListener("pointerup", end);
    box.addEventListener("pointercancel", (event) => { this.pointers.delete(event.pointerId); this.stroke = null; });
    box.addEventListener("pointerleave", (event) => { if (!event.buttons) this.pointers.delete(event.pointerId); });
    box.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
      if (steps[event.key]) this.pan(...steps[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoom(1.4);
      else if (event.key === "-") this.zoom(1 / 1.4);
      else if (event.key === "0") this.fit();
      else if (event.key === " " && this.tool !== "look") this.#markMiddle();
      else return;
      event.preventDefault();
    });
  }

  // What a click is for the mouse: a mark where the cross stands, which the arrow keys move the picture under.
  #markMiddle() {
    const point = [(this.box.clientWidth / 2 - this.x) / this.scale, (this.box.clientHeight / 2 - this.y) / this.scale];
    if (!this.size || !this.inside(point)) return;
    if (this.tool === "brush") this.#tell("stroke", [point, point]);
    else if (this.tool === "box" && this.corner) this.#frame(this.corner, point);
    else if (this.tool === "box") this.corner = point;
    else this.#tell("point", point);
  }

  // The box between two corners, in whole pixels within the image.
  #between(one, other) {
    const { width_px, height_px, databar_px } = this.document.image;
    const within = ([x, y]) => [Math.min(width_px, Math.max(0, Math.round(x))), Math.min(height_px - databar_px, Math.max(0, Math.round(y)))];
    const [[left, top], [right, bottom]] = [within(one), within(other)];
    return [Math.min(left, right), Math.min(top, bottom), Math.abs(right - left), Math.abs(bottom - top)];
  }

  #frame(one, other) {
    this.corner = null;
    const box = this.#between(one, other);
    if (box[2] >= 1 && box[3] >= 1) this.#tell("box", box);
  }

  #moved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const here = [event.clientX, event.clientY];
    if (Math.hypot(here[0] - before[0], here[1] - before[1]) < 3 && !this.moved) return;
    if (!this.moved) this.box.setPointerCapture(event.pointerId);
    this.moved = true;
    if (this.stroke) {
      this.stroke.push(this.point(event));
      if (this.tool === "box") this.#tell("framing", this.#between(this.stroke[0], this.stroke.at(-1)));
      else this.#tell("drawing", this.stroke);
    } else if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const place = this.box.getBoundingClientRect();
      const middle = [(here[0] + other[0]) / 2 - place.left, (here[1] + other[1]) / 2 - place.top];
      const factor = Math.hypot(here[0] - other[0], here[1] - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1]));
      this.zoom(factor, ...middle);
    } else {
      this.pan(here[0] - before[0], here[1] - before[1]);
    }
    this.pointers.set(event.pointerId, here);
  }

  #ended(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const point = this.point(event);
    if (this.tool === "brush" && this.stroke) {
      const points = this.stroke.filter((one) => this.inside(one));
      this.stroke = null;
      if (points.length) this.#tell("stroke", points);
    } else if (this.tool === "box" && this.stroke) {
      const [first, last] = [this.stroke[0], this.stroke.at(-1)];
      this.stroke = null;
      if (this.moved) this.#frame(first, last);
    } else if (this.tool === "point" && !this.moved && this.inside(point)) {
      this.#tell("point", point);
    }
  }

  close() { this.observer.disconnect(); }
}
