//! Random appends, rotations, truncations, answers and restarts against a model.
