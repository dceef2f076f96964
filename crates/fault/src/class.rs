use std::fmt;

/// The closed set of classes. Its names are metric labels, letter columns and `dlq.error.class`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The bytes are not what they claim to be.
    Decode,
    /// They are, but of a shape or with an enum value that this version does not know.
    Schema,
    /// Understood, and wrong in itself: sums that do not add up, a line without a quantity.
    Validation,
    /// The target understood and refused.
    BusinessRejected,
    /// Something must exist first: an item, a customer, the order of a refund.
    DependencyMissing,
    /// 401, 403, a bad certificate: the configuration is wrong, not the record.
    Auth,
    /// Asked to slow down.
    RateLimited,
    /// The other side is away: refused, DNS, TLS, connect time-out, 502, 503, 504.
    Outage,
    /// This request failed in a way that another try may cure: 500, read time-out, reset.
    Transient,
    /// Sent, no trustworthy answer, and the target cannot tell whether it was done.
    Ambiguous,
    /// Our own code panicked or the process died on it.
    Poison,
}

/// What the failure policy does about a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A letter at once: trying again cannot help.
    Letter,
    /// Up to `attempts` tries with back-off, then one try after each of `delays` long waits, then a letter.
    RetryThenLetter { attempts: u32, delays: u32 },
    /// Wait for the dependency, looking up to `attempts` times ever more rarely, then after each of `delays` long waits; then a
    /// letter.
    AwaitThenLetter { attempts: u32, delays: u32 },
    /// Never a letter, no attempt counted: open the circuit and pause.
    OpenCircuit,
    /// Never a letter, no attempt counted: wait as long as was asked.
    SlowDown,
}

impl Class {
    pub const ALL: [Self; 11] = [
        Self::Decode,
        Self::Schema,
        Self::Validation,
        Self::BusinessRejected,
        Self::DependencyMissing,
        Self::Auth,
        Self::RateLimited,
        Self::Outage,
        Self::Transient,
        Self::Ambiguous,
        Self::Poison,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Schema => "schema",
            Self::Validation => "validation",
            Self::BusinessRejected => "business_rejected",
            Self::DependencyMissing => "dependency_missing",
            Self::Auth => "auth",
            Self::RateLimited => "rate_limited",
            Self::Outage => "outage",
            Self::Transient => "transient_exhausted",
            Self::Ambiguous => "ambiguous",
            Self::Poison => "poison_crash",
        }
    }

    /// The one table of what is done about which class.
    pub fn answer(self) -> Answer {
        match self {
            Self::Decode | Self::Schema | Self::Validation | Self::BusinessRejected | Self::Ambiguous => Answer::Letter,
            Self::DependencyMissing => Answer::AwaitThenLetter { attempts: 5, delays: 5 },
            Self::Transient => Answer::RetryThenLetter { attempts: 5, delays: 5 },
            Self::Poison => Answer::RetryThenLetter { attempts: 3, delays: 0 },
            // A bad secret must not drain a topic into the letters.
            Self::Auth | Self::Outage => Answer::OpenCircuit,
            Self::RateLimited => Answer::SlowDown,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
