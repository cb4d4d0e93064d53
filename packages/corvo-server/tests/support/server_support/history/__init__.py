"""Histories of calls, made up by Hypothesis, against an independent model of what is promised."""
