"""The tests, by the rooms that they test."""
