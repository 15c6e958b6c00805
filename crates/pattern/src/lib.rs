//! Ruby regular expressions, each compiled to the cheapest engine that is exactly equivalent.
