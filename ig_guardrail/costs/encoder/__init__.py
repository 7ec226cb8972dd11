"""A text cost that fits any language model: a sentence encoder reads windows of the answer, and a line scores them."""
