"""Cost models that ship with the package: tensors, and cards that say what made them and how good they are."""
