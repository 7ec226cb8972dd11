"""A safety model in this process: its own chat template, and one pass over all questions.

Rows are padded behind their end, where a causal model looks at nothing, so what a row scores does not depend on its
companions, beyond rounding. Only the logits of the token that a verdict begins with are computed. Weights are
safetensors, no code of the model's is run, and its template runs in the sandbox of transformers.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.guards.format import GuardFormat
from ig_guardrail.costs.guards.questions import GuardQuestion, GuardQuestions, windows
from ig_guardrail.costs.guards.verdict import Masses, NoVerdict
from ig_guardrail.costs.sequence_classifier import forked, model_folder, weights_sha256
from ig_guardrail.errors import CostFailure, ModelError, brief
from ig_guardrail.extras import require
from ig_guardrail.threads.locks import ForkSafeLock, Home

WHAT = "safety model"
BATCH = 16  # rows of one pass
PASS = 32_768  # tokens of one pass, padding included
LONGEST = 8_192  # tokens of a row, where the model reads more
SHORTEST = 32  # tokens of a conversation that a row must have room for
SPARE = 16  # tokens of a row that cut words may take up

Content: TypeAlias = Literal["text", "parts"]  # of a message: its text, or a list of parts, of which one is the text


@dataclass(frozen=True, slots=True)
class VerdictTokens:
    """after: ids of what is written before a verdict; for each meaning, the ids that its words begin with."""

    after: tuple[int, ...]
    unsafe: tuple[int, ...]
    safe: tuple[int, ...]
    controversial: tuple[int, ...]

    def masses(self, logits: NDArray[np.float64]) -> Masses:
        """What they come to in a row of logits over the vocabulary."""
        with np.errstate(invalid="ignore"):
            odds = np.exp(logits - logits.max())
            odds /= odds.sum()
        return Masses(*(float(odds[list(ids)].sum()) for ids in (self.unsafe, self.safe, self.controversial)))


@dataclass(frozen=True, slots=True)
class TokenRuler:
    """A text, token by token."""

    tokenizer: Any

    def edges(self, text: str) -> list[tuple[int, int]]:
        """The characters of each token."""
        read = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return list(map(tuple, read["offset_mapping"]))


@dataclass(frozen=True, slots=True, eq=False)
class LocalGuard:
    """The model on its device, for one caller at a time, since tokenizers hold state while they work.

    where    the cost model, for messages
    sha256   of its files
    longest  tokens of a row
    special  ids of special tokens
    """

    name: str
    where: str
    sha256: str
    asker: GuardQuestions
    longest: int
    content: Content
    special: frozenset[int]
    tokens: VerdictTokens
    tokenizer: Any
    model: Any
    _turn: ForkSafeLock = field(default_factory=ForkSafeLock)
    _home: Home = field(default_factory=Home)

    def scores(self, questions: Sequence[GuardQuestion]) -> list[float]:
        """The worst window of each question. Raises CostFailure where the model gives no verdict."""
        with self._turn:
            if self._home.left:
                raise forked(WHAT, self.name)
            asked = [(place, part) for place, one in enumerate(questions) for part in self._windows(one)]
            rows = [self._row(part) for _, part in asked]
            worst = [0.0] * len(questions)
            for (place, _), masses in zip(asked, self._masses(rows), strict=True):
                try:
                    worst[place] = float(np.maximum(worst[place], masses.score()))  # NaN stays NaN
                except NoVerdict as error:
                    fix = "check that `format` is the model's"
                    raise self._failure(str(error), fix) from None
            return worst

    def _windows(self, question: GuardQuestion) -> Iterator[GuardQuestion]:
        frame = len(self._encoded(_plain(question))) + self._reserved
        room = self.longest - frame - SPARE
        if room < SHORTEST:
            raise self._failure(
                f"reads {self.longest} tokens at once, and its template and verdict take {frame} of them",
                "use a model with a larger context, or fewer categories",
            )
        return windows(question, room, TokenRuler(self.tokenizer))

    def _row(self, question: GuardQuestion) -> list[int]:
        """The ids up to where a verdict begins."""
        ids = self._encoded(question)
        if self._specials(ids) != self._specials(self._encoded(_plain(question))):
            raise self._failure("was given a text that changes the structure of its template", "")
        if len(ids) + self._reserved > self.longest:
            raise self._failure(f"was asked about {len(ids)} tokens, and reads {self.longest} at once", "")
        return [*ids, *self._thought(ids), *self.tokens.after]

    @property
    def _reserved(self) -> int:
        """Tokens that the model may write before its verdict."""
        thought = self.asker.form.thought
        return len(self.tokens.after) + (thought.most + len(thought.otherwise) if thought else 0)

    def _encoded(self, question: GuardQuestion) -> list[int]:
        try:
            text = render(self.tokenizer, self.asker, question, self.content)
        except Exception as error:  # templates are programs of their own, and may quote what they are given
            reason = f"has a chat template that refuses a conversation ({type(error).__name__})"
            raise self._failure(reason, "write `with_prompt: false`, or use another format") from None
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _specials(self, ids: Sequence[int]) -> list[int]:
        return [token for token in ids if token in self.special]

    def _thought(self, ids: Sequence[int]) -> list[int]:
        """What the model thinks before its verdict, written greedily; one row at a time, so that it thinks the same."""
        thought = self.asker.form.thought
        if thought is None:
            return []
        import torch
        import transformers

        configuration: Any = transformers.GenerationConfig
        how = configuration(
            do_sample=False,
            max_new_tokens=thought.most,
            stop_strings=[thought.until],
            pad_token_id=0,
            eos_token_id=self.model.generation_config.eos_token_id,
        )
        row = torch.tensor([list(ids)], device=self.model.device)
        with torch.inference_mode():
            written = self.model.generate(
                row, attention_mask=torch.ones_like(row), generation_config=how, tokenizer=self.tokenizer
            )
        found: list[int] = written[0, len(ids) :].tolist()
        if thought.until in self.tokenizer.decode(found, skip_special_tokens=False):
            return found
        ends = {how.eos_token_id} if isinstance(how.eos_token_id, int) else set(how.eos_token_id or ())
        while found and found[-1] in ends:
            found.pop()
        return [*found, *self.tokenizer.encode(thought.otherwise, add_special_tokens=False)]

    def _masses(self, rows: Sequence[list[int]]) -> list[Masses]:
        """For each row, the probabilities of verdicts after it."""
        found: dict[int, Masses] = {}
        for places in _passes([len(row) for row in rows]):
            logits = self._last_logits([rows[place] for place in places])
            found.update(zip(places, map(self.tokens.masses, logits), strict=True))
        return [found[place] for place in range(len(rows))]

    def _last_logits(self, rows: Sequence[list[int]]) -> NDArray[np.float64]:
        """(rows, vocabulary): the logits after the last token of each row."""
        import torch

        lengths = [len(row) for row in rows]
        most = max(lengths)
        ids = torch.tensor([row + [0] * (most - len(row)) for row in rows], device=self.model.device)
        mask = torch.tensor([[1] * length + [0] * (most - length) for length in lengths], device=self.model.device)
        ends = sorted({length - 1 for length in lengths})
        keep = {"logits_to_keep": torch.tensor(ends, device=self.model.device)} if _keeps(self.model) else {}
        with torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False, **keep).logits
        columns = [ends.index(length - 1) if keep else length - 1 for length in lengths]
        last = logits[torch.arange(len(rows), device=logits.device), torch.tensor(columns, device=logits.device)]
        return np.asarray(last.double().cpu().numpy())

    def _failure(self, reason: str, fix: str) -> CostFailure:
        return CostFailure(
            f"the safety model '{self.name}' {reason}",
            where=self.where,
            why="what was not judged may not be shown",
            fix=fix,
        )


def render(tokenizer: Any, asker: GuardQuestions, question: GuardQuestion, content: Content) -> str:
    """A question as text, up to where the model answers. Raises whatever the template raises."""
    messages: list[Any] = asker.messages(question)
    if content == "parts":
        messages = [{**one, "content": [{"type": "text", "text": one["content"]}]} for one in messages]
    own = {} if tokenizer.chat_template else {"chat_template": asker.form.chat_template}
    return str(
        tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **own, **asker.variables(question)
        )
    )


def load_local_guard(name: str, device: str, asker: GuardQuestions, where: str) -> LocalGuard:
    """The safety model in a folder, which is read without the network, or under a hub name, which is fetched.

    device  what it runs on: "cpu", "cuda:0"; "" is the CPU
    asker   its format, and what it is asked about
    where   the cost model that asks for it, for messages
    Raises ModelError if it cannot be had, or its format does not fit it.
    """
    place = f"{where}.model"
    require("local", "torch", "transformers", by=f"{WHAT} '{name}'", where=place)
    folder = model_folder(name, place, WHAT)
    model, tokenizer = _load(name, folder, place)
    special = {token: entry.content for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
    asker = GuardQuestions(asker.form, asker.categories, frozenset(text for text in special.values() if text.strip()))
    return LocalGuard(
        name=name,
        where=where,
        sha256=weights_sha256(folder, "*.safetensors", "*.json", "*.jinja", "*.model"),
        asker=asker,
        longest=_longest(tokenizer, model),
        content=_content(name, tokenizer, asker, where),
        special=frozenset(special),
        tokens=verdict_tokens(tokenizer, asker.form, where),
        tokenizer=tokenizer,
        model=model.to(device or "cpu").eval(),
    )


def verdict_tokens(tokenizer: Any, form: GuardFormat, where: str) -> VerdictTokens:
    """The tokens that verdicts begin with. Raises ModelError, naming the key of the format, where there are none."""
    place = form.verdict
    found: dict[str, tuple[int, ...]] = {}
    befores = set()
    for meaning in ("unsafe", "safe", "controversial"):
        ids = []
        for word in getattr(place, meaning):
            read = tokenizer(place.after + word, add_special_tokens=False, return_offsets_mapping=True)
            edges = read["offset_mapping"]
            first = next((i for i, (_, stop) in enumerate(edges) if stop > len(place.after)), None)
            if (
                first is None
                or edges[first][0] < len(place.after)
                or read["input_ids"][first] == tokenizer.unk_token_id
            ):
                raise _unfit_format(
                    f"the model has no token for {word!r}",
                    f"{where}.format: verdict.{meaning}",
                    f"it would have to begin with a token of its own after {place.after!r}",
                )
            befores.add(tuple(read["input_ids"][:first]))
            ids.append(read["input_ids"][first])
        found[meaning] = tuple(dict.fromkeys(ids))
    if len(befores) != 1:
        raise _unfit_format(
            f"what stands before verdicts, {place.after!r}, is read in several ways",
            f"{where}.format: verdict.after",
            "how it is read depends on the word that follows",
        )
    meanings = [set(ids) for ids in found.values()]
    if sum(map(len, meanings)) != len(set.union(*meanings)):
        raise _unfit_format(
            "verdicts of two meanings begin with the same token",
            f"{where}.format: verdict",
            "only the token that a verdict begins with is read",
        )
    return VerdictTokens(befores.pop(), **found)


def _content(name: str, tokenizer: Any, asker: GuardQuestions, where: str) -> Content:
    """How the template reads what a message says. Raises ModelError if it leaves it out, or refuses to be asked."""
    if not tokenizer.chat_template and asker.form.chat_template is None:
        raise _unfit_format(
            f"neither the tokenizer of '{name}' nor the format has a chat template",
            f"{where}.format: chat_template",
            "the model cannot be asked without one",
        )
    said, told = "igsaid", "igtold"
    category = asker.categories[0] if asker.form.asks_each else ""
    samples = [
        GuardQuestion((), ("user", said), category),
        GuardQuestion((("user", told),), ("assistant", said), category),
    ]
    reason = ""
    contents: tuple[Content, ...] = ("text", "parts")
    for content in contents:
        try:
            texts = [render(tokenizer, asker, sample, content) for sample in samples]
        except Exception as error:  # templates are programs of their own and raise what they like
            reason = reason or f"the template says: {brief(error)}"
            continue
        if said in texts[0] and said in texts[1] and told in texts[1]:
            return content
    raise _unfit_format(
        f"the chat template of '{name}' does not take what the format asks",
        f"{where}.format",
        reason or "it leaves out what is to be judged",
    )


def _load(name: str, folder: Any, where: str) -> tuple[Any, Any]:
    import transformers

    how: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **how)
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, dtype="auto", output_loading_info=True, **how
        )
    except Exception as error:  # readers of odd files raise what they like
        raise _unfit(name, where, brief(error)) from error
    model, found = loaded
    lacking = sorted([*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])])
    if lacking:
        raise _unfit(name, where, f"its files hold no weights for {', '.join(lacking[:3])}")
    if not tokenizer.is_fast:
        raise _unfit(name, where, "its tokenizer cannot tell where tokens begin in a text (no tokenizer.json)")
    return model, tokenizer


def _plain(question: GuardQuestion) -> GuardQuestion:
    """The same question about texts that say nothing."""
    return GuardQuestion(
        tuple((role, "x") for role, _ in question.before), (question.judged[0], "x"), question.category
    )


def _passes(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of rows that share a pass: rows of like length, no more than a pass holds."""
    places: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if places and (len(places) == BATCH or (len(places) + 1) * lengths[place] > PASS):
            yield places
            places = []
        places.append(place)
    if places:
        yield places


def _keeps(model: Any) -> bool:
    """Whether the model can leave out the logits that nobody reads."""
    return "logits_to_keep" in inspect.signature(model.forward).parameters


def _longest(tokenizer: Any, model: Any) -> int:
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None) or LONGEST
    return int(min(tokenizer.model_max_length, positions, LONGEST))


def _unfit(name: str, where: str, why: str) -> ModelError:
    return ModelError(
        f"the safety model '{name}' cannot be had",
        where=where,
        why=why,
        fix="give a causal language model of transformers with tokenizer.json and safetensors weights",
    )


def _unfit_format(what: str, where: str, why: str) -> ModelError:
    return ModelError(what, where=where, why=why, fix="name the format of this model, or write one (docs/guards.md)")
