"""A log that shows whether it was changed: lines that are each bound to the one before."""
