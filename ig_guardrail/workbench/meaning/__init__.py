"""What policies mean: two of them compared, one explained, and why an answer ended as it did."""
