//! Certificates, keys, signatures and revocation, through the public interface. What `rcgen` can make is made here; the
//! rest stands in `fixtures/`, made by `fixtures/make.sh` with OpenSSL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(
    clippy::cloned_ref_to_slice_refs,
    clippy::items_after_statements,
    clippy::match_bool,
    clippy::needless_pass_by_value,
    clippy::needless_range_loop,
    reason = "tables of cases read better so"
)]

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
