//! Groups of lines over batches, stops and crashes.
