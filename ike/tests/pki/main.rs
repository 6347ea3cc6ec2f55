//! Certificates, keys, signatures and revocation, through the public interface. What `rcgen` can make is made here; the
//! rest stands in `fixtures/`, made by `fixtures/make.sh` with OpenSSL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod binding;
mod constraints;
mod fixtures;
mod hostile;
mod keys;
mod lists;
mod made;
mod names;
mod ocsp;
mod path;
mod path_search;
mod payloads;
mod pinned;
mod responder;
mod revocation;
mod second_opinion;
mod signatures;
mod wycheproof_vectors;
