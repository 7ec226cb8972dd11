"""Cases of policies: read from `*_test.yaml`, run through the product's gate and budgets, reported."""
