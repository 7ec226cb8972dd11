"""The parts of `make bench` and `make profile`: one question of speed or memory in each module."""
