"""One file for each family of safety models: how it is asked, where its verdict stands, and what its categories are."""
