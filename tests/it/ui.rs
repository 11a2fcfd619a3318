//! What must not compile does not, and the message stands on the token and says what to write.
//!
//! `TRYBUILD=overwrite cargo test -p tracecore-tests ui` writes the messages anew, after a change of the toolchain for one.

#[test]
fn mistakes_are_shown_where_they_were_made() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
