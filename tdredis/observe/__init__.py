"""Gathers one frozen snapshot a pass: caches, and one question to every Redis process at once."""
