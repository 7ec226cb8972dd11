"""One folder for each outside system. The package itself imports none of them until a caller asks for one."""
