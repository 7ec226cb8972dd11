// What is asked without decoding: scores of a text, cases and coverage, two policies compared, recorded traffic.
import { ask } from "./ask.js";
import { Chart } from "./chart.js";
import { $, count, el, number, problem, table } from "./dom.js";

// Ask for what a panel shows, and show that, or why it cannot be had.
async function shown(home, button, name, body, draw) {
  button.disabled = true;
  home.replaceChildren(el("p", { class: "quiet", role: "status" }, "working …"));
  try {
    home.replaceChildren(...draw(await ask(name, body)).flat().filter(Boolean));
  } catch (error) {
    home.replaceChildren(problem(error.message));
  } finally {
    button.disabled = false;
  }
}

export function preparePanels(policy, other) {
  $("score-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { policy: policy(), answer: $("score-text").value, prompt: $("score-prompt").value, call: $("score-call").value };
    shown($("score-found"), event.submitter, "score", body, drawScore);
  });
  $("cases-form").addEventListener("submit", (event) => {
    event.preventDefault();
    shown($("cases-found"), event.submitter, "cases", policy(), drawCases);
  });
  $("compare-form").addEventListener("submit", (event) => {
    event.preventDefault();
    shown($("compare-found"), event.submitter, "diff", { a: other(), b: policy() }, drawDiff);
  });
  $("traffic-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = $("against").value;
    const body = { ...policy(), kind: event.submitter.value, against: name ? { name } : null };
    shown($("traffic-found"), event.submitter, "traffic", body, (found) => [el("pre", { class: "report" }, found.text)]);
  });
}

function drawScore(found) {
  const denied = found.denied
    ? el("p", { class: "notice bad" }, `Denied by ${found.denied.budget} at token ${found.denied.at}.`)
    : el("p", { class: "notice good" }, `Within every budget, ${count(found.tokens, "token")}.`);
  const prompt = found.prompt && el("p", {}, `The prompt scores ${number(found.prompt.score)}; the prompt check's action: ${found.prompt.action}.`);
  const charges = found.points.map((one) => ({ ...one, position: one.at }));
  const chart = new Chart(found.policy.budgets);
  chart.reach = 1;
  chart.show(charges);
  const words = Object.entries(found.weights).filter(([, terms]) => Object.keys(terms).length).map(([model, terms]) =>
    el("p", {}, el("strong", {}, model), " rests on ",
      Object.entries(terms).map(([term, weight], i) => [i ? ", " : "", el("q", {}, term), ` ${weight > 0 ? "+" : ""}${number(weight)}`])));
  const fired = found.points.flatMap((one) => Object.entries(one.fired).map(([model, rules]) => `${model}: ${rules.join(", ")} at token ${one.at}`));
  const calls = found.calls.map((one) => el("p", { class: one.breaks.length ? "bad-text" : "" },
    `Call ${one.tool}: ${one.breaks.length ? `breaks ${one.breaks.map((rule) => `tools.${rule}`).join(", ")}` : "keeps the rules for tools"}.`));
  return [denied, prompt, calls, chart.node, words,
    fired.length ? [el("h4", {}, "Patterns that matched"), el("ul", {}, fired.map((one) => el("li", {}, one)))] : "",
    found.notes.map((note) => el("p", { class: "quiet small" }, note))];
}

function drawCases(found) {
  if (found.unusable || found.faults.length) {
    const faults = found.faults.map((one) => el("li", {}, `line ${one.line}: ${one.message}. ${one.help}`));
    return [problem(found.unusable || `${found.path} has faults`), el("ul", {}, faults)];
  }
  const counts = Object.entries(Object.groupBy(found.cases, (one) => one.status)).map(([status, all]) => `${all.length} ${status}`);
  const bad = found.cases.some((one) => ["failed", "error"].includes(one.status));
  const parts = [el("p", { class: `notice ${bad ? "bad" : "good"}` }, `${count(found.cases.length, "case")} of ${found.path}: ${counts.join(", ")}.`)];
  if (found.coverage) {
    const { percent, missing } = found.coverage;
    parts.push(el("div", { class: "coverage" },
      el("label", { for: "coverage" }, `Cases try ${number(percent, 0)}% of the policy`),
      el("meter", { id: "coverage", min: 0, max: 100, low: 60, optimum: 100, value: percent }, `${percent}%`)));
    if (missing.length) {
      parts.push(el("details", {}, el("summary", {}, `${count(missing.length, "part")} that no case tries`),
        el("ul", {}, missing.map((one) => el("li", {}, one)))));
    }
  }
  const order = ["failed", "error", "todo", "passed"];
  const sorted = [...found.cases].sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
  parts.push(el("ul", { class: "case-list" }, sorted.map((one) => el("li", {},
    el("span", { class: `pill ${one.status}` }, one.status), " ", one.name, el("span", { class: "quiet small" }, ` line ${one.line}`), reasonsOf(one)))));
  return parts;
}

function reasonsOf(one) {
  const lines = one.steps.flatMap((step) => [
    ...step.differences.map((d) => `${d.key}: expected ${d.expected}, found ${d.found}`), ...(step.differences.length ? step.reasons : [])]);
  const all = [...lines, one.error, one.todo && `to do: ${one.todo}`].filter(Boolean);
  return all.length ? el("ul", { class: "why" }, all.map((line) => el("li", {}, line))) : "";
}

function drawDiff(found) {
  const verdict = found.same
    ? el("p", { class: "notice good" }, "B means the same as A: proved.")
    : el("p", { class: "notice" }, `B means something else than A${found.loosened.length ? `; it is looser, or not proved to be as strict, in: ${found.loosened.join(", ")}` : " and is nowhere looser"}.`);
  const { denied_by_a: a, denied_by_b: b } = found.together;
  const rows = found.hazards.map((one) => [one.hazard, one.verdict + (one.why ? `: ${one.why}` : ""),
    one.budgets.A.join(", ") || "no budget", one.budgets.B.join(", ") || "no budget"]);
  return [
    verdict,
    b && example("A shows this answer, and B denies it", b),
    a && example("B shows this answer, and A denies it", a),
    rows.length ? [el("h4", {}, "By hazard"), table(["hazard", "B is", "budgets of A", "budgets of B"], rows, "Hazards")] : "",
    found.changes.length ? [el("h4", {}, "Other settings"), table(["part", "A", "B"],
      found.changes.map((one) => [one.part, plain(one.A), plain(one.B)]), "Other settings")] : "",
    el("details", {}, el("summary", {}, "All of it, as `policy diff` tells it"), el("pre", { class: "report" }, found.text)),
  ];
}

// A counterexample that was run: what the answer scores, and what became of the budgets.
function example(title, found) {
  const last = found.answers.at(-1);
  const rows = last.scores.map((one) => [one.at_end ? `${one.token} (end)` : one.token,
    Object.entries(one.scores).map(([model, score]) => `${model} ${number(score, 4)}`).join(", ") || "nothing"]);
  const spent = (all) => Object.entries(all).map(([name, amount]) => `${name} ${number(amount, 4)}`).join(", ") || "nothing";
  return el("div", { class: "example" }, el("h4", {}, `Counterexample: ${title}`),
    el("p", {}, found.answers.length > 1 ? `The last of ${found.answers.length} alike answers. ` : "",
      `It is denied by ${found.budget} at token ${found.token}, having spent ${spent(found.spent)}; where it is shown, it spends ${spent(found.spent_where_shown)}.`),
    table(["token", "scores"], rows, "Scores of the counterexample"));
}

const plain = (value) => {
  const text = value === null ? "none" : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
};
