"""Writes that survive a crash: whole files and folders, locks, and a journal."""
