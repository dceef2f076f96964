//! Real sockets on the loopback interface; deadlines are short and waited for by condition.

mod it {
    mod client;
    mod serve;
}
