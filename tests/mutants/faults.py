"""Faults, each seeded alone into gate, release, budget or drive. Every one must be caught by the fast tests.

A fault is a place (file and exact text) and what a careless hand might have written there instead.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    file: str
    text: str
    instead: str


FAULTS = (
    Fault(
        "gate: an overdrawn commit is taken",
        "stream/gate.py",
        'return Denied("budget", over.budget, over.position)',
        "pass",
    ),
    Fault("gate: z = 0 counts as over budget", "stream/gate.py", "line.z_after < 0", "line.z_after <= 0"),
    Fault(
        "gate: only the last charge is looked at",
        "stream/gate.py",
        "in charges if line.budget in enforced",
        "in charges[-1:] if line.budget in enforced",
    ),
    Fault(
        "gate: shadow budgets deny",
        "stream/gate.py",
        "{rule.budget.id for rule in self._rules if rule.enforced}",
        "{rule.budget.id for rule in self._rules}",
    ),
    Fault(
        "gate: released text may be replaced",
        "stream/gate.py",
        "if not self._continues_what_was_shown(node, self._steps[index].node):",
        "if False:",
    ),
    Fault(
        "gate: missing measures are let pass",
        "stream/gate.py",
        "if sorted(given, key=_order) != sorted(due, key=_order):",
        "if len(given) > len(due):",
    ),
    Fault(
        "gate: NaN is a score",
        "stream/gate.py",
        "if not (math.isfinite(measure.score) and 0 <= measure.score <= 1):",
        "if measure.score > 1:",
    ),
    Fault(
        "gate: a denied commit is charged",
        "stream/gate.py",
        "over = self._first_overdrawn(charges)",
        "over = self._first_overdrawn(charges)\n"
        "        self._steps[index] = Step(self._steps[index].node, state, charges)",
    ),
    Fault(
        "gate: the state does not roll back",
        "stream/gate.py",
        "settle(self._rules, self._steps[index].state, measures)",
        "settle(self._rules, self._steps[-1].state, measures)",
    ),
    Fault(
        "gate: text goes out before its charge point",
        "stream/gate.py",
        "return min(points, default=node.position)",
        "return max(points, default=node.position)",
    ),
    Fault(
        "gate: uncharged text goes out",
        "stream/gate.py",
        "return min(points, default=node.position)",
        "return node.position",
    ),
    Fault(
        "gate: closed streams still release",
        "stream/gate.py",
        '        if self._closed:\n            return ""\n        node = self.tip',
        "        node = self.tip",
    ),
    Fault("release: the hold is ignored", "stream/release.py", "max(0, node.position - hold.tokens)", "node.position"),
    Fault(
        "release: the longest match is ignored",
        "stream/release.py",
        "start_of_last(node.text, charged, max(0, hold.match - 1), json)",
        "charged",
    ),
    Fault(
        "release: what nobody sees counts as held",
        "stream/release.py",
        "start_of_last(node.text, charged, max(0, hold.match - 1), json)",
        "max(0, charged - max(0, hold.match - 1))",
    ),
    Fault(
        "release: escapes take no room",
        "stream/release.py",
        "max(0, hold.match - 1), json)",
        "max(0, hold.match - 1))",
    ),
    Fault(
        "release: stop strings are half shown",
        "stream/release.py",
        "node.visible - stop_prefix(answer, hold.stops)",
        "node.visible",
    ),
    Fault(
        "release: the stop string itself is shown",
        "stream/release.py",
        "        return node.visible\n",
        "        return len(node.text)\n",
    ),
    Fault(
        "release: a hidden thought counts as shown",
        "stream/release.py",
        "return 0 if hold.hidden and end <= node.thought.characters else end",
        "return end",
    ),
    Fault("gate: a hidden thought goes out with the answer", "stream/gate.py", "if self._hold.hidden:", "if False:"),
    Fault(
        "scorer: thoughts are not judged",
        "drive/scoring/scorer.py",
        'ThoughtfulCost(cost.reader, thoughts == "charge")',
        "ThoughtfulCost(cost.reader, False)",
    ),
    Fault(
        "drive: a policy that ignores hidden thoughts lets shown ones go",
        "drive/run.py",
        "if not (self.engine.info.thinks and self.request.hides):",
        "if not self.engine.info.thinks:",
    ),
    Fault(
        "budget: the end is not charged",
        "budget.py",
        "return (*points, Point(stop, ended=True)) if ended and stop > 0 else points",
        "return points",
    ),
    Fault(
        "budget: the end is charged instead of an ordinary point",
        "budget.py",
        "return (*points, Point(stop, ended=True)) if ended and stop > 0 else points",
        "return (*(p for p in points if p.position < stop), Point(stop, ended=True)) if ended and stop > 0 else points",
    ),
    Fault(
        "budget: a negative cost earns budget",
        "budget.py",
        "excess = max(NOTHING, exact(score) - exact(budget.threshold))",
        "excess = exact(score) - exact(budget.threshold)",
    ),
    Fault(
        "budget: recovery gives back",
        "budget.py",
        "return account, 0.0",
        "return BudgetState(account.total, excess, account.left, account.position), 0.0",
    ),
    Fault(
        "scorer: NaN is a score",
        "drive/scoring/judging.py",
        "if not (math.isfinite(score) and 0 <= score <= 1):",
        "if score > 1:",
    ),
    Fault(
        "scorer: what is made when it is read is awaited without end",
        "drive/scoring/judging.py",
        "return _read(model.advance(",
        "return (lambda answers: answers)(model.advance(",
    ),
    Fault(
        "scorer: contexts share their scores",
        "drive/scoring/scorer.py",
        "number = self._next(_CONTEXTS, node.root)",
        "number = 0",
    ),
    Fault(
        "scorer: a failure is a pass",
        "drive/scoring/scorer.py",
        'if one.spec.on_error != "open":',
        'if one.spec.on_error == "never":',
    ),
    Fault(
        "scorer: an ended prefix reads like an open one",
        "drive/scoring/scorer.py",
        "mark = self._mark(track, node, step)",
        "mark = self._mark(track, node, Point(step.position))",
    ),
    Fault(
        "drive: forged nodes are believed",
        "drive/server.py",
        "if not isinstance(node, Node) or self._nodes.get(node.id) is not node:",
        "if not isinstance(node, Node):",
    ),
    Fault("drive: denials are not counted", "drive/server.py", "            self.usage.denials += 1\n", ""),
    Fault(
        "drive: effort is not bounded",
        "drive/server.py",
        "return not (denied_out or tired or asked_out or self.overtime)",
        "return True",
    ),
    Fault(
        "drive: the root stays open after a cancel",
        "guardrail.py",
        "            server.close()\n",
        "            pass\n",
    ),
    Fault(
        "fallbacks: a refusal after text was shown",
        "drive/decode.py",
        "if gate.shown or context.settings.restart is None:\n        return _stopped(gate.shown, ())",
        "if gate.shown or context.settings.restart is None:\n        return _stopped(False, ())",
    ),
)
