// Elements of the page. Texts are only ever set as text: nothing that comes from a policy or a model is read as HTML.

export const $ = (id) => document.getElementById(id);

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== ""));
  return node;
}

export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

export const number = (value, places = 2) => (Number.isFinite(value) ? value.toFixed(places) : "–");
export const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

export function table(head, rows, caption) {
  return el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", { class: "hidden" }, caption),
      el("thead", {}, el("tr", {}, head.map((cell) => el("th", { scope: "col" }, cell)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, ...[cell].flat())))))));
}

// What went wrong, in words; reports with marks under their lines are scrolled, and not wrapped.
export function problem(text) {
  const marked = text.includes("\n  |") || text.includes(" | ");
  return el("pre", { class: `notice bad ${marked ? "marked" : ""}`, role: "alert", tabindex: marked ? "0" : null }, text);
}
