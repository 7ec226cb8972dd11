// Scores, and what is left of every budget, over the positions of an answer. The same numbers stand in a table.
import { el, number, svg, table } from "./dom.js";

const LEFT = 42, RIGHT = 10, SCORES = 104, REST = 84, GAP = 30, TOP = 16, FOOT = 24;

const remaining = (charge, budget) =>
  budget.budget > 0 ? Math.min(1, Math.max(0, charge.left / budget.budget)) : charge.left >= 0 ? 1 : 0;

const told = (left, budget) =>
  left < 0 ? `overdrawn by ${number(-left, 3)}` : `${number(left, 3)} of ${budget.budget} left`;

export class Chart {
  constructor(budgets) {
    this.budgets = budgets;
    this.charges = [];
    this.denied = [];
    this.reach = 32;
    this.legend = el("ul", { class: "legend" });
    this.plot = el("div", { class: "plot" });
    this.numbers = el("details", {}, el("summary", {}, "The same as a table"));
    this.node = el("figure", { class: "chart" },
      el("figcaption", {}, "Scores and remaining budget, by position"), this.legend, this.plot, this.numbers);
    this.numbers.addEventListener("toggle", () => this.drawTable());
    this.seen = new ResizeObserver(() => this.draw());
    this.seen.observe(this.plot);
  }

  show(charges, denied = []) {
    [this.charges, this.denied] = [charges, denied];
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
      this.drawTable();
    });
  }

  draw() {
    const width = Math.floor(this.plot.clientWidth);
    if (!width) return;
    const points = [...this.charges, ...this.denied.flatMap((one) => one.by)];
    const last = Math.max(this.reach, ...points.map((one) => one.position));
    const x = (position) => LEFT + ((width - LEFT - RIGHT) * position) / last;
    const score = (value) => TOP + SCORES * (1 - value);
    const rest = (value) => TOP + SCORES + GAP + REST * (1 - value);
    const height = TOP + SCORES + GAP + REST + FOOT;
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": this.told() });
    for (const [y, title] of [[score, "score"], [rest, "remaining budget"]]) {
      for (const tick of [0, 0.5, 1]) {
        drawing.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }));
        drawing.append(svg("text", { class: "tick", x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" },
          y === rest ? `${tick * 100}%` : String(tick)));
      }
      drawing.append(svg("text", { class: "title", x: LEFT, y: y(1) - 5 }, title));
    }
    const step = niceStep(last, width);
    for (let at = 0; at <= last; at += step) {
      drawing.append(svg("text", { class: "tick", x: x(at), y: height - 8, "text-anchor": "middle" }, String(at)));
    }
    drawing.append(svg("text", { class: "tick", x: LEFT - 8, y: height - 8, "text-anchor": "end" }, "token"));
    this.budgets.forEach((budget, index) => {
      const own = this.charges.filter((one) => one.budget === budget.id);
      const kind = `c${index % 6}${budget.mode === "enforce" ? "" : " shadow"}`;
      drawing.append(svg("line", { class: `threshold ${kind}`, x1: LEFT, x2: width - RIGHT,
        y1: score(budget.threshold), y2: score(budget.threshold) }));
      if (own.length) {
        const scores = own.map((one) => `${x(one.position)},${score(one.score)}`).join(" ");
        drawing.append(svg("polyline", { class: `line ${kind}`, points: scores }));
        for (const one of own) drawing.append(svg("circle", { class: `dot ${kind}`, cx: x(one.position), cy: score(one.score), r: 3 }));
        const level = (share) => rest(share) + 3 * (share ? index : -index); // equal ones lie beside each other
        let path = `M${x(0)},${level(1)}`;
        for (const one of own) path += `H${x(one.position)}V${level(remaining(one, budget))}`;
        drawing.append(svg("path", { class: `line ${kind}`, d: path }));
      }
      for (const one of this.denied.flatMap((draft) => draft.by).filter((line) => line.budget === budget.id)) {
        const [cx, cy] = [x(one.position), score(one.score)];
        drawing.append(svg("path", { class: "denied", d: `M${cx - 4},${cy - 4}l8,8M${cx + 4},${cy - 4}l-8,8` },
          svg("title", {}, `a draft scored ${number(one.score)} for ${budget.id} at token ${one.position}, and was not released`)));
      }
    });
    this.plot.replaceChildren(drawing);
    this.drawLegend();
  }

  drawLegend() {
    const items = this.budgets.map((budget, index) => {
      const last = this.charges.filter((one) => one.budget === budget.id).at(-1);
      const left = last ? `, ${told(last.left, budget)}` : "";
      const mode = budget.mode === "enforce" ? "" : `, ${budget.mode}`;
      return el("li", {}, el("span", { class: `key c${index % 6} ${mode && "shadow"}` }), `${budget.id}${mode}${left}`);
    });
    if (this.denied.length) items.push(el("li", {}, el("span", { class: "cross", "aria-hidden": "true" }, "×"), "draft over budget, replaced"));
    items.push(el("li", {}, el("span", { class: "key threshold" }), "threshold"));
    this.legend.replaceChildren(...items);
  }

  drawTable() {
    if (!this.numbers.open) return;
    const rows = this.charges.map((one) => [
      `${one.position}${one.end ? " (end)" : ""}`, one.budget, number(one.score, 3), number(one.cost, 3), number(one.left, 3)]);
    this.numbers.replaceChildren(this.numbers.firstChild,
      table(["token", "budget", "score", "cost", "left"], rows, "Charge points"));
  }

  told() {
    const parts = this.budgets.map((budget) => {
      const own = this.charges.filter((one) => one.budget === budget.id);
      if (!own.length) return `${budget.id}: not charged yet`;
      const highest = Math.max(...own.map((one) => one.score));
      return `${budget.id}: highest score ${number(highest)}, threshold ${budget.threshold}, ${told(own.at(-1).left, budget)}`;
    });
    return [...parts, this.denied.length ? `${this.denied.length} drafts were over budget` : ""].filter(Boolean).join("; ");
  }
}

function niceStep(last, width) {
  const most = Math.max(2, Math.floor(width / 70));
  return [4, 8, 16, 32, 64, 128, 256, 512, 1024].find((step) => last / step <= most) ?? 2048;
}
