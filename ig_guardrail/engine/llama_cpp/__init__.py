"""GGUF files as they are, run by llama.cpp: the engine without torch. docs/llama-cpp.md tells what it promises."""
