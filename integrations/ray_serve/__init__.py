"""The server on several replicas, by Ray Serve (extra `ray`): `serve run ig_guardrail.integrations.ray_serve:app`.

A front reads each request, and hands it to the replica that knows its conversation. Replicas run the whole server; they
share a ledger, and the policies that one place reads for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ig_guardrail.extras import require

if TYPE_CHECKING:
    from ray.serve import Application


def app(args: Mapping[str, str]) -> Application:
    """The application that `serve run` and `serve deploy` take, by its arguments.

    config    the file of settings, as `ig-guardrail serve --config` reads it
    replicas  how many; what the file says if left out
    Raises GuardrailError for what cannot be served.
    """
    require("ray", by="`ig_guardrail.integrations.ray_serve`")
    from ig_guardrail.integrations.ray_serve.building import build, read_arguments

    return build(read_arguments(args))
