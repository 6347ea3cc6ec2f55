//! Floors, ceilings and defaults of every setting, in one place.
