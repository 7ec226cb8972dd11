"""What keys of a policy take: the sorts of values, and the forms of addresses and revisions."""
