//! Outbound look-up: destination ranges cut into elementary intervals, each with its candidates.
