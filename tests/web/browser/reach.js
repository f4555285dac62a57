// What a person with poor eyes, or without a mouse, meets on the page as it stands: run by test_reach.py.
(() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const light = ([r, g, b]) => {
    const [R, G, B] = [r, g, b].map((one) => { const c = one / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  };
  const contrast = (one, two) => {
    const [low, high] = [light(one), light(two)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const opacity = (element) => {
    let all = 1;
    for (let at = element; at; at = at.parentElement) all *= Number(getComputedStyle(at).opacity);
    return all;
  };
  const shown = (element) => element.getClientRects().length && getComputedStyle(element).visibility === "visible" && !element.closest(".unseen, .skip, [hidden]")
    && !(element.closest(".says") && element.closest(".fit"));
  const off = (element) => Boolean(element.closest(":disabled"));

  function texts() {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      const text = walker.currentNode.textContent.trim();
      if (!text || !shown(element) || off(element) || element.closest("noscript, option")) continue;
      const style = getComputedStyle(element);
      const below = ground(element);
      const ink = parse(style.color);
      const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
      found.push({ text: text.slice(0, 40), contrast: contrast(over([...ink.slice(0, 3), ink[3] * opacity(element)], below), below), least: large || element.closest("[aria-hidden=true]") ? 3 : 4.5 });
    }
    return found;
  }

  // The edge of what is typed into, and the ring of what has the focus.
  function edges() {
    return [...document.querySelectorAll("input:not([type=checkbox]), textarea")].filter((one) => shown(one) && !one.disabled).map((one) => ({
      text: one.id, contrast: contrast(parse(getComputedStyle(one).borderTopColor), ground(one.parentElement)), least: 3,
    }));
  }

  function focused() {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const style = getComputedStyle(one);
    const box = one.getBoundingClientRect();
    return {
      name: one.id || one.textContent.trim().slice(0, 40) || one.tagName,
      ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
      contrast: contrast(parse(style.outlineColor), ground(one.parentElement)),
      inView: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    };
  }

  const against = (colours) => colours.map((text) => {
    const box = document.createElement("i");
    box.style.color = text;
    document.body.append(box);
    const found = { text, contrast: contrast(parse(getComputedStyle(box).color), ground(document.querySelector(".card") || document.body)), least: 3 };
    box.remove();
    return found;
  });

  window.reach = { texts, edges, focused, against };
})();
