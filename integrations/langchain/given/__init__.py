"""What developers give: types and names in Python, as a schema or a policy has them."""
