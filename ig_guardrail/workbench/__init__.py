"""The workbench of policy authors: what a policy means and does, told without decoding anything."""
