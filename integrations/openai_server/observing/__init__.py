"""What an operator sees of the requests: metrics, traces and log lines, all made from the same account of each."""
