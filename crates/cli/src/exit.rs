//! Exit codes, by sysexits where it has one.

use crate::commands::dlq::Refused;

/// The command ran, and what it looked at is not as it should be: a topic that differs, a rule with a mistake.
pub(crate) const NOT_GOOD: u8 = 1;
/// The account does not balance: a delivery was passed over,
pub(crate) const RAW_RECORDS: u8 = 3;
/// an event has no answer,
pub(crate) const ANSWERS: u8 = 4;
/// or both.
pub(crate) const RAW_RECORDS_AND_ANSWERS: u8 = 5;
/// Something that the command needs does not answer.
pub(crate) const UNAVAILABLE: u8 = 69;
/// The settings can't be used.
pub(crate) const SETTINGS: u8 = 78;
/// Anything else.
const FAILED: u8 = 70;

/// The first cause that says what kind of failure it is.
pub(crate) fn of(error: &anyhow::Error) -> u8 {
    if error.chain().any(|it| it.is::<service_kit::settings::Error>()) {
        return SETTINGS;
    }
    let is_away = error.chain().any(|it| {
        let class = it.downcast_ref::<fault::Fault>().map(|it| it.class);
        let class = class.or_else(|| it.downcast_ref::<store::Error>().map(fault::Classify::class));
        let class = class.or_else(|| it.downcast_ref::<bus::Error>().map(fault::Classify::class));
        let is_refused = it.downcast_ref::<Refused>().is_some_and(Refused::is_away);
        class == Some(fault::Class::Outage) || is_refused || it.is::<tonic::transport::Error>()
    });
    if is_away { UNAVAILABLE } else { FAILED }
}
