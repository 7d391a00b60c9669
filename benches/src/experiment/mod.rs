//! The experiments, one file each: what is done, what is checked, what is shown.

pub(crate) mod conversion;
pub(crate) mod delivery;
pub(crate) mod growth;
pub(crate) mod latency;
pub(crate) mod overload;
pub(crate) mod portal;
pub(crate) mod redirect;
pub(crate) mod report;
pub(crate) mod start;
