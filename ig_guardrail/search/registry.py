"""The methods that ship, by name: where each comes from, what it needs, and whether text flows while it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ig_guardrail.search import (
    best_of_n,
    deal,
    inference_guard,
    plain,
    preference,
    prov_decode,
    resample,
    rollback_retry,
)
from ig_guardrail.search.base import Strategy
from ig_guardrail.search.baselines import args, beam, ctrl, early_exit, re_control, speculative_rejection
from ig_guardrail.search.fairness import token_verifier, verifier

Need: TypeAlias = Literal["reward model", "constitution", "swap lexicon", "value head", "exit adapters"]


@dataclass(frozen=True, slots=True)
class SearchMethod:
    """A strategy, and what is said of it.

    needs    what it cannot work without
    uses     what it works better with; without it, it falls back on likelihood, or leaves out what it is for
    streams  whether text may be shown before the answer has ended
    """

    name: str
    search: Strategy
    title: str
    paper: str
    needs: tuple[Need, ...] = ()
    uses: tuple[Need, ...] = ()
    streams: bool = True


REWARD: tuple[Need, ...] = ("reward model",)
LEXICON: tuple[Need, ...] = ("swap lexicon",)

METHODS: Mapping[str, SearchMethod] = {
    method.name: method
    for method in (
        SearchMethod(
            "inference_guard",
            inference_guard.search,
            "blockwise search within budgets, with resampling, steering and backing up",
            "arXiv 2502.01208",
            uses=REWARD,
        ),
        SearchMethod("none", plain.search, "the unguarded stream; no gate", ""),
        SearchMethod("cut", plain.search, "the usual filter: decode until the gate denies, then stop", ""),
        SearchMethod("resample", resample.search, "another answer where one is denied, while nothing was shown", ""),
        SearchMethod(
            "rollback_retry",
            rollback_retry.search,
            "detect, roll back over what is held, retry",
            "CARE (reconstruction)",
        ),
        SearchMethod(
            "best_of_n",
            best_of_n.best_of_n(preference.augmented),
            "N answers, the best reward among those within budget",
            "arXiv 2502.01208, BoN + augmented",
            uses=REWARD,
            streams=False,
        ),
        SearchMethod(
            "best_of_n_plain",
            best_of_n.best_of_n(preference.by_reward),
            "N answers, the best reward, whatever it costs",
            "arXiv 2502.01208, BoN",
            uses=REWARD,
            streams=False,
        ),
        SearchMethod(
            "best_of_n_lagrangian",
            best_of_n.best_of_n(preference.lagrangian),
            "N answers, the best reward less a price on cost",
            "arXiv 2502.01208, BoN + Lagrangian",
            uses=REWARD,
            streams=False,
        ),
        SearchMethod(
            "beam",
            beam.beam(preference.augmented),
            "blockwise beams, the best reward among those within budget",
            "arXiv 2502.01208, beam + augmented",
            uses=REWARD,
        ),
        SearchMethod(
            "beam_plain",
            beam.beam(preference.by_reward),
            "blockwise beams by reward, whatever they cost",
            "arXiv 2502.01208, beam",
            uses=REWARD,
        ),
        SearchMethod(
            "beam_lagrangian",
            beam.beam(preference.lagrangian),
            "blockwise beams by reward less a price on cost",
            "arXiv 2502.01208, beam + Lagrangian",
            uses=REWARD,
        ),
        SearchMethod(
            "args", args.args(args.by_reward), "likelihood plus reward, token by token", "arXiv 2402.01694", REWARD
        ),
        SearchMethod(
            "args_lagrangian",
            args.args(args.lagrangian),
            "likelihood plus reward less a price on risk, token by token",
            "arXiv 2502.01208, ARGS + Lagrangian",
            REWARD,
        ),
        SearchMethod(
            "args_cost",
            args.args(args.by_cost),
            "likelihood less risk, token by token",
            "arXiv 2502.01208, ARGS + cost model",
        ),
        SearchMethod("deal", deal.search, "tokens by where greedy continuations lead", "arXiv 2402.06147", uses=REWARD),
        SearchMethod(
            "ctrl",
            ctrl.ctrl(ctrl.for_best_of_n),
            "an answer drawn by calibrated reward, tilted to the top",
            "InfAlign, arXiv 2412.19792",
            uses=REWARD,
            streams=False,
        ),
        SearchMethod(
            "ctrl_worst_of_n",
            ctrl.ctrl(ctrl.for_worst_of_n),
            "an answer drawn by calibrated reward, tilted away from the bottom",
            "InfAlign, arXiv 2412.19792",
            uses=REWARD,
            streams=False,
        ),
        SearchMethod(
            "prov_decode",
            prov_decode.search,
            "the stream, without the tokens that would go over budget, such as those of a recited text",
            "TraceAlign, arXiv 2508.02063, Prov-Decode",
        ),
        SearchMethod(
            "trace_shield",
            plain.search_whole,
            "the whole stream or nothing: refused at its end if it is over budget, such as by reciting a text",
            "TraceAlign, arXiv 2508.02063, TraceShield",
            streams=False,
        ),
        SearchMethod(
            "re_control",
            re_control.search,
            "hidden states moved towards a higher value, token by token",
            "arXiv 2406.05954",
            ("value head",),
        ),
        SearchMethod(
            "early_exit",
            early_exit.search,
            "the stream, guessed by the model's early layers and verified by all of them",
            "M2R2, arXiv 2502.02040 (self-speculative)",
            ("exit adapters",),
        ),
        SearchMethod(
            "speculative_rejection",
            speculative_rejection.search,
            "many answers, halved block by block",
            "arXiv 2410.20290",
            uses=REWARD,
            streams=False,
        ),
        SearchMethod(
            "verifier",
            verifier.search,
            "drafts weighed under a constitution, less what they say only of one group",
            "AMBEDKAR, arXiv 2509.02133",
            ("constitution",),
            uses=LEXICON,
        ),
        SearchMethod(
            "token_verifier",
            token_verifier.search,
            "tokens drawn under a constitution, less likely the more they depend on the group",
            "AMBEDKAR, arXiv 2509.02133 (speculative)",
            ("constitution",),
            uses=LEXICON,
        ),
    )
}
