"""Who may ask, what his key lets him ask for, and when there is room for it."""
