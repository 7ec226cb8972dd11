"""Addresses of servers that texts are sent to, and names of environment variables with their keys: patterns."""

from __future__ import annotations

_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_PORT = r"(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4})"
_PORT_AND_PATH = rf"(?::{_PORT})?(?:/[A-Za-z0-9._~/-]{{0,200}})?"
_NAME = r"(?=[0-9.-]*[A-Za-z])[A-Za-z0-9.-]{1,253}"
_NUMBERS = (
    rf"(?!0\.|169\.254\.){_BYTE}(?:\.{_BYTE}){{3}}"  # 169.254.* answers for clouds what no text should be sent to
)
_HOST = rf"(?:{_NAME}|{_NUMBERS}|\[[0-9A-Fa-f:.]{{2,45}}\])"

PATTERN = (
    rf"https://{_HOST}{_PORT_AND_PATH}" rf"|http://(?:localhost|127(?:\.{_BYTE}){{3}}|\[::1\]){_PORT_AND_PATH}"
)  # plain HTTP for this machine alone
PLAIN_PATTERN = rf"http://{_HOST}{_PORT_AND_PATH}"  # plain HTTP to any machine
KEY_PATTERN = r"(?:[A-Z][A-Z0-9_]{0,55})?API_KEY"
THIS_MACHINE = "http://"  # what `PATTERN` lets begin like this is of this machine
