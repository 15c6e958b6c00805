//! Scenarios: real files, a road that keeps what it is given, and answers on command.

mod bench;
mod content;
mod fluent_bit;
mod joined;
mod long_lines;
mod model;
mod pressure;
mod restart;
mod rotation;
mod run;
