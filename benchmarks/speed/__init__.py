"""The parts of `make bench`: one question of speed or memory in each module."""
