//! The generated messages, by package.

#![allow(unreachable_pub, clippy::all, reason = "generated")]

/// Makes `tradewind.<area>.v1` the module `<area>`.
macro_rules! package {
    ($name:ident, $package:literal) => {
        pub mod $name {
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    };
}

package!(availability, "tradewind.availability.v1");
package!(commands, "tradewind.commands.v1");
package!(common, "tradewind.common.v1");
package!(customers, "tradewind.customers.v1");
package!(inventory, "tradewind.inventory.v1");
package!(orders, "tradewind.orders.v1");
package!(outcomes, "tradewind.outcomes.v1");
package!(payments, "tradewind.payments.v1");
package!(prices, "tradewind.prices.v1");
package!(products, "tradewind.products.v1");
package!(refunds, "tradewind.refunds.v1");
package!(replay, "tradewind.replay.v1");
package!(shipments, "tradewind.shipments.v1");

/// All descriptors, for gRPC reflection and for decoding by name.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
