"""llama.cpp: our engine over it beside a plain loop of it, and the engine on torch beside it on the same values.

The plain loop decodes with the library's own samplers and its usual float16 keys and values. Left out where the library
is not installed: `make install-llama`, and PYTHONPATH=.venv/llama.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ig_guardrail.engine.kinds import EngineChoice
from ig_guardrail.engine.kv.laying_out import lay_out
from ig_guardrail.engine.loading.embedded import packed_file
from ig_guardrail.engine.loading.models import EMBEDDED, load_weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.evaluate import tables
from ig_guardrail.extras import EXTRAS, missing
from ig_guardrail.types import Draw, Expression
from speed.plain_llama import PlainLoop, in_bfloat16
from speed.stage import Stage, timed, unhindered
from speed.timing import in_turn, lasted, ratios, row, seconds

WHOLE = "CPU time of whole answers by llama.cpp"
LONE = "CPU time of a token of one stream, by torch"
OPENING = "opening the file"
LENGTHS = (40, 1000, 4000)  # tokens of the prompt
TOKENS = 64
STEPS = 32
WORDS = {name: Expression("model", model=f"{name}-words") for name in ("help", "tone")}  # no head reads these states
OURS = """
import sys
from ig_guardrail import ChatIGGuardrail
ChatIGGuardrail(model=sys.argv[1], engine="llama.cpp", policy="default", max_tokens=1).invoke("Hello!")
"""
THEIRS = """
import sys
from llama_cpp import Llama
model = Llama(sys.argv[1], n_ctx=2048, verbose=False)
model.create_chat_completion([{"role": "user", "content": "Hello!"}], max_tokens=1)
"""


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """Whole answers and single tokens by length of the prompt, and how long it takes to begin."""
    if missing(EXTRAS["llama"]):
        return []
    return [*answers(stage, pairs), *beside_torch(stage, pairs), *beginnings(pairs)]


def answers(stage: Stage, pairs: int) -> list[tables.Row]:
    """Whole answers of our engine over llama.cpp, of it alone, and of the engine on torch."""
    from ig_guardrail.engine.llama_cpp.model import GgufModel
    from ig_guardrail.engine.llama_cpp.opening import open_llama_cpp

    engine = open_llama_cpp(EngineChoice(EMBEDDED, options={"threads": 1}))
    plain = PlainLoop(GgufModel(packed_file(), EMBEDDED), max(LENGTHS) + 2 * TOKENS)
    budgets = tuple(replace(one, cost=WORDS[one.cost.model]) for one in stage.policy.budgets)
    guarded = stage.rail(unhindered(replace(stage.policy, budgets=budgets)), engine)
    torch = stage.rail(unhindered(stage.policy))
    rows = []
    for length in LENGTHS:
        asked = stage.asked(length, TOKENS)
        ids, never = engine.encode(asked.turns).ids, [token for token, _ in asked.sampling.logit_bias]
        runs = {
            "unguarded": partial(timed, guarded, replace(asked, strategy="none"), 1),
            "guarded": partial(timed, guarded, asked, 1),
            "transformers": partial(timed, torch, asked, 1),
            "plain": partial(_answered, plain, ids, never),
        }
        took = in_turn(runs, pairs, f"llama.cpp, prompt of {length}")
        for name, bound in (("unguarded", 1.1), ("guarded", 1.1), ("transformers", None)):
            engine_of = "bfloat16 by torch" if name == "transformers" else f"{name} by llama.cpp"
            title = f"{engine_of} / a plain loop, prompt of {length} tokens"
            rows.append(row(WHOLE, f"{name}-{length}", title, ratios(took[name], took["plain"]), at_most=bound))
    return rows


def beside_torch(stage: Stage, pairs: int) -> list[tables.Row]:
    """A token of one stream on torch, neither searched for nor judged, over one of llama.cpp on the same values."""
    from ig_guardrail.engine.llama_cpp.model import GgufModel

    packed = load_weights(EMBEDDED, "cpu", "int4")
    lay_out(packed.model)
    rows = []
    with TemporaryDirectory() as folder:
        for name, engine, file, bound in (
            ("bfloat16", stage.engine, in_bfloat16(packed_file(), Path(folder) / "bfloat16.gguf"), 1.5),
            ("int4", TransformersEngine(packed), packed_file(), 1.7),
        ):
            plain = PlainLoop(GgufModel(file, name), max(LENGTHS) + 2 * TOKENS)
            for length in LENGTHS:
                runs = {"ours": partial(_drawn, stage, engine, length), "plain": partial(_read, plain, stage, length)}
                took = in_turn(runs, pairs, f"{name} beside llama.cpp, prompt of {length}")
                title = f"{name} / llama.cpp on the same values, prompt of {length} tokens"
                rows.append(row(LONE, f"{name}-{length}", title, ratios(took["ours"], took["plain"]), at_most=bound))
    return rows


def beginnings(pairs: int) -> list[tables.Row]:
    """New processes that open the file and answer one token: guarded by us, and by llama.cpp's binding alone.

    Modules are compiled before, as they are where the package was installed, and so is the trial made that a file gets
    once.
    """
    runs = {name: partial(lasted, code, str(packed_file())) for name, code in (("ours", OURS), ("theirs", THEIRS))}
    runs["ours"](0)
    took = in_turn(runs, pairs, OPENING)
    beside = ratios(took["ours"], took["theirs"])
    return [
        row(OPENING, "start", "to a first token, guarded by `default` / llama-cpp-python", beside, at_most=3.0),
        row(OPENING, "start-ours", "the first of them, wall seconds with all imports", took["ours"]),
        row(OPENING, "start-theirs", "the second", took["theirs"]),
    ]


def _answered(plain: PlainLoop, ids: tuple[int, ...], never: list[int], _: int) -> float:
    return plain.answered(ids, never, TOKENS)


def _drawn(stage: Stage, engine: TransformersEngine, length: int, _: int) -> float:
    asked = stage.asked(length, STEPS)
    root = engine.open(engine.encode(asked.turns), asked.sampling).result()
    taken = seconds(engine.extend([Draw(root)], STEPS).result)
    engine.close(root)
    return taken


def _read(plain: PlainLoop, stage: Stage, length: int, _: int) -> float:
    asked = stage.asked(length, STEPS)
    return plain.drawn(stage.engine.encode(asked.turns).ids, [token for token, _ in asked.sampling.logit_bias], STEPS)
