"""Verbatim origin: where in two indexed corpora the newest tokens of an answer stand word for word."""
