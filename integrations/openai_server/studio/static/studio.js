// The page: the policy on the left, what it does on the right.
import { Answer } from "./answer.js";
import { ask } from "./ask.js";
import { $, count, el } from "./dom.js";
import { Editor } from "./editor.js";
import { preparePanels } from "./panels.js";

const PAUSE = 250; // milliseconds between the last key and a check
const SAVED = "saved";

const studio = { saved: "", facts: null, ok: null, checks: 0, running: null };
const editor = new Editor($("editor"), changed);
const policy = () => ({ text: editor.text });
const other = () => ($("other").value === "own" ? { text: $("other-text").value } : { name: $("other").value });

// The policy

function changed() {
  clearTimeout(studio.timer);
  studio.timer = setTimeout(check, PAUSE);
  studio.ok = null; // not known yet
  tellSaving();
}

async function check() {
  const number = ++studio.checks;
  try {
    const found = await ask("check", policy());
    if (number !== studio.checks) return;
    studio.ok = found.ok;
    editor.show(found.faults);
    drawFindings(found);
    broken("");
  } catch (error) {
    broken(error.message);
  }
  tellSaving();
}

function drawFindings({ ok, faults, policy: facts }) {
  const errors = faults.filter((one) => one.severity === "error").length;
  const warnings = faults.length - errors;
  $("verdict").className = `pill ${ok ? "passed" : "failed"}`;
  $("verdict").textContent = [ok ? `valid: ${facts.name} ${facts.version}` : count(errors || 1, "error"),
    warnings ? count(warnings, "warning") : ""].filter(Boolean).join(", ");
  const items = faults.map((fault) => el("li", { class: fault.severity },
    el("div", {},
      el("button", { type: "button", class: "link", onclick: () => editor.go(fault) },
        fault.file ? `${fault.file}, line ${fault.line}` : `line ${fault.start[0] + 1}`),
      el("span", { class: `pill ${fault.severity}` }, `${fault.severity} ${fault.code}`), " ", fault.message),
    fault.why ? el("p", { class: "quiet small" }, fault.why) : "",
    fault.help ? el("p", { class: "help" }, "→ ", fault.help, " ", fixButton(fault)) : ""));
  $("findings").replaceChildren(...(items.length ? items : [el("li", { class: "none" }, "The checker has nothing to say.")]));
}

function fixButton(fault) {
  const button = el("button", { type: "button", class: "link", "aria-label": `Fixes for line ${fault.start[0] + 1}`, onclick: find }, "Fix");
  async function find() {
    const text = editor.text;
    const { fixes } = await ask("fix", { text, code: fault.code, line: fault.line, path: fault.path });
    if (text !== editor.text) return;
    const choices = fixes.map((one) => el("button", { type: "button", onclick: () => editor.replace(one.start, one.end, one.text) }, one.title));
    button.replaceWith(...(choices.length ? choices : [el("span", { class: "quiet" }, "(nothing that was tried mends it)")]));
    choices[0]?.focus();
  }
  return button;
}

async function read(name) {
  const { text, seen } = await ask("read", { name });
  if (name === SAVED) [studio.saved, studio.seen] = [text, seen];
  editor.text = text;
}

function tellSaving() {
  const dirty = editor.text !== studio.saved;
  const file = studio.facts?.file;
  $("save").disabled = !(file && dirty && studio.ok);
  $("saving").textContent = !studio.facts ? "" : !file
    ? `${studio.facts.name} comes with the package; start with --policy FILE to save a policy.`
    : dirty ? `${file}: not saved${studio.ok === false ? "; a policy with errors cannot be" : ""}` : `${file}: as saved`;
}

async function save() {
  const text = editor.text;
  try {
    studio.seen = (await ask("save", { text, seen: studio.seen })).seen;
    studio.saved = text;
    tellSaving();
  } catch (error) {
    $("saving").textContent = error.message;
  }
}

// The model

async function run(event) {
  event.preventDefault();
  studio.running?.abort();
  const running = (studio.running = new AbortController());
  $("run").disabled = true;
  $("stop").hidden = false;
  await new Answer($("answer"), "Answer", studio.facts.drafts).run(question($("prompt").value, policy()), running.signal);
  if (studio.running !== running) return;
  $("run").disabled = false;
  $("stop").hidden = true;
}

async function runBoth() {
  $("both").disabled = true;
  const homes = [el("div"), el("div")];
  $("both-found").replaceChildren(...homes);
  const prompt = $("compare-prompt").value;
  const running = new AbortController();
  await Promise.all([["A, the other policy", other()], ["B, in the editor", policy()]].map(([title, one], i) =>
    new Answer(homes[i], title, studio.facts.drafts).run(question(prompt, one), running.signal)));
  $("both").disabled = false;
}

function question(prompt, one) {
  const chosen = (id) => ($(id).value === "" ? null : Number($(id).value));
  const seed = chosen("seed") ?? Math.floor(Math.random() * 2 ** 31);
  const options = { seed, max_tokens: chosen("tokens"), temperature: chosen("temperature") };
  return { policy: one, prompt, system: $("system").value, conversation: $("conversation").value, options };
}

// The page

function prepareTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const choose = (tab, focus) => {
    for (const one of tabs) {
      one.setAttribute("aria-selected", String(one === tab));
      one.tabIndex = one === tab ? 0 : -1;
      $(one.getAttribute("aria-controls")).hidden = one !== tab;
    }
    if (focus) tab.focus();
    if (tab.id === "tab-compare" && !$("compare-prompt").value) $("compare-prompt").value = $("prompt").value;
  };
  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: -1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      choose(tabs.at(to % tabs.length), true);
    });
  }
}

function broken(text) {
  $("broken").textContent = text;
  $("broken").hidden = !text;
}

async function start() {
  prepareTabs();
  preparePanels(policy, other);
  $("save").addEventListener("click", save);
  $("ask").addEventListener("submit", run);
  $("stop").addEventListener("click", () => studio.running?.abort());
  $("both").addEventListener("click", runBoth);
  $("other").addEventListener("change", () => { $("other-own").hidden = $("other").value !== "own"; });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("ask").requestSubmit();
  });
  addEventListener("beforeunload", (event) => { if (studio.facts?.file && editor.text !== studio.saved) event.preventDefault(); });
  const facts = (studio.facts = await ask("load"));
  [studio.saved, studio.seen] = [facts.text, facts.seen];
  $("about").textContent = `${facts.model} on ${facts.device}, ${facts.numerics}`;
  $("tokens").max = facts.tokens;
  if (!facts.recordings) {
    for (const button of $("traffic-form").querySelectorAll("button")) button.disabled = true;
    $("traffic-found").replaceChildren(el("p", { class: "notice" }, "There are no recordings. Start the studio with --recordings PATH; `run --record FILE` and `policy record` write them."));
  }
  const title = (name) => (name === SAVED ? `${facts.name}, as saved` : `${name} (packaged)`);
  $("other").append(...facts.policies.map((name) => el("option", { value: name }, title(name))), el("option", { value: "own" }, "a text of my own"));
  $("against").append(...facts.policies.map((name) => el("option", { value: name }, title(name))));
  $("open").append(el("option", { value: "" }, "Open …"), ...facts.policies.map((name) => el("option", { value: name }, title(name))));
  $("open").addEventListener("change", async () => {
    const name = $("open").value;
    $("open").value = "";
    if (editor.text !== studio.saved && !confirm("What was changed in the editor and not saved will be lost.")) return;
    await read(name).catch((error) => broken(error.message));
  });
  editor.text = facts.text;
}

start().catch((error) => broken(error.message));
