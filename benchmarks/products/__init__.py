"""Other products on the same drafts and with the same verdict: who answers, who is asked, and what a reader sees."""
