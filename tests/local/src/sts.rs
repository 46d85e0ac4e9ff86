//! STS: who am I.
