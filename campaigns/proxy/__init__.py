"""Stands between a program of ours and the apiserver, and does to requests and watches what a plan says."""
