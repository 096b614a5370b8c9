"""Commands for people. May not need cluster-admin."""
