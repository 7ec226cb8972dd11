// One answer as it is decoded: text as it is released, what is held, the account as a chart, what replaced which drafts.
import { frames } from "./ask.js";
import { Chart } from "./chart.js";
import { count, el, number, problem, table } from "./dom.js";

const SHOWN = 6; // drafts of one block, before the others are folded away
const OUTCOMES = {
  completed: "completed: the answer is whole",
  refused: "refused: nothing of an answer was shown",
  ended: "ended: a safe beginning was shown",
  cancelled: "cancelled",
  failed: "failed: nothing more was shown",
};
const CUT = "completed: cut off at its greatest length";

export class Answer {
  constructor(home, title, drafts) {
    this.drafts = drafts;
    this.account = [];
    this.denied = new Map();
    this.state = el("p", { class: "state", role: "status" }, "starting the policy …");
    this.thought = el("p", { class: "thought" });
    this.text = el("span", { class: "empty", "data-empty": "nothing is released yet " });
    this.tail = el("span", { class: "held", hidden: true });
    this.output = el("div", { class: "output" }, this.text, this.tail);
    this.blocks = el("div", { class: "blocks" });
    this.receipt = el("div", {});
    this.plot = el("div", {});
    this.node = el("section", { class: "answer", "aria-label": title },
      el("div", { class: "bar" }, el("h3", {}, title), this.state), this.output, this.plot, this.blocks, this.receipt);
    home.replaceChildren(this.node);
  }

  async run(body, signal) {
    const take = {
      began: this.begin, words: this.words, thought: this.think, call: this.call, account: this.charge,
      denied: this.deny, block: this.replace, end: this.end, fault: this.fault,
    };
    try {
      for await (const frame of frames("run", body, signal)) take[frame.type]?.call(this, frame);
      if (!this.ended) this.fault({ message: "the stream was cut off" });
    } catch (error) {
      if (error.name === "AbortError") this.stopped();
      else this.fault(error);
    }
  }

  begin({ policy }) {
    this.budgets = policy.budgets;
    this.chart = new Chart(policy.budgets);
    this.plot.replaceChildren(this.chart.node);
    this.chart.show([]);
    this.say("decoding");
  }

  words({ text }) {
    this.text.append(text);
    this.text.className = "";
    this.shown = true;
  }

  think({ text }) {
    if (!this.thought.isConnected) this.output.before(el("details", {}, el("summary", {}, "Thought"), this.thought));
    this.thought.append(text);
  }

  call({ name, arguments: given }) {
    this.output.append(el("code", { class: "call" }, `${name}(${given})`));
  }

  charge({ keep, add, held }) {
    this.account = [...this.account.slice(0, keep), ...add];
    this.tail.hidden = !held;
    this.tail.textContent = `${count(held, "token")} held`;
    this.say(this.denied.size ? `decoding, ${count(this.denied.size, "draft")} over budget` : "decoding");
    this.draw();
  }

  deny(frame) {
    this.denied.set(frame.id, frame);
    this.say(`draft over budget at token ${frame.by[0]?.position ?? frame.position}; looking for another way`);
    this.draw();
    this.drawBlocks();
  }

  replace(frame) {
    for (const id of frame.replaced) this.denied.get(id).instead = frame;
    this.drawBlocks();
  }

  end(frame) {
    this.ended = true;
    this.tail.hidden = true;
    if (frame.message) this.output.append(el("p", { class: "policy-says" }, frame.message));
    this.text.dataset.empty = frame.message ? "" : "nothing was shown";
    this.state.className = `state ${frame.outcome}`;
    this.state.textContent = frame.finish === "length" ? CUT : (OUTCOMES[frame.outcome] ?? frame.outcome);
    this.over = true;
    this.drawBlocks();
    this.receipt.replaceChildren(told(frame));
  }

  stopped() {
    this.tail.hidden = true;
    this.text.dataset.empty = "nothing was shown";
    this.over = true;
    this.say("stopped");
    this.drawBlocks();
  }

  fault({ message }) {
    this.ended = true;
    this.stopped();
    this.state.className = "state failed";
    this.state.textContent = "failed";
    this.receipt.replaceChildren(problem(message));
  }

  say(text) {
    if (this.state.textContent !== text) this.state.textContent = text;
  }

  draw() {
    this.chart.show(this.account, [...this.denied.values()]);
  }

  drawBlocks() {
    if (!this.denied.size) return;
    const groups = Map.groupBy(this.denied.values(), (one) => one.instead ?? null);
    const rows = [...groups].map(([instead, drafts]) => [
      this.draftList(drafts),
      instead ? el("p", { class: "instead" }, instead.text) : el("p", { class: "quiet" }, this.over
        ? "no other way to go on was shown" : "being looked for, or still held"),
      instead ? [...new Set([instead.from + 1, instead.position])].join("–") : "",
    ]);
    const note = this.drafts ? "" : el("p", { class: "quiet small" },
      "The words of drafts were never released and are not shown; start the studio with ",
      el("code", {}, "--show-drafts"), " to read them.");
    this.blocks.replaceChildren(el("h4", {}, `Blocks tried and replaced (${this.denied.size})`), note,
      table(["draft over budget", "what stands there instead", "tokens"], rows, "Blocks tried and replaced"));
  }

  draftList(drafts) {
    const list = (some) => el("ul", { class: "drafts" }, some.map((one) => this.draft(one)));
    const rest = drafts.slice(SHOWN);
    return rest.length ? [list(drafts.slice(0, SHOWN)),
      el("details", {}, el("summary", {}, `and ${rest.length} more`), list(rest))] : list(drafts);
  }

  draft(one) {
    const why = one.by.map((line) => `${line.budget} ${number(line.score)} at token ${line.position}`).join(", ");
    return el("li", {}, one.text === undefined ? "" : el("q", {}, one.text.trim()), el("span", { class: "why" }, why));
  }
}

function told({ meaning, tokens, seconds, seed }) {
  const list = (title, lines) => lines.length ? [el("h5", {}, title), el("ul", {}, lines.map((line) => el("li", {}, line)))] : [];
  const time = seconds.first_released == null ? "" : `, first text after ${number(seconds.first_released, 1)} s`;
  return el("div", { class: "receipt" },
    el("h4", {}, "The receipt, in plain words"),
    list("How it ended", meaning.ending), list("Budgets", meaning.budgets),
    el("details", {}, el("summary", {}, "Search, and what else"), list("Search", meaning.effort), list("Notes", meaning.notes)),
    el("p", { class: "quiet small" },
      `${tokens.released} of ${count(tokens.generated, "token")} drawn were shown, in ${number(seconds.total, 1)} s${time}; seed ${seed}; policy ${meaning.policy}`));
}
