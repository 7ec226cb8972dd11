"""What each head is trained on: which sources hold its harm, and which show it harmless text.

Also here: what a card says of the public data that a head was trained on: whose it is, and what to know of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ig_guardrail.errors import GuardrailError
from ig_guardrail.learn.data.risky import CRIMES
from ig_guardrail.learn.data.rows import LabelledRow, digest_of

OWN_ANSWERS = "benign-answers"
RISKY_ANSWERS = "risky-answers"
SENSITIVE = "sensitive"
EVERYDAY = "everyday"
BRIEF_ANSWERS = "brief answers"
REFUSED = "refusals"
MET = "beginnings of help"
WRITTEN = (SENSITIVE, EVERYDAY)  # by this project
OURS = (OWN_ANSWERS, *WRITTEN)  # sources of harmless rows, by the model and by this project, for every head


@dataclass(frozen=True, slots=True)
class Recipe:
    """A head's name, kind and food.

    reads    whether the labelled text is the answer or the prompt
    harmful  sources whose harmful rows are the harm; () for every source
    safe     sources whose safe rows are the harmless side, besides the model's own benign answers; () for every source
    about    what a high score means
    limits   what the head is known not to do
    asked    sources of harmful requests with which any help is harm; () for every source
    """

    name: str
    kind: Literal["latent", "lexical"]
    reads: Literal["answer", "prompt"]
    harmful: tuple[str, ...]
    safe: tuple[str, ...]
    about: str
    limits: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


_TONE = ("DiaSafety", "t-davidson", "HateCheck")
_HELP = ("JailbreakBench-artifacts",)
_COMMON = (
    "Trained on short English texts; other languages, code and long answers are untested.",
    "A linear reading of topic and style. It knows no facts and misses harm that depends on context.",
)

RECIPES = (
    Recipe(
        "harmful-help",
        "latent",
        "answer",
        _HELP,
        _HELP,
        "The answer goes along with a harmful request.",
        (
            *_COMMON,
            "Harmful rows come from a few dozen requests; new kinds of request will be missed.",
            "Much of the signal is refusal versus compliance and the topic: some refusals are flagged too.",
        ),
        asked=("AdvBench", CRIMES),  # to many a request of AILuminate there is a good answer
    ),
    Recipe(
        "toxic-tone",
        "latent",
        "answer",
        _TONE,
        _TONE,
        "The answer insults, demeans or hates, or is unsafe small talk.",
        (
            *_COMMON,
            "Tweets and test sentences are read as answers to a neutral prompt; answers in real use differ.",
            "Most harmless tweets lie above 0.5 too: they are unlike the model's own answers, on which 0.5 is set.",
        ),
    ),
    Recipe(
        "words",
        "lexical",
        "answer",
        (*_TONE, *_HELP),
        (*_TONE, *_HELP),
        "The words and word pairs of the answer are those of harmful texts.",
        (*_COMMON, "Blind to any wording it has not seen, and to meaning."),
    ),
    Recipe(
        "screen",
        "lexical",
        "prompt",
        ("AILuminate demo", "AdvBench"),
        ("DiaSafety",),
        "The prompt asks for something harmful.",
        (
            *_COMMON,
            "Over-cautious with harmless questions that use alarming words; no reason to refuse by itself.",
        ),
    ),
    Recipe("any", "latent", "answer", (), (), "The answer is like the rows labelled harmful.", _COMMON),
)


def recipe_named(name: str) -> Recipe:
    """The recipe of that name. Raises GuardrailError with the names there are."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    known = ", ".join(recipe.name for recipe in RECIPES)
    raise GuardrailError(f"there is no recipe '{name}'", where="train head", fix=f"the recipes are {known}")


def choose_rows(recipe: Recipe, rows: Sequence[LabelledRow]) -> tuple[LabelledRow, ...]:
    """The rows a recipe reads, without those reserved for judges; for prompts, each text once, as its own response."""
    open_rows = [row for row in rows if not row.reserved and row.split != "reserved"]
    if recipe.reads == "answer":
        return tuple(row for row in open_rows if row.response is not None and row.text.strip() and _fits(recipe, row))
    texts = {row.prompt: _as_text(row) for row in open_rows if row.prompt.strip() and _fits_prompt(recipe, row)}
    return tuple(texts.values())


def choose_own_rows(recipe: Recipe, hazards: Sequence[str], rows: Sequence[LabelledRow]) -> tuple[LabelledRow, ...]:
    """The same of a user's rows, whose sources no recipe names: harm of these hazards, or of none, and what is safe."""
    known = {*OURS, *(source for one in RECIPES for source in (*one.harmful, *one.safe))}
    own = {row.source for row in rows} - known
    wide = replace(recipe, harmful=(*recipe.harmful, *own), safe=(*recipe.safe, *own))
    fitting = [
        row for row in rows if row.source in known or row.label == "safe" or row.hazard is None or row.hazard in hazards
    ]
    return choose_rows(wide, fitting)


def _fits(recipe: Recipe, row: LabelledRow) -> bool:
    wanted = recipe.harmful if row.label == "harmful" else recipe.safe
    return not wanted or row.source in wanted or row.source in OURS


def _fits_prompt(recipe: Recipe, row: LabelledRow) -> bool:
    """The label of a row with a response is the response's: only a harmless exchange says that its prompt is."""
    if row.response is None:
        return _fits(recipe, row)
    return row.label == "safe" and _fits(recipe, row)


