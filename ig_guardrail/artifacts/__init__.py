"""Cost models that ship with the package: tensors, and cards that say what they were made from and how good they are."""
