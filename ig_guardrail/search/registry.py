"""The methods that ship, by name. Each says of itself what it is and needs, at the end of its module."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from ig_guardrail.errors import RequestError
from ig_guardrail.search import best_of_n, deal, inference_guard, plain, prov_decode, resample, rollback_retry
from ig_guardrail.search.base import SearchMethod
from ig_guardrail.search.baselines import args, beam, ctrl, early_exit, re_control, speculative_rejection
from ig_guardrail.search.fairness import token_verifier, verifier

METHODS: Mapping[str, SearchMethod] = {
    method.name: method
    for methods in (
        inference_guard.METHODS,
        plain.METHODS,
        resample.METHODS,
        rollback_retry.METHODS,
        best_of_n.METHODS,
        deal.METHODS,
        prov_decode.METHODS,
        verifier.METHODS,
        beam.METHODS,
        args.METHODS,
        ctrl.METHODS,
        re_control.METHODS,
        early_exit.METHODS,
        speculative_rejection.METHODS,
        token_verifier.METHODS,
    )
    for method in methods
}


def method_of(name: str) -> SearchMethod:
    """The method of a name. Raises RequestError, with the nearest name, if there is none."""
    if name in METHODS:
        return METHODS[name]
    near = "".join(f"did you mean '{one}'? " for one in difflib.get_close_matches(name, METHODS, n=1))
    fix = f"{near}`ig-guardrail strategies` lists all"
    raise RequestError(f"there is no strategy '{name}'", where="strategy", fix=fix)
