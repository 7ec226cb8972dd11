"""What stands between the markers of the documents: a function for each section, by subject."""
