"""Without keys, whoever asks must be on this machine; a page of another site, open in a browser here, is not."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from ig_guardrail.integrations.openai_server.faults import Fault, Refused
from ig_guardrail.integrations.openai_server.listening import is_loopback

NOT_LOCAL = Fault(403, "invalid_request_error", "not_local", "without keys, only this machine is served", None)


def demand_local(headers: Mapping[str, str]) -> None:
    """Raises Refused unless the address that was asked for, and the page that asked, if any, are of this machine.

    A browser names both: `Host` is another site's where its name was made to lead here, `Origin` where its page asks.
    """
    places = [f"//{headers.get('host', '')}", *([headers["origin"]] if "origin" in headers else [])]
    for place in places:
        if not _is_here(place):
            raise Refused(NOT_LOCAL)


def _is_here(place: str) -> bool:
    try:
        return is_loopback(urlsplit(place).hostname or "")
    except ValueError:
        return False
