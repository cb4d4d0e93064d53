"""Conversions between records and rows that all engines share."""
