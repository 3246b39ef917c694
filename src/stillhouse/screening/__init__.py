"""Responses -> the responses that are fit to train on, whatever their score."""
