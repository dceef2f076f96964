//! What is done about a step, as pure functions: rows in, rows out. Whether an effect happens once is decided here and nowhere
//! else.

pub mod step;
#[cfg(test)]
mod tests;
