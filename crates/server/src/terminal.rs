//! Text from strangers, made fit for a terminal.

pub(crate) use domain::visible::line;
