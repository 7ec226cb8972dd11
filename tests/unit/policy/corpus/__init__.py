"""Edits of policies by the hundred, broken and valid, each with the place and the word that a check should tell."""
