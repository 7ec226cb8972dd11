"""What a method cannot work without, or works better with; and what a request lacks, said in one error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ig_guardrail.errors import RequestError
from ig_guardrail.types import CompiledPolicy


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a method may count on in a request.

    reward     whether a reward model is there
    steerable  whether a cost model of the policy can say which steps lead away from what it scores
    indexed    whether a budget that is enforced rests on a cost model that reads an index of texts
    model      the model that decodes, in words
    exit       whether it has an early exit
    apart      whether a second model verifies, whose tokens are others
    """

    policy: CompiledPolicy
    reward: bool
    steerable: bool
    indexed: bool
    model: str
    exit: bool
    apart: bool


@dataclass(frozen=True, slots=True)
class Need:
    """Something that methods need. lacking: what is missing, in words; why: what a method would be without it."""

    name: str
    met: Callable[[Surroundings], bool]
    lacking: Callable[[Surroundings], str]
    why: str
    fix: str

    def check(self, method: str, surroundings: Surroundings) -> None:
        """Raises RequestError if it is not there."""
        if not self.met(surroundings):
            what = f"strategy '{method}' needs {self.lacking(surroundings)}"
            raise RequestError(what, where="strategy", why=self.why, fix=self.fix)


REWARD_MODEL = Need(
    "reward model",
    lambda around: around.reward,
    lambda _: "a reward model",
    "it ranks by task value alone, and would be greedy decoding without one",
    'name one: `--reward relevance` on the command line; in Python, `reward="relevance"` where the guardrail or the '
    "chat model is made",
)
CONSTITUTION = Need(
    "constitution",
    lambda around: bool(around.policy.search.steer or around.policy.swaps),
    lambda around: f"a constitution, and policy '{around.policy.name}' has none",
    "a verifier that reads under no other words than the draft was drawn with agrees with every draft",
    "use the policy `fairness`, or write `search: {steer: ..., swaps: [...]}`, one of them at least",
)
SWAP_LEXICON = Need(
    "swap lexicon",
    lambda around: bool(around.policy.swaps),
    lambda around: f"a swap lexicon, and policy '{around.policy.name}' has none",
    "it compares what is said of one group with what would be said of another",
    "write `search: {swaps: [...]}`",
)
ONE_VOCABULARY = Need(
    "one vocabulary",
    lambda around: not around.apart,
    lambda _: "the model that drafts as its verifier, and was given another model",
    "it weighs single tokens, and a token of one model means something else to another",
    "use strategy `verifier`, which compares texts, or leave out `verifier`",
)
VALUE_HEAD = Need(
    "value head",
    lambda around: around.steerable,
    lambda around: f"a value head, and no budget of policy '{around.policy.name}' rests on one",
    "its edits of hidden states are steps away from what a `latent` cost model scores",
    "use a policy with a budget in `mode: enforce` over a cost model of `kind: latent`",
)
EXIT_ADAPTERS = Need(
    "exit adapters",
    lambda around: around.exit,
    lambda around: f"an early exit, and the model {around.model} has none",
    "it would be plain decoding without one; only the embedded model in bfloat16 comes with an exit",
    "train one (not for int4) with `ig-guardrail train answers` and `train exit`, and name its folder: "
    "`--exit FOLDER` on the command line, `GuardrailSpec(exit=...)` in Python",
)
INDEX = Need(
    "index",
    lambda around: around.indexed,
    lambda around: f"an index of texts, and no budget of policy '{around.policy.name}' rests on one",
    "it is there to keep texts from being recited; without an index it would be `cut`, or nearly so",
    "build one with `ig-guardrail index build`, name it in the policy's `cost_models` (`kind: provenance`, keys "
    "`unsafe` and `reference`), and rest a budget in `mode: enforce` on it",
)
