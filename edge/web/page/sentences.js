// What the server and the service say in English in, the same in the language of the page out.
// A table has a sentence of theirs, `{}` where something is put in, and the one to say: `{1}` is what stood in the first place.

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const pattern = (sentence) => new RegExp(`^${sentence.split("{}").map(escaped).join("(.*?)")}$`, "s");

// A function of a text. What no row fits is said part by part, and what is still not known as it is.
export function speaker(table) {
  const rows = Object.entries(table).filter(([sentence]) => sentence.includes("{}"))
    .sort(([one], [other]) => other.length - one.length).map(([sentence, other]) => [pattern(sentence), other]);

  function told(text) {
    if (typeof text !== "string" || !text) return text;
    if (Object.hasOwn(table, text)) return table[text];
    for (const [fits, other] of rows) {
      const found = fits.exec(text);
      if (found) return other.replace(/\{(\d)\}/g, (_, at) => told(found[at]));
    }
    return text.includes("; ") ? text.split("; ").map(told).join("; ") : text;
  }

  return told;
}