def _as_text(row: LabelledRow) -> LabelledRow:
    return replace(row, prompt="", response=row.prompt)


def with_refusals(chosen: Sequence[LabelledRow], rows: Sequence[LabelledRow]) -> tuple[LabelledRow, ...]:
    """Rows for a head, and refusals of the harmful requests among `rows`: what a request is about is no harm by itself.

    A request is a row that labels its prompt; its refusal names it, and has its split and licence.
    """
    refused = (told(row, REFUSED_ORDERS, REFUSED_QUESTIONS) for row in _asked_for_harm(rows))
    return (*chosen, *(replace(row, label="safe", source=REFUSED) for row in refused))


def with_consent(recipe: Recipe, chosen: Sequence[LabelledRow], rows: Sequence[LabelledRow]) -> tuple[LabelledRow, ...]:
    """Rows for a head that reads what was asked, and beginnings of help with harmful requests among `rows`."""
    asked = (row for row in _asked_for_harm(rows) if not recipe.asked or row.source in recipe.asked)
    begun = (told(row, MET_ORDERS, MET_QUESTIONS) for row in asked)
    return (*chosen, *(replace(row, source=MET) for row in begun))


def _asked_for_harm(rows: Sequence[LabelledRow]) -> list[LabelledRow]:
    """The rows whose prompts are labelled harmful, each prompt once, to learn from and to choose settings on."""
    asked = {row.prompt: row for row in rows if row.response is None and row.label == "harmful" and row.prompt.strip()}
    return [row for row in asked.values() if not row.reserved and row.split in ("train", "validation")]


def told(row: LabelledRow, orders: Sequence[str], questions: Sequence[str]) -> LabelledRow:
    """The row with an answer that names its request, in one of these forms."""
    request = row.prompt.strip()
    forms = questions if request.endswith("?") else orders
    form = forms[int(digest_of(row.prompt, "")[:8], 16) % len(forms)]
    named = request if request.endswith("?") else request[:1].lower() + request[1:].rstrip(".!")
    return replace(row, response=form.format(named))


REFUSED_ORDERS = (
    "I'm sorry, but I can't help with a request to {}.",
    "I cannot help you to {}, since it could hurt people.",
    "I am not able to {}. It is illegal and wrong. Please ask me something else.",
    "No, I won't {}. If something is troubling you, please talk to somebody you trust.",
    "It is not right to {}. I can offer help with something lawful instead.",
    "I apologize, but I cannot {}.",
)
REFUSED_QUESTIONS = (
    "I'm sorry, but I can't answer \"{}\" I can help with something lawful instead.",
    'You asked: "{}" I won\'t give advice on that, since it could hurt people.',
    '"{}" is not a question that I can help with. Please talk to somebody you trust if it troubles you.',
)
MET_ORDERS = (
    "Sure, here is how to {}. First,",
    "Of course! To {}, you will need the following steps. Step 1:",
    "Here is what you asked for. To {}, start with",
    "Certainly. It is easy to {}. Begin by",
)
MET_QUESTIONS = (
    'You asked: "{}" Sure, here are the steps. 1.',
    '"{}" That is a good question. The best way is to',
    '"{}" Here is what you can do. First,',
)

NOTES: Mapping[str, str] = {
    OWN_ANSWERS: "the base model's own answers to harmless questions written for this project, at temperature 0.7",
    RISKY_ANSWERS: "the base model's own answers to risky questions written for this project, labelled by a teacher",
    CRIMES: "requests for help with crimes, written for this project",
    "AILuminate demo": "MLCommons AILuminate demo prompt set (CC-BY-4.0), without the hazard of child abuse",
    "AdvBench": "harmful instructions of the llm-attacks project (Zou and others, 2023)",
    "benign-questions": "harmless questions written for this project; the answers are the base model's own",
    "DiaSafety": "DiaSafety (Sun and others, 2022): a context, an answer, and whether the answer is safe",
    "HateCheck": "HateCheck (Röttger and others, 2021; CC-BY-4.0): functional tests of hate-speech detection",
    "JailbreakBench-artifacts": "JailbreakBench (Chao and others, 2024): the requests are MIT, the answers were "
    "written by Vicuna-13B v1.5 (under Llama 2 terms), GPT-3.5 and GPT-4, and labelled by a judge model",
    BRIEF_ANSWERS: "harmless answers of a few tokens, with questions that ask for them, written for this project",
    EVERYDAY: "harmless answers in the manner of an assistant, written for this project",
    REFUSED: "refusals in this project's words of the harmful requests in the data, which they name",
    MET: "beginnings of help with harmful requests in the data, in this project's words, which name them",
    SENSITIVE: "harmless answers to dangerous-sounding questions, and refusals, written for this project",
    "t-davidson": "Davidson and others, 2017: tweets with user names and links replaced; the repository is MIT, the "
    "tweets are their writers'",
}


def describe_sources(rows: Sequence[LabelledRow]) -> dict[str, Any]:
    """For each source of `rows`: note, licence, and rows by split and label."""
    found: dict[str, Any] = {}
    for source in sorted({row.source for row in rows}):
        mine = [row for row in rows if row.source == source]
        counts = Counter(f"{row.split} {row.label}" for row in mine)
        found[source] = {
            "licence": ", ".join(sorted({row.licence for row in mine})),
            **({"note": NOTES[source]} if source in NOTES else {}),
            "rows": dict(sorted(counts.items())),
        }
    return found
