//! Against a real Kafka, and against the embedded broker where that is enough.

mod it {
    mod closing;
    mod embedded;
    mod failing;
    mod frozen;
    mod group;
    mod offsets;
    mod records;
    mod support;
    mod topics;
}
