"""The command line. `main` parses; each command has a module of its own and loads what it needs when it runs."""
