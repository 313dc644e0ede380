"""Secure aggregation: sums of vectors that nobody sees one by one.

Double masking after Bonawitz et al. 2017 ("Practical secure aggregation for privacy-preserving
machine learning"), with keys agreed once a campaign and everything that a round opens bound to
that round alone. The design, what it assumes and what it leaks: docs/adr/0006.
"""
