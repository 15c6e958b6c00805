//! Sealed requests in the order in which they may go: those of one lane one after the other.

use std::collections::{HashMap, VecDeque};

use super::Flight;

/// Bodies of requests that wait for their lane may take so much memory, and so much for each request that may be under way
/// at once; then nothing more is formatted.
const HELD_BYTES_MAX: usize = 16 << 20;
const HELD_BYTES_EACH: usize = 2 << 20;

/// Requests that are sealed and not sent.
pub(super) struct Lanes {
    /// May be sent now.
    ready: VecDeque<Flight>,
    /// Lanes with a request that is ready, under way or to be repeated, and what waits behind it.
    busy: HashMap<u64, VecDeque<Flight>>,
    held_bytes: usize,
    held_bytes_max: usize,
}

impl Lanes {
    /// None, of an output that may have so many requests under way at once.
    pub fn new(concurrency: usize) -> Lanes {
        Lanes {
            ready: VecDeque::new(),
            busy: HashMap::new(),
            held_bytes: 0,
            held_bytes_max: HELD_BYTES_MAX.min(concurrency * HELD_BYTES_EACH),
        }
    }

    /// Whether enough requests wait: formatting more would only take memory.
    pub fn is_full(&self) -> bool {
        !self.ready.is_empty() || self.held_bytes >= self.held_bytes_max
    }

    /// The next request that may be sent.
    pub fn next(&mut self) -> Option<Flight> {
        self.ready.pop_front()
    }

    /// Every request, whatever it waits for.
    pub fn take_all(&mut self) -> impl Iterator<Item = Flight> {
        self.held_bytes = 0;
        let held = std::mem::take(&mut self.busy).into_values().flatten();
        std::mem::take(&mut self.ready).into_iter().chain(held)
    }

    /// A new request, behind all others of its lane.
    pub fn add(&mut self, flight: Flight) {
        match flight.request.lane {
            None => self.ready.push_back(flight),
            Some(lane) => match self.busy.get_mut(&lane) {
                Some(held) => {
                    self.held_bytes += flight.request.body.len();
                    held.push_back(flight);
                }
                None => {
                    self.busy.insert(lane, VecDeque::new());
                    self.ready.push_back(flight);
                }
            },
        }
    }

    /// A request whose time to be repeated has come; its lane has been waiting for it.
    pub fn repeat(&mut self, flight: Flight) {
        self.ready.push_back(flight);
    }

    /// What stood first in `lane` is made of these requests now; those of the lane go before all that waits in it.
    pub fn replace(&mut self, lane: Option<u64>, flights: Vec<Flight>) {
        let Some(lane) = lane else {
            flights.into_iter().for_each(|flight| self.add(flight));
            return;
        };
        let (own, others): (Vec<_>, Vec<_>) = flights
            .into_iter()
            .partition(|flight| flight.request.lane == Some(lane));
        let held = self.busy.entry(lane).or_default();
        for flight in own.into_iter().rev() {
            self.held_bytes += flight.request.body.len();
            held.push_front(flight);
        }
        others.into_iter().for_each(|flight| self.add(flight));
        self.advance(Some(lane));
    }

    /// What stood first in `lane` is answered for: the next one may go.
    pub fn advance(&mut self, lane: Option<u64>) {
        let Some(lane) = lane else { return };
        let Some(held) = self.busy.get_mut(&lane) else {
            return;
        };
        match held.pop_front() {
            Some(flight) => {
                self.held_bytes -= flight.request.body.len();
                self.ready.push_back(flight);
            }
            None => {
                self.busy.remove(&lane);
            }
        }
    }
}
