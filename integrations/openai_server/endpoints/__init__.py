"""One module for each endpoint; `routes` of each says where it is found."""
