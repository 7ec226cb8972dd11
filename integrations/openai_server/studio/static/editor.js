// A text area with line numbers; colours and the marks of findings lie behind it, so that it stays a plain text area.
import { el } from "./dom.js";

const MOST_COLOURED = 60000; // characters
const TOKENS = /(#.*)|(?<=[\s[{,(:]|^)("(?:[^"\\]|\\.)*"?|'(?:[^']|'')*'?)|([\w.*-]+)(?=:(?:\s|$|,|\}))|(?<![\w.-])(-?\d+(?:\.\d+)?|true|false|null)(?![\w.-])/gm;
const KINDS = ["comment", "string", "key", "value"];

export class Editor {
  constructor(home, changed) {
    this.changed = changed;
    this.gutter = el("div", { class: "gutter", "aria-hidden": "true" });
    this.paint = el("pre", { class: "paint", "aria-hidden": "true" });
    this.marks = el("pre", { class: "paint marks", "aria-hidden": "true" });
    this.area = el("textarea", {
      id: "text", "aria-label": "Policy, as YAML", wrap: "off", spellcheck: "false",
      autocomplete: "off", autocapitalize: "off", autocorrect: "off",
    });
    home.append(this.gutter, el("div", { class: "page" }, this.paint, this.marks, this.area));
    this.area.addEventListener("input", () => this.edited());
    this.area.addEventListener("scroll", () => this.follow());
    this.area.addEventListener("keydown", (event) => this.key(event));
  }

  get text() { return this.area.value; }

  set text(value) {
    this.area.value = value;
    this.edited();
    this.area.setSelectionRange(0, 0);
    this.area.scrollTop = 0;
    this.follow();
  }

  edited() {
    this.findings = [];
    this.draw();
    this.changed();
  }

  key(event) {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing) return;
    const before = this.text.slice(0, this.area.selectionStart);
    const line = before.slice(before.lastIndexOf("\n") + 1);
    const indent = line.match(/^ */)[0] + (/:\s*$/.test(line) ? "  " : "");
    if (!indent) return;
    event.preventDefault();
    this.insert(`\n${indent}`);
  }

  draw() {
    const text = this.text;
    this.lines = [0];
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.lines.push(at + 1);
    this.paint.replaceChildren(...coloured(text), "\n");
    this.drawMarks();
  }

  drawMarks() {
    const worst = new Map();
    for (const one of this.findings) if (worst.get(one.start[0]) !== "error") worst.set(one.start[0], one.severity);
    this.gutter.replaceChildren(el("div", {}, this.lines.map((_, i) => el("span", { class: worst.get(i) }, String(i + 1)))));
    const parts = [];
    let done = 0;
    for (const one of [...this.findings].sort((a, b) => this.offset(a.start) - this.offset(b.start))) {
      const [start, end] = [this.offset(one.start), this.offset(one.end)];
      if (start < done) continue;
      parts.push(this.text.slice(done, start), el("u", { class: one.severity }, this.text.slice(start, Math.max(end, start + 1))));
      done = Math.max(end, start + 1);
    }
    this.marks.replaceChildren(...parts, this.text.slice(done), "\n");
    this.follow();
  }

  follow() {
    const shift = `translate(${-this.area.scrollLeft}px, ${-this.area.scrollTop}px)`;
    this.paint.style.transform = this.marks.style.transform = shift;
    if (this.gutter.firstChild) this.gutter.firstChild.style.transform = `translateY(${-this.area.scrollTop}px)`;
  }

  show(findings) {
    this.findings = findings;
    this.drawMarks();
  }

  offset([line, column]) {
    return Math.min((this.lines[line] ?? this.text.length) + column, this.text.length);
  }

  go(finding) {
    const [start, end] = [this.offset(finding.start), this.offset(finding.end)];
    this.area.focus();
    this.area.setSelectionRange(start, end);
    const height = parseFloat(getComputedStyle(this.area).lineHeight);
    this.area.scrollTop = Math.max(0, finding.start[0] * height - this.area.clientHeight / 3);
    this.area.scrollLeft = Math.max(0, this.widthOf(finding.end[1] + 2) - this.area.clientWidth);
  }

  widthOf(characters) { // all are as wide
    const whole = this.area.scrollWidth - 2 * parseFloat(getComputedStyle(this.area).paddingLeft);
    return (characters * whole) / Math.max(1, ...this.text.split("\n").map((line) => line.length));
  }

  replace(start, end, text) {
    this.area.focus();
    this.area.setSelectionRange(this.offset(start), this.offset(end));
    this.insert(text);
  }

  insert(text) { // so that it can be undone, as nothing newer lets one
    if (document.execCommand(text ? "insertText" : "delete", false, text)) return;
    this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end");
    this.edited();
  }
}

function coloured(text) {
  if (text.length > MOST_COLOURED) return [text];
  const parts = [];
  let done = 0;
  for (const found of text.matchAll(TOKENS)) {
    const kind = found.slice(1).findIndex((one) => one !== undefined);
    if (kind === 0 && found.index && !/\s/.test(text[found.index - 1])) continue;
    parts.push(text.slice(done, found.index), el("i", { class: KINDS[kind] }, found[0]));
    done = found.index + found[0].length;
  }
  return [...parts, text.slice(done)].filter(Boolean);
}
